internal import CZlib

/// zlib's format (RFC 1950), which Celery calls gzip; gzip's own (RFC 1952) is read as well.
package enum Zlib {
    /// Why octets could not be inflated.
    package enum Failure: Error, Equatable, CustomStringConvertible {
        case damaged(String)
        /// They hold more than they may: a few octets can pretend to be gigabytes.
        case tooLarge(limit: Int)

        package var description: String {
            switch self {
            case .damaged(let reason): "the compressed data is damaged: \(reason)"
            case .tooLarge(let limit): "the compressed data holds more than \(limit) octets"
            }
        }
    }

    private static let streamSize = Int32(MemoryLayout<z_stream>.size)

    /// What compressed octets hold.
    ///
    /// - Parameter limit: Octets of the result at most; no more than a little beyond is ever allocated.
    package static func inflated(_ octets: [UInt8], limit: Int) throws(Failure) -> [UInt8] {
        var stream = z_stream()
        // 15 bits of window as everywhere, and 32 to tell the two formats apart by their headers.
        guard inflateInit2_(&stream, 15 + 32, zlibVersion(), streamSize) == Z_OK else {
            throw .damaged("there is no memory to read it")
        }
        defer { inflateEnd(&stream) }
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: min(64 << 10, max(1024, 4 * octets.count)))
        let status = octets.withUnsafeBufferPointer { input -> Int32 in
            // zlib's type is not const, but it does not write to its input.
            stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.avail_in = UInt32(clamping: input.count)
            while true {
                let (status, count) = chunk.withUnsafeMutableBufferPointer { room in
                    stream.next_out = room.baseAddress
                    stream.avail_out = UInt32(room.count)
                    let status = inflate(&stream, Z_NO_FLUSH)
                    return (status, room.count - Int(stream.avail_out))
                }
                output += chunk[..<count]
                // Without progress there is no more input: it was cut off.
                guard status == Z_OK, output.count <= limit, count > 0 else { return status }
            }
        }
        guard output.count <= limit else { throw .tooLarge(limit: limit) }
        guard status == Z_STREAM_END else {
            throw .damaged(stream.msg.map { String(cString: $0) } ?? "it is cut off")
        }
        return output
    }

    /// The octets in zlib's format, as Python's `zlib.compress` makes it.
    package static func deflated(_ octets: [UInt8]) -> [UInt8] {
        var count = compressBound(uLong(octets.count))
        let bound = Int(count)
        return [UInt8](unsafeUninitializedCapacity: bound) { room, initialized in
            let status = octets.withUnsafeBufferPointer { input in
                // An empty array has no address.
                input.baseAddress.map { compress(room.baseAddress, &count, $0, uLong(input.count)) }
                    ?? compress(room.baseAddress, &count, room.baseAddress, 0)
            }
            precondition(status == Z_OK, "compressing into room enough fails only without memory")
            initialized = Int(count)
        }
    }
}

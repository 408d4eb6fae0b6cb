/// One frame, viewed where it lies in the receive buffer.
///
/// Valid only during the call that lends the octets.
package struct FrameView {
    package let type: FrameType
    package let channel: UInt16
    package let payload: UnsafeRawBufferPointer
}

package enum FrameType: UInt8, Sendable {
    case method = 1
    case header = 2
    case body = 3
    case heartbeat = 8
}

/// Finds frames in received octets.
package struct FrameDecoder: Sendable {
    /// Octets around a payload: type, channel and size before it, the end octet after it.
    package static let overhead = 8
    package static let endOctet: UInt8 = 0xCE

    /// The negotiated frame-max, header and end octet included.
    package var maximumFrameSize: Int

    package init(maximumFrameSize: Int) {
        self.maximumFrameSize = maximumFrameSize
    }

    /// The first frame of the octets, if it is complete.
    ///
    /// It occupies `payload.count + overhead` octets.
    package func next(in bytes: UnsafeRawBufferPointer) throws(FrameError) -> FrameView? {
        guard let first = bytes.first else { return nil }
        guard let type = FrameType(rawValue: first) else { throw .unknownFrameType(first) }
        guard bytes.count >= 7 else { return nil }
        var cursor = Cursor(bytes)
        try cursor.skip(1)
        let channel = try cursor.uint16()
        let size = Int(try cursor.uint32())
        // Checked before the payload is waited for, so that a peer cannot make us buffer more than was agreed.
        guard size <= maximumFrameSize - Self.overhead else {
            throw .frameTooLarge(octets: size + Self.overhead, limit: maximumFrameSize)
        }
        // §4.2.7: a heartbeat has no payload, and channel 0.
        if type == .heartbeat, size != 0 || channel != 0 { throw .malformedHeartbeat }
        guard cursor.remaining > size else { return nil }
        let payload = try cursor.octets(size)
        guard try cursor.uint8() == Self.endOctet else { throw .missingEndOctet }
        return FrameView(type: type, channel: channel, payload: payload)
    }

    /// Names what answered in place of an AMQP 0-9-1 server, judging by its first octets.
    package static func foreignProtocol(_ bytes: UnsafeRawBufferPointer) -> String? {
        guard let first = bytes.first, first != FrameType.method.rawValue else { return nil }
        switch first {
        case UInt8(ascii: "A") where bytes.starts(with: Array("AMQP".utf8).prefix(bytes.count)):
            guard bytes.count >= 8 else { return nil }
            return bytes[4] == 3
                ? "AMQP 1.0 with SASL"
                : "AMQP \(bytes[5])-\(bytes[6])" + (bytes[7] == 0 ? "" : "-\(bytes[7])")
        case UInt8(ascii: "H") where bytes.starts(with: Array("HTTP".utf8).prefix(bytes.count)): return "HTTP"
        case 0x15, 0x16: return "TLS"
        default: return "another protocol (it begins with octet \(first))"
        }
    }
}

/// The `header` frame in front of a body.
package struct ContentHeader: Hashable, Sendable {
    package var bodySize: UInt64
    package var properties: BasicProperties

    package init(bodySize: UInt64, properties: BasicProperties) {
        self.bodySize = bodySize
        self.properties = properties
    }

    /// - Parameter previous: Properties that came before; equal ones share their storage.
    package init(
        decoding payload: UnsafeRawBufferPointer,
        resembling previous: BasicProperties = BasicProperties()
    ) throws(FrameError) {
        var cursor = Cursor(payload)
        let classID = try cursor.uint16()
        guard classID == 60 else { throw .wrongContentClass(classID) }
        _ = try cursor.uint16()  // §4.2.6.1: weight, unused
        bodySize = try cursor.uint64()
        properties = try BasicProperties(from: &cursor, resembling: previous)
    }
}

/// Appends frames to an output buffer.
package enum FrameEncoder {
    /// §4.2.2: what a client says first.
    package static let protocolHeader: [UInt8] = Array("AMQP".utf8) + [0, 0, 9, 1]

    package static func method(_ method: Method, channel: UInt16, into output: inout [UInt8]) throws(FrameError) {
        try frame(.method, channel, into: &output) { (output) throws(FrameError) in try method.encode(into: &output) }
    }

    package static func heartbeat(into output: inout [UInt8]) {
        output += [FrameType.heartbeat.rawValue, 0, 0, 0, 0, 0, 0, FrameDecoder.endOctet]
    }

    package static func bodyStart(octets: Int, channel: UInt16, into output: inout [UInt8]) {
        // Type, channel and size as one integer, of which the last octet is not needed.
        let start = UInt64(FrameType.body.rawValue) << 56 | UInt64(channel) << 40
        let size = UInt64(UInt32(truncatingIfNeeded: octets)) << 8
        Swift.withUnsafeBytes(of: (start | size).bigEndian) {
            output.append(contentsOf: UnsafeRawBufferPointer(rebasing: $0[..<7]))
        }
    }

    package static func body(_ octets: [UInt8], channel: UInt16, into output: inout [UInt8]) {
        bodyStart(octets: octets.count, channel: channel, into: &output)
        output.appendOctets(octets)
        output.append(FrameDecoder.endOctet)
    }

    package static func body(_ octets: ArraySlice<UInt8>, channel: UInt16, into output: inout [UInt8]) {
        bodyStart(octets: octets.count, channel: channel, into: &output)
        output.append(contentsOf: octets)
        output.append(FrameDecoder.endOctet)
    }

    private static func frame(
        _ type: FrameType,
        _ channel: UInt16,
        into output: inout [UInt8],
        payload: (inout [UInt8]) throws(FrameError) -> Void
    ) throws(FrameError) {
        output.append(type.rawValue)
        output.appendInteger(channel)
        try output.appendWithLength(payload)
        output.append(FrameDecoder.endOctet)
    }
}

/// How bodies and documents are compressed, by the names on the wire (wire document §1.5).
package enum CompressionMethod: String, Sendable {
    /// Whatever its name says, the data is zlib's.
    case zlib = "application/x-gzip"
}

/// Why a message's compressed body cannot be read.
package enum CompressionDefect: Error, Equatable, CustomStringConvertible {
    case unknownMethod(String)
    case tooLarge(limit: Int)
    case damaged(String)

    package var description: String {
        switch self {
        case .unknownMethod(let name): "bodies compressed as \(name) are not supported; known: application/x-gzip"
        case .tooLarge(let limit): "\(Zlib.Failure.tooLarge(limit: limit))"
        case .damaged(let reason): "\(Zlib.Failure.damaged(reason))"
        }
    }
}

extension Message {
    private static let compressionHeader = "compression"

    /// The message with its body as it was before it was compressed; itself, if it was not.
    ///
    /// - Parameter limit: Octets of the body at most.
    package func decompressed(limit: Int) throws(CompressionDefect) -> Message {
        guard let name = headers[Self.compressionHeader]?.string else { return self }
        guard CompressionMethod(rawValue: name) != nil else { throw .unknownMethod(name) }
        var message = self
        do {
            message.body = try Zlib.inflated(body, limit: limit)
        } catch {
            switch error {
            case .tooLarge(let limit): throw .tooLarge(limit: limit)
            case .damaged(let reason): throw .damaged(reason)
            }
        }
        message.headers[Self.compressionHeader] = nil
        return message
    }
}

/// One reply of a Redis server, RESP version 2.
public enum RESPValue: Hashable, Sendable {
    /// A status line, such as `OK`.
    case simple(String)
    /// An error line; its first word is the kind, such as `WRONGTYPE`.
    case error(String)
    /// A 64-bit integer.
    case integer(Int)
    /// Octets of any kind.
    case bulk([UInt8])
    /// The absent bulk or absent array.
    case null
    /// A list of replies.
    case array([RESPValue])

    /// The octets of a bulk or status reply.
    public var bytes: [UInt8]? {
        switch self {
        case .bulk(let bytes): bytes
        case .simple(let text): Array(text.utf8)
        case .error, .integer, .null, .array: nil
        }
    }

    /// The text of a bulk or status reply; octets that are not UTF-8 become U+FFFD.
    public var string: String? {
        switch self {
        case .bulk(let bytes): String(decoding: bytes, as: UTF8.self)
        case .simple(let text): text
        case .error, .integer, .null, .array: nil
        }
    }

    /// The number of an integer reply, or of a bulk that spells one.
    public var integer: Int? {
        switch self {
        case .integer(let value): value
        case .bulk(let bytes): Int(String(decoding: bytes, as: UTF8.self))
        case .simple, .error, .null, .array: nil
        }
    }

    /// The elements of an array reply.
    public var array: [RESPValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    /// Whether the reply says that there is nothing.
    public var isNull: Bool { self == .null }
}

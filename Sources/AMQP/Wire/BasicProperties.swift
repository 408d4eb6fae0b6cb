/// The properties of a message (AMQP 0-9-1, class `basic`).
public struct BasicProperties: Hashable, Sendable {
    /// The MIME type of the body.
    public var contentType: String?
    /// How the body is encoded, such as `utf-8` or `gzip`.
    public var contentEncoding: String?
    /// Fields of the application's own.
    public var headers: FieldTable?
    /// 2 for messages that survive a broker's restart in a durable queue, 1 for others.
    public var deliveryMode: UInt8?
    /// 0 through 9, honoured by queues declared with `x-max-priority`.
    public var priority: UInt8?
    /// What this message answers or belongs to.
    public var correlationID: String?
    /// The queue to which answers go.
    public var replyTo: String?
    /// Milliseconds after which the message is dead, as decimal text.
    public var expiration: String?
    /// The application's own number of the message.
    public var messageID: String?
    /// Seconds since 1970.
    public var timestamp: UInt64?
    /// The application's name of the kind of message.
    public var type: String?
    /// Who publishes; a broker refuses another name than the connection's.
    public var userID: String?
    /// Which application publishes.
    public var appID: String?
    /// Reserved by the standard.
    public var clusterID: String?

    /// Properties of which none is set.
    public init() {}
}

extension BasicProperties {
    // §4.2.6.1: the highest bit belongs to the first property; bit 0 announces another word of flags.
    private enum Flag {
        static let contentType: UInt16 = 1 << 15
        static let contentEncoding: UInt16 = 1 << 14
        static let headers: UInt16 = 1 << 13
        static let deliveryMode: UInt16 = 1 << 12
        static let priority: UInt16 = 1 << 11
        static let correlationID: UInt16 = 1 << 10
        static let replyTo: UInt16 = 1 << 9
        static let expiration: UInt16 = 1 << 8
        static let messageID: UInt16 = 1 << 7
        static let timestamp: UInt16 = 1 << 6
        static let type: UInt16 = 1 << 5
        static let userID: UInt16 = 1 << 4
        static let appID: UInt16 = 1 << 3
        static let clusterID: UInt16 = 1 << 2
    }

    init(from cursor: inout Cursor) throws(FrameError) {
        let flags = try cursor.uint16()
        // The class defines 14 properties; any further flag would announce a value of unknown type.
        guard flags & 3 == 0 else { throw .unknownProperties }
        if flags & Flag.contentType != 0 { contentType = try cursor.shortString() }
        if flags & Flag.contentEncoding != 0 { contentEncoding = try cursor.shortString() }
        if flags & Flag.headers != 0 { headers = try FieldTable(from: &cursor) }
        if flags & Flag.deliveryMode != 0 { deliveryMode = try cursor.uint8() }
        if flags & Flag.priority != 0 { priority = try cursor.uint8() }
        if flags & Flag.correlationID != 0 { correlationID = try cursor.shortString() }
        if flags & Flag.replyTo != 0 { replyTo = try cursor.shortString() }
        if flags & Flag.expiration != 0 { expiration = try cursor.shortString() }
        if flags & Flag.messageID != 0 { messageID = try cursor.shortString() }
        if flags & Flag.timestamp != 0 { timestamp = try cursor.uint64() }
        if flags & Flag.type != 0 { type = try cursor.shortString() }
        if flags & Flag.userID != 0 { userID = try cursor.shortString() }
        if flags & Flag.appID != 0 { appID = try cursor.shortString() }
        if flags & Flag.clusterID != 0 { clusterID = try cursor.shortString() }
        try cursor.end()
    }

    func encode(into output: inout [UInt8]) throws(FrameError) {
        let flagsOffset = output.count
        var flags: UInt16 = 0
        output.appendInteger(flags)
        func text(_ value: String?, _ flag: UInt16) throws(FrameError) {
            guard let value else { return }
            flags |= flag
            try output.appendShortString(value)
        }
        func number(_ value: (some FixedWidthInteger)?, _ flag: UInt16) {
            guard let value else { return }
            flags |= flag
            output.appendInteger(value)
        }
        try text(contentType, Flag.contentType)
        try text(contentEncoding, Flag.contentEncoding)
        if let headers {
            flags |= Flag.headers
            try headers.encode(into: &output)
        }
        number(deliveryMode, Flag.deliveryMode)
        number(priority, Flag.priority)
        try text(correlationID, Flag.correlationID)
        try text(replyTo, Flag.replyTo)
        try text(expiration, Flag.expiration)
        try text(messageID, Flag.messageID)
        number(timestamp, Flag.timestamp)
        try text(type, Flag.type)
        try text(userID, Flag.userID)
        try text(appID, Flag.appID)
        try text(clusterID, Flag.clusterID)
        output[flagsOffset] = UInt8(truncatingIfNeeded: flags >> 8)
        output[flagsOffset + 1] = UInt8(truncatingIfNeeded: flags)
    }
}

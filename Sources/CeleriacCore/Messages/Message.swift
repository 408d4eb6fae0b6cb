/// A message as a broker carries it: properties, headers and an opaque body.
public struct Message: Hashable, Sendable {
    /// The MIME type of the body before compression, such as `application/json`.
    public var contentType: String?
    /// The character encoding of the body, such as `utf-8`.
    public var contentEncoding: String?
    /// Ties a reply to its request; for a task message the task's id.
    public var correlationID: String?
    /// Where a reply may be sent.
    public var replyTo: String?
    /// More urgent messages have larger numbers; 0 through 255, as far as the queue has levels.
    public var priority: UInt8
    /// Whether the broker keeps the message over a restart.
    public var isPersistent: Bool
    /// How long the message may wait in a queue before the broker drops it.
    public var expiration: Duration?
    /// The id given by the publisher's application.
    public var messageID: String?
    /// The header table.
    public var headers: MessageHeaders
    /// The body's octets.
    public var body: [UInt8]

    /// The header of a message that a driver has sent again because an earlier copy may have arrived.
    package static let repeatedHeader = "redelivered-by-producer"

    /// A message; persistent JSON text unless said otherwise.
    public init(
        contentType: String? = "application/json",
        contentEncoding: String? = "utf-8",
        correlationID: String? = nil,
        replyTo: String? = nil,
        priority: UInt8 = 0,
        isPersistent: Bool = true,
        expiration: Duration? = nil,
        messageID: String? = nil,
        headers: MessageHeaders = [:],
        body: [UInt8]
    ) {
        self.contentType = contentType
        self.contentEncoding = contentEncoding
        self.correlationID = correlationID
        self.replyTo = replyTo
        self.priority = priority
        self.isPersistent = isPersistent
        self.expiration = expiration
        self.messageID = messageID
        self.headers = headers
        self.body = body
    }
}

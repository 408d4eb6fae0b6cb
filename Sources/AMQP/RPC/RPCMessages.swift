/// A request as the server of calls sees it.
public struct RPCRequest: Sendable {
    /// The octets of the request.
    public let body: [UInt8]
    /// Properties and headers; among them whom the reply goes to, of which ``RPCServer`` takes care.
    public let properties: BasicProperties
    /// The exchange to which it was published.
    public let exchange: String
    /// The routing key with which it was published.
    public let routingKey: String
    /// Whether it was delivered before: a server may have carried it out and died before it could say so.
    public let isRedelivered: Bool

    init(_ delivery: AMQPDelivery) {
        body = delivery.body
        properties = delivery.properties
        exchange = delivery.exchange
        routingKey = delivery.routingKey
        isRedelivered = delivery.isRedelivered
    }
}

/// The answer to a call.
public struct RPCReply: Hashable, Sendable {
    /// The octets of the answer.
    public var body: [UInt8]
    /// Properties and headers; the server sets the correlation id.
    public var properties: BasicProperties

    /// An answer.
    public init(_ body: [UInt8], properties: BasicProperties = BasicProperties()) {
        self.body = body
        self.properties = properties
    }
}

/// A message to publish, with its address.
public struct AMQPMessage: Sendable {
    /// The exchange; the empty name is the default exchange, which routes to the queue named by the routing key.
    public var exchange: String
    /// How the exchange finds the queues.
    public var routingKey: String
    /// Properties and headers.
    public var properties: BasicProperties
    /// The octets of the message.
    public var body: [UInt8]
    /// Whether a message that no queue takes comes back, which fails its publish with `.returned`.
    public var isMandatory: Bool

    /// A message for an exchange, or with the default exchange for the queue named by the routing key.
    public init(
        exchange: String = "",
        routingKey: String,
        properties: BasicProperties = BasicProperties(),
        body: [UInt8],
        isMandatory: Bool = true
    ) {
        self.exchange = exchange
        self.routingKey = routingKey
        self.properties = properties
        self.body = body
        self.isMandatory = isMandatory
    }
}

/// The number of a delivery on its channel.
///
/// Means nothing on another one, which refuses it.
public struct DeliveryTag: Hashable, Sendable {
    package let number: UInt64
    /// Which channel, unique in the process: numbers of channels are reused, and a late tag must not hit a successor.
    package let instance: UInt64

    package init(number: UInt64, instance: UInt64) {
        self.number = number
        self.instance = instance
    }
}

/// A message that the broker delivered, on loan until it is settled.
public struct AMQPDelivery: Hashable, Sendable {
    /// Settles this delivery on the channel that it came from.
    public internal(set) var tag: DeliveryTag
    /// Whether it was delivered before, to anyone.
    public let isRedelivered: Bool
    /// The exchange to which it was published.
    public let exchange: String
    /// The routing key with which it was published.
    public let routingKey: String
    /// Properties and headers.
    public let properties: BasicProperties
    /// The octets of the message.
    public let body: [UInt8]
}

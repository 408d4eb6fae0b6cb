/// How a delivery ends.
public enum Settlement: Hashable, Sendable {
    /// The message is done with; the broker forgets it.
    case acknowledged
    /// The message goes back to its queue untouched, with the redelivered flag.
    case returned
    /// The message is dropped, or dead-lettered where the queue says so.
    case rejected
}

/// Takes the settlements of the deliveries it made.
public protocol DeliverySource: AnyObject, Sendable {
    /// Notes how a delivery ends; never blocks, never fails.
    ///
    /// Settlements leave together, a moment later. On a connection that is gone the broker has already taken its
    /// messages back, so a settlement of that connection's is dropped here and never sent on another.
    func settle(_ tag: UInt64, as settlement: Settlement)

    /// Notes that a delivery was dropped by whoever held it, which is a mistake of theirs; never blocks, never fails.
    ///
    /// It goes back to its queue, as ``Settlement/returned``; that is all that happens unless a source does more.
    func abandon(_ tag: UInt64)
}

extension DeliverySource {
    /// Gives the delivery back.
    public func abandon(_ tag: UInt64) { settle(tag, as: .returned) }
}

/// A message on loan from its queue.
///
/// Settled exactly once, which the compiler checks; dropped unsettled, it goes back to its queue.
public struct Delivery: ~Copyable, Sendable {
    /// The message.
    public let message: Message
    /// The exchange it came through; empty for the default exchange.
    public let exchange: String
    /// The routing key it came with.
    public let routingKey: String
    /// The queue it was taken from.
    public let queue: QueueName
    /// Whether it was delivered before, to anybody, and not acknowledged.
    public let isRedelivered: Bool
    private let tag: UInt64
    private let source: any DeliverySource
    private var isSettled = false

    /// A delivery that its source knows by a tag.
    public init(
        message: Message,
        exchange: String,
        routingKey: String,
        queue: QueueName,
        isRedelivered: Bool,
        tag: UInt64,
        source: any DeliverySource
    ) {
        self.message = message
        self.exchange = exchange
        self.routingKey = routingKey
        self.queue = queue
        self.isRedelivered = isRedelivered
        self.tag = tag
        self.source = source
    }

    /// Whether its task may have run before: the broker delivered it before, or the producer has sent it twice.
    package var mayHaveRun: Bool { isRedelivered || message.headers[Message.repeatedHeader]?.bool == true }

    deinit {
        if !isSettled { source.abandon(tag) }
    }

    /// Tells the broker that the message is done with.
    public consuming func acknowledge() { settle(as: .acknowledged) }

    /// Gives the message back to its queue.
    public consuming func giveBack() { settle(as: .returned) }

    /// Drops the message, or dead-letters it where the queue says so.
    public consuming func reject() { settle(as: .rejected) }

    private consuming func settle(as settlement: Settlement) {
        isSettled = true
        source.settle(tag, as: settlement)
    }
}

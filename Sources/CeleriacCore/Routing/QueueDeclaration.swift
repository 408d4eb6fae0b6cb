/// What a queue is to be when it is declared.
public struct QueueDeclaration: Hashable, Sendable {
    /// The kinds of queue RabbitMQ replicates or keeps differently.
    public enum Kind: String, Hashable, Sendable {
        /// One node; the default, works beside default Python workers.
        case classic
        /// Replicated by Raft over several nodes.
        case quorum
    }

    /// The queue's name.
    public var name: QueueName
    /// The queue's kind.
    public var kind: Kind
    /// The highest priority the queue tells apart, 1 through 255; `nil` for a queue without priorities.
    public var maximumPriority: UInt8?
    /// How long a message may wait in the queue before the broker drops it.
    public var messageTTL: Duration?

    /// A durable classic queue, as Celery declares its queues, unless said otherwise.
    public init(
        _ name: QueueName,
        kind: Kind = .classic,
        maximumPriority: UInt8? = nil,
        messageTTL: Duration? = nil
    ) {
        self.name = name
        self.kind = kind
        self.maximumPriority = maximumPriority
        self.messageTTL = messageTTL
    }
}

/// Where a message goes.
public struct Route: Hashable, Sendable {
    /// The exchange; empty for the default exchange, which routes by queue name.
    public var exchange: String
    /// The routing key; with the default exchange, the queue's name.
    public var routingKey: String
    /// The queue to declare before publishing, unless it is known to exist.
    public var queue: QueueDeclaration?

    /// A route through an exchange that exists.
    public init(exchange: String, routingKey: String) {
        self.exchange = exchange
        self.routingKey = routingKey
        queue = nil
    }

    /// Straight into a queue.
    public init(to queue: QueueDeclaration) {
        exchange = ""
        routingKey = queue.name.rawValue
        self.queue = queue
    }
}

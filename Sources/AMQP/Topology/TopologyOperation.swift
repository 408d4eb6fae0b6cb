/// An exchange as it is declared.
public struct AMQPExchange: Hashable, Sendable {
    /// Its name.
    public var name: String
    /// How it routes.
    public var type: ExchangeType
    /// Whether it survives a restart of the broker.
    public var isDurable: Bool
    /// Whether it goes away with its last binding.
    public var isAutoDelete: Bool
    /// Whether only other exchanges may publish to it.
    public var isInternal: Bool
    /// RabbitMQ's extensions, such as `alternate-exchange`.
    public var arguments: ExchangeArguments

    /// An exchange; durable, unless said otherwise.
    public init(
        _ name: String,
        type: ExchangeType = .direct,
        isDurable: Bool = true,
        isAutoDelete: Bool = false,
        isInternal: Bool = false,
        arguments: ExchangeArguments = [:]
    ) {
        self.name = name
        self.type = type
        self.isDurable = isDurable
        self.isAutoDelete = isAutoDelete
        self.isInternal = isInternal
        self.arguments = arguments
    }
}

/// A queue as it is declared.
public struct AMQPQueue: Hashable, Sendable {
    /// What the broker tells about a declared queue.
    public struct State: Hashable, Sendable {
        /// The name, as chosen by the broker if none was given.
        public let name: String
        /// Messages ready for delivery.
        public let messageCount: Int
        /// Consumers of the queue.
        public let consumerCount: Int

        /// A state, for tests and stand-ins of a channel.
        public init(name: String, messageCount: Int, consumerCount: Int) {
            self.name = name
            self.messageCount = messageCount
            self.consumerCount = consumerCount
        }
    }

    /// Its name; the empty name has the broker choose one.
    public var name: String
    /// Whether it survives a restart of the broker.
    public var isDurable: Bool
    /// Whether it belongs to the connection alone, and goes away with it.
    public var isExclusive: Bool
    /// Whether it goes away with its last consumer.
    public var isAutoDelete: Bool
    /// RabbitMQ's extensions, such as `x-queue-type`.
    public var arguments: QueueArguments

    /// A queue; durable, unless said otherwise.
    public init(
        _ name: String = "",
        isDurable: Bool = true,
        isExclusive: Bool = false,
        isAutoDelete: Bool = false,
        arguments: QueueArguments = [:]
    ) {
        self.name = name
        self.isDurable = isDurable
        self.isExclusive = isExclusive
        self.isAutoDelete = isAutoDelete
        self.arguments = arguments
    }
}

/// A rule by which an exchange routes messages on.
public struct AMQPBinding: Hashable, Sendable {
    /// Where a binding leads.
    public enum Destination: Hashable, Sendable {
        /// A queue of that name.
        case queue(String)
        /// Another exchange.
        case exchange(String)
    }

    /// The exchange that routes.
    public var source: String
    /// Where it routes to.
    public var destination: Destination
    /// What the routing key of a message is compared with, as the exchange's type does.
    public var routingKey: String
    /// What a `headers` exchange compares, and others ignore.
    public var arguments: BindingArguments

    /// A binding.
    public init(
        source: String,
        destination: Destination,
        routingKey: String,
        arguments: BindingArguments = [:]
    ) {
        self.source = source
        self.destination = destination
        self.routingKey = routingKey
        self.arguments = arguments
    }
}

/// A change of a broker's exchanges, queues and bindings, as a value.
public enum TopologyOperation: Hashable, Sendable {
    /// Declares an exchange; passively, only asks whether it exists.
    case declareExchange(AMQPExchange, passive: Bool)
    /// Deletes an exchange.
    case deleteExchange(String, ifUnused: Bool)
    /// Declares a queue; passively, only asks whether it exists.
    case declareQueue(AMQPQueue, passive: Bool)
    /// Deletes a queue.
    case deleteQueue(String, ifUnused: Bool, ifEmpty: Bool)
    /// Removes the messages that are ready in a queue.
    case purgeQueue(String)
    /// Adds a binding.
    case bind(AMQPBinding)
    /// Removes a binding.
    case unbind(AMQPBinding)
}

/// What a broker answers to a ``TopologyOperation``.
public enum TopologyAnswer: Hashable, Sendable {
    /// It is done.
    case done
    /// The state of a queue that was declared.
    case queue(AMQPQueue.State)
    /// How many messages went: of a queue that was purged or deleted.
    case messages(Int)
}

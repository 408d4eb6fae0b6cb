/// What a queue is declared with beyond the standard's own flags: RabbitMQ's extensions, typed.
///
/// Combinations that a broker would refuse are refused before anything is sent, with the name of the argument, its
/// value and what to do. What is checked by type holds for the ``type`` that is given; without one, the broker uses
/// the virtual host's default type, and decides.
///
/// ```swift
/// try await channel.declareQueue("orders", arguments: QueueArguments(type: .quorum, deliveryLimit: 5))
/// ```
///
/// A dictionary literal works as well; its fields are sent as they are, unchecked, as those of ``other``.
public struct QueueArguments: Hashable, Sendable {
    /// How a queue keeps its messages.
    public enum QueueType: String, Hashable, Sendable, CaseIterable {
        /// On one node, in memory and on disk.
        case classic
        /// Replicated by consensus, always durable.
        case quorum
        /// An append-only log that many may read, each from where it likes.
        case stream
    }

    /// What happens to messages that a full queue has no room for.
    public enum Overflow: String, Hashable, Sendable, CaseIterable {
        /// The oldest message makes room, and is dead-lettered.
        case dropHead = "drop-head"
        /// The new message is refused; its publish is nacked.
        case rejectPublish = "reject-publish"
        /// The same, and the new message is dead-lettered. Classic queues only.
        case rejectPublishDLX = "reject-publish-dlx"
    }

    /// How surely a quorum queue's dead letters arrive.
    public enum DeadLetterStrategy: String, Hashable, Sendable, CaseIterable {
        /// Without confirmation: some may be lost on the way.
        case atMostOnce = "at-most-once"
        /// Kept until confirmed; needs ``QueueArguments/deadLetterExchange`` and ``Overflow/rejectPublish``.
        case atLeastOnce = "at-least-once"
    }

    /// Where a classic queue keeps its messages; of no effect since RabbitMQ 3.12.
    public enum Mode: String, Hashable, Sendable, CaseIterable {
        /// In memory as far as there is room.
        case normal = "default"
        /// On disk as early as possible.
        case lazy
    }

    /// How the node of a new queue's leader is chosen.
    public enum LeaderLocator: String, Hashable, Sendable, CaseIterable {
        /// The node that the declaring client is connected to.
        case clientLocal = "client-local"
        /// The node with the fewest leaders, or any where there are many queues.
        case balanced
    }

    /// Which deliveries that come back to a quorum queue wait before they are delivered again (RabbitMQ 4.3).
    public enum DelayedRetry: String, Hashable, Sendable, CaseIterable {
        /// None.
        case disabled
        /// All.
        case all
        /// Those whose delivery count grew.
        case failed
        /// Those whose delivery count did not grow.
        case returned
    }

    /// How the queue keeps its messages.
    ///
    /// On the wire: `x-queue-type`.
    public var type: QueueType?
    /// How long a message stays at most, in whole milliseconds.
    ///
    /// On the wire: `x-message-ttl`. Not on streams.
    public var messageTTL: Duration?
    /// How long the queue outlives its last use, in whole milliseconds, at least one.
    ///
    /// On the wire: `x-expires`. Not on streams.
    public var expires: Duration?
    /// Messages that are kept, at least one.
    ///
    /// On the wire: `x-max-length`. Not on streams.
    public var maxLength: Int?
    /// Octets of bodies that are kept, at least one.
    ///
    /// On the wire: `x-max-length-bytes`.
    public var maxLengthOctets: Int?
    /// What happens to messages that a full queue has no room for.
    ///
    /// On the wire: `x-overflow`. Not on streams.
    public var overflow: Overflow?
    /// Where rejected, expired and crowded-out messages go; empty for the default exchange.
    ///
    /// On the wire: `x-dead-letter-exchange`.
    public var deadLetterExchange: String?
    /// The routing key of dead letters, in place of the message's own; needs ``deadLetterExchange``.
    ///
    /// On the wire: `x-dead-letter-routing-key`.
    public var deadLetterRoutingKey: String?
    /// How surely dead letters arrive.
    ///
    /// On the wire: `x-dead-letter-strategy`. Quorum queues only.
    public var deadLetterStrategy: DeadLetterStrategy?
    /// 1 through 255, each priority costs; 10 are many.
    ///
    /// On the wire: `x-max-priority`. Classic queues only.
    public var maxPriority: Int?
    /// One consumer at a time gets messages, the others stand by.
    ///
    /// On the wire: `x-single-active-consumer`. Not on streams.
    public var singleActiveConsumer: Bool?
    /// How often a message may come back before it is dead-lettered or dropped.
    ///
    /// On the wire: `x-delivery-limit`. Quorum only.
    public var deliveryLimit: Int?
    /// How long a delivery may stay unsettled, in whole milliseconds; 3.12 and later.
    ///
    /// On the wire: `x-consumer-timeout`.
    public var consumerTimeout: Duration?
    /// Which deliveries that come back wait before they are delivered again.
    ///
    /// On the wire: `x-delayed-retry-type`. Quorum queues only.
    public var delayedRetry: DelayedRetry?
    /// The wait before the first retry, in whole milliseconds.
    ///
    /// On the wire: `x-delayed-retry-min`. Quorum queues only.
    public var delayedRetryMinimum: Duration?
    /// The longest wait before a retry, in whole milliseconds.
    ///
    /// On the wire: `x-delayed-retry-max`. Quorum queues only.
    public var delayedRetryMaximum: Duration?
    /// Replicas of a quorum queue, at least one.
    ///
    /// On the wire: `x-quorum-initial-group-size`.
    public var quorumInitialGroupSize: Int?
    /// How the node of the new queue's leader is chosen.
    ///
    /// On the wire: `x-queue-leader-locator`. Quorum queues and streams.
    public var leaderLocator: LeaderLocator?
    /// How long a stream keeps messages, in whole seconds, at least one.
    ///
    /// On the wire: `x-max-age`.
    public var maxAge: Duration?
    /// Octets of one file of a stream, at most 3,000,000,000.
    ///
    /// On the wire: `x-stream-max-segment-size-bytes`.
    public var streamMaxSegmentOctets: Int?
    /// Octets of a stream's filter, 16 through 255; 3.13 and later.
    ///
    /// On the wire: `x-stream-filter-size-bytes`.
    public var streamFilterOctets: Int?
    /// Replicas of a stream, at least one.
    ///
    /// On the wire: `x-initial-cluster-size`.
    public var initialClusterSize: Int?
    /// Where the queue keeps its messages.
    ///
    /// On the wire: `x-queue-mode`. Classic queues only.
    public var mode: Mode?
    /// The version of the queue's storage, 1 or 2.
    ///
    /// On the wire: `x-queue-version`. Classic queues only.
    public var version: Int?
    /// Fields without a property here; sent as they are.
    public var other: FieldTable

    /// Arguments of which those that are given are sent.
    public init(
        type: QueueType? = nil,
        messageTTL: Duration? = nil,
        expires: Duration? = nil,
        maxLength: Int? = nil,
        maxLengthOctets: Int? = nil,
        overflow: Overflow? = nil,
        deadLetterExchange: String? = nil,
        deadLetterRoutingKey: String? = nil,
        deadLetterStrategy: DeadLetterStrategy? = nil,
        maxPriority: Int? = nil,
        singleActiveConsumer: Bool? = nil,
        deliveryLimit: Int? = nil,
        consumerTimeout: Duration? = nil,
        delayedRetry: DelayedRetry? = nil,
        delayedRetryMinimum: Duration? = nil,
        delayedRetryMaximum: Duration? = nil,
        quorumInitialGroupSize: Int? = nil,
        leaderLocator: LeaderLocator? = nil,
        maxAge: Duration? = nil,
        streamMaxSegmentOctets: Int? = nil,
        streamFilterOctets: Int? = nil,
        initialClusterSize: Int? = nil,
        mode: Mode? = nil,
        version: Int? = nil,
        other: FieldTable = [:]
    ) {
        self.type = type
        self.messageTTL = messageTTL
        self.expires = expires
        self.maxLength = maxLength
        self.maxLengthOctets = maxLengthOctets
        self.overflow = overflow
        self.deadLetterExchange = deadLetterExchange
        self.deadLetterRoutingKey = deadLetterRoutingKey
        self.deadLetterStrategy = deadLetterStrategy
        self.maxPriority = maxPriority
        self.singleActiveConsumer = singleActiveConsumer
        self.deliveryLimit = deliveryLimit
        self.consumerTimeout = consumerTimeout
        self.delayedRetry = delayedRetry
        self.delayedRetryMinimum = delayedRetryMinimum
        self.delayedRetryMaximum = delayedRetryMaximum
        self.quorumInitialGroupSize = quorumInitialGroupSize
        self.leaderLocator = leaderLocator
        self.maxAge = maxAge
        self.streamMaxSegmentOctets = streamMaxSegmentOctets
        self.streamFilterOctets = streamFilterOctets
        self.initialClusterSize = initialClusterSize
        self.mode = mode
        self.version = version
        self.other = other
    }
}

extension QueueArguments: ExpressibleByDictionaryLiteral {
    /// No arguments.
    public init() { self.init(type: nil) }

    /// Fields that are sent as they are, unchecked.
    public init(dictionaryLiteral elements: (String, FieldValue)...) {
        self.init(other: FieldTable(elements))
    }
}

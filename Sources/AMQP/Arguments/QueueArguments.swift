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

    /// `x-queue-type`
    public var type: QueueType?
    /// `x-message-ttl`: how long a message stays at most, in whole milliseconds. Not on streams.
    public var messageTTL: Duration?
    /// `x-expires`: how long the queue outlives its last use, in whole milliseconds, at least one. Not on streams.
    public var expires: Duration?
    /// `x-max-length`: messages that are kept, at least one. Not on streams.
    public var maxLength: Int?
    /// `x-max-length-bytes`: octets of bodies that are kept, at least one.
    public var maxLengthOctets: Int?
    /// `x-overflow`. Not on streams.
    public var overflow: Overflow?
    /// `x-dead-letter-exchange`: where rejected, expired and crowded-out messages go; empty for the default exchange.
    public var deadLetterExchange: String?
    /// `x-dead-letter-routing-key`: in place of the message's own; needs ``deadLetterExchange``.
    public var deadLetterRoutingKey: String?
    /// `x-dead-letter-strategy`. Quorum queues only.
    public var deadLetterStrategy: DeadLetterStrategy?
    /// `x-max-priority`: 1 through 255, each priority costs; 10 are many. Classic queues only.
    public var maxPriority: Int?
    /// `x-single-active-consumer`: one consumer at a time gets messages, the others stand by. Not on streams.
    public var singleActiveConsumer: Bool?
    /// `x-delivery-limit`: how often a message may come back before it is dead-lettered or dropped. Quorum only.
    public var deliveryLimit: Int?
    /// `x-consumer-timeout`: how long a delivery may stay unsettled, in whole milliseconds; 3.12 and later.
    public var consumerTimeout: Duration?
    /// `x-delayed-retry-type`. Quorum queues only.
    public var delayedRetry: DelayedRetry?
    /// `x-delayed-retry-min`: the wait before the first retry, in whole milliseconds. Quorum queues only.
    public var delayedRetryMinimum: Duration?
    /// `x-delayed-retry-max`: the longest wait before a retry, in whole milliseconds. Quorum queues only.
    public var delayedRetryMaximum: Duration?
    /// `x-quorum-initial-group-size`: replicas of a quorum queue, at least one.
    public var quorumInitialGroupSize: Int?
    /// `x-queue-leader-locator`. Quorum queues and streams.
    public var leaderLocator: LeaderLocator?
    /// `x-max-age`: how long a stream keeps messages, in whole seconds, at least one.
    public var maxAge: Duration?
    /// `x-stream-max-segment-size-bytes`: octets of one file of a stream, at most 3,000,000,000.
    public var streamMaxSegmentOctets: Int?
    /// `x-stream-filter-size-bytes`: octets of a stream's filter, 16 through 255; 3.13 and later.
    public var streamFilterOctets: Int?
    /// `x-initial-cluster-size`: replicas of a stream, at least one.
    public var initialClusterSize: Int?
    /// `x-queue-mode`. Classic queues only.
    public var mode: Mode?
    /// `x-queue-version`: 1 or 2. Classic queues only.
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
    /// Fields that are sent as they are, unchecked.
    public init(dictionaryLiteral elements: (String, FieldValue)...) {
        self.init(other: FieldTable(elements))
    }
}

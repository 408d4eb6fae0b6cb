internal import Transport

/// An answer to a call, with the message that `basic.get` fetches.
struct ChannelAnswer: Sendable {
    var method: Method
    var delivery: AMQPDelivery?
}

/// The half of a channel that lives on the event loop, inside its connection.
final class ChannelCore {
    final class Consumer {
        let inbox: ConsumerInbox
        let needsAcknowledgement: Bool
        /// Whether it consumes RabbitMQ's pseudo-queue for direct replies.
        let takesDirectReplies: Bool
        /// Set when nobody takes deliveries any more; those on the way go back to their queue.
        var isAbandoned = false
        /// Who waits for its end to start another one of its name.
        var successors: [Waiter<Void>] = []
        /// What the octets just read have brought; handed over together.
        var arrived = DeliveryBuffer()

        init(inbox: ConsumerInbox, needsAcknowledgement: Bool, takesDirectReplies: Bool) {
            self.inbox = inbox
            self.needsAcknowledgement = needsAcknowledgement
            self.takesDirectReplies = takesDirectReplies
        }
    }

    let number: UInt16
    let instance: UInt64
    let mailbox: ChannelMailbox
    var machine: ChannelStateMachine
    var assembler: ContentAssembler
    var acks = AckCoalescer()
    var consumers: [String: Consumer] = [:] {
        didSet { lastConsumer = nil }
    }
    private var lastConsumer: (tag: String, consumer: Consumer)?
    var publishEncoder: PublishEncoder
    /// The look into the mailbox that follows deliveries by itself; see ``AMQPConnection/expectSettlements(_:)``.
    var settlementTimer: TimerID?
    /// Acknowledgements for which that look is not waited.
    var settlementPatience = ChannelCore.largestPatience
    var calls: [ChannelStateMachine.CallID: Waiter<ChannelAnswer>] = [:]
    /// Calls of `basic.get` in order, with whether each loan needs an acknowledgement.
    var gets = RingBuffer<Bool>()
    /// Present once publishes are confirmed.
    var confirms: ConfirmTracker<PublishOperation>?
    /// Whether the broker has answered that it confirms.
    var isConfirming = false
    /// Whether messages were published before publishes were confirmed: their returns belong to no confirmation.
    var hasPublishedUntracked = false
    /// Deliveries that a consumer may have whose caller does not say.
    var usualPrefetch: UInt16 = 100
    /// What the broker was told last that each consumer started next may have; nil before that was ever said.
    var consumerPrefetch: UInt16?
    /// Deliveries that all consumers together may have; zero means no limit.
    var channelPrefetch: UInt16 = 0
    /// Whether publishes and settlements wait for a commit; never together with ``confirms``.
    var isTransactional = false
    /// Calls of `basic.recover` that are unanswered; settlements wait until then, and are void.
    var recoveries = 0
    /// Publishes that wait for room in the window, for the stream or for the broker.
    var waiting = PublishQueue()
    /// Publishes that were cancelled since what waits was last searched for them.
    var cancelledInLine = 0
    /// The same for those that wait to be confirmed.
    var cancelledInWindow = 0
    /// The body being sent; nothing else may leave on this channel before its end.
    var unsent: UnsentBody?
    /// Methods that wait for the end of the body, encoded.
    var deferred: [UInt8] = []
    var isFlowActive = true
    /// The search for cancelled publishes that others wait for; see ``AMQPConnection/pump(_:)``.
    var windowTimer: TimerID?
    var sweep: (timer: TimerID, at: ContinuousClock.Instant)?
    private var lastConsumerNumber = 0
    private var lastCall: ChannelStateMachine.CallID = 0

    // Storage that is used again and again, so that the hot paths allocate nothing.
    var taken = ChannelMailbox.Contents()
    var ackFrames: [AckCoalescer.Frame] = []
    var settled: [ConfirmTracker<PublishOperation>.Settled] = []

    init(number: UInt16, instance: UInt64, mailbox: ChannelMailbox, maximumBodySize: Int) {
        self.number = number
        self.instance = instance
        self.mailbox = mailbox
        machine = ChannelStateMachine(number: number)
        publishEncoder = PublishEncoder(channel: number)
        assembler = ContentAssembler(maximumBodySize: maximumBodySize)
    }

    static let largestPatience = 256

    /// Finds a consumer; the one of the last delivery at once.
    func consumer(_ tag: String) -> Consumer? {
        if let lastConsumer, lastConsumer.tag == tag { return lastConsumer.consumer }
        guard let consumer = consumers[tag] else { return nil }
        lastConsumer = (tag, consumer)
        return consumer
    }

    /// Acknowledgements wait for company no longer than a quarter of the smallest prefetch window lasts.
    func limitPatience(prefetch: UInt16) {
        guard prefetch > 0 else { return }
        settlementPatience = max(1, min(settlementPatience, Int(prefetch) / 4))
    }

    /// Names a call; without a waiter, its answer interests nobody.
    func newCall(_ waiter: Waiter<ChannelAnswer>?) -> ChannelStateMachine.CallID {
        lastCall += 1
        if let waiter { calls[lastCall] = waiter }
        return lastCall
    }

    /// A short name, so that it needs no allocation when it comes back with each delivery.
    func newConsumerTag() -> String {
        lastConsumerNumber += 1
        return "consumer-\(lastConsumerNumber)"
    }
}

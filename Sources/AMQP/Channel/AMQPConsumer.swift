/// A subscription to a queue.
///
/// Many tasks may take from it at once, each delivery goes to one of them:
/// `while let delivery = try await consumer.next() { … }`. A task that finds a delivery waiting takes it without
/// changing threads. As a sequence it is the same: `for try await delivery in consumer`.
///
/// It ends in order, with `nil`, after ``cancel()`` or the closing of its channel by this side; and with an error when
/// the broker cancels it, closes the channel or is lost. Once nothing refers to it any more it is cancelled, and what it
/// has goes back to the queue.
public final class AMQPConsumer: Sendable {
    /// The channel on which its deliveries are settled.
    public let channel: AMQPChannel
    /// The queue that it takes from.
    public let queue: String
    /// Its name on the channel.
    public let tag: String

    private let inbox: ConsumerInbox

    init(channel: AMQPChannel, queue: String, tag: String, inbox: ConsumerInbox) {
        self.channel = channel
        self.queue = queue
        self.tag = tag
        self.inbox = inbox
    }

    deinit {
        guard !inbox.hasEnded else { return }
        let (channel, tag, inbox) = (channel, tag, inbox)
        channel.connection.loop.execute { channel.connection.assumeIsolated { $0.dropped(tag, inbox, on: channel) } }
    }

    /// The next delivery, or `nil` at the end.
    ///
    /// - Throws: ``AMQPError``: why the consumer ended, or `.cancelled` when the task is; the consumer goes on then.
    public func next() async throws(AMQPError) -> AMQPDelivery? {
        try await inbox.next()
    }

    /// Takes deliveries that have arrived, and waits for none.
    public func takeAvailable(upTo maximum: Int = .max) -> [AMQPDelivery] {
        inbox.takeAvailable(maximum)
    }

    /// Calls back once when the consumer ends, with an error unless in order; or at once if it has.
    ///
    /// The callback must not block.
    package func onEnd(_ body: @escaping @Sendable (AMQPError?) -> Void) {
        inbox.onEnd(body)
    }

    /// Stops the flow of deliveries.
    ///
    /// What has arrived can still be taken, and must be settled, or goes back when the channel closes. What comes until
    /// the broker answers, and is more than may wait in the process, goes back at once; with `noAck` it is lost.
    ///
    /// - Throws: ``AMQPError``, if the channel ends or does not answer in time.
    public func cancel() async throws(AMQPError) {
        try await channel.connection.cancel(tag, inbox, on: channel)
    }
}

extension AMQPConsumer: AsyncSequence {
    /// Takes deliveries from the consumer that it came from.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let consumer: AMQPConsumer

        /// The next delivery, or `nil` at the end.
        public mutating func next() async throws(AMQPError) -> AMQPDelivery? {
            try await consumer.next()
        }

        /// The next delivery, or `nil` at the end; the isolation makes no difference.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(AMQPError) -> AMQPDelivery? {
            try await consumer.next()
        }
    }

    /// A way to take deliveries; several share them.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(consumer: self)
    }
}

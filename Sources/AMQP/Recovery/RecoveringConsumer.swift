/// A subscription to a queue that goes on over recoveries.
///
/// Many tasks may take from it at once, each delivery goes to one of them. What was delivered over a connection that is
/// lost comes again over the next one, marked as redelivered.
///
/// It ends in order, with `nil`, after ``cancel()`` or the closing of its channel or connection by this side; else with
/// the error for which it could not go on. Once nothing refers to it any more it is cancelled, and what it has goes back
/// to the queue.
public final class RecoveringConsumer: Sendable {
    /// The channel on which its deliveries are settled.
    public var channel: RecoveringChannel { subscription.channel }
    /// The queue that it takes from, by the name that it was started with.
    public var queue: String { subscription.queue }
    /// Its name on the channel.
    public var tag: String { subscription.tag }

    private let subscription: ConsumerSubscription

    init(_ subscription: ConsumerSubscription) {
        self.subscription = subscription
    }

    deinit { subscription.leave() }

    /// The next delivery, or `nil` at the end; waits through outages.
    ///
    /// - Throws: ``AMQPError``: why the consumer ended, or `.cancelled` when the task is; the consumer goes on then.
    public func next() async throws(AMQPError) -> AMQPDelivery? {
        try await subscription.next()
    }

    /// Takes deliveries that have arrived, and waits for none.
    public func takeAvailable(upTo maximum: Int = .max) -> [AMQPDelivery] {
        subscription.gate.latest?.takeAvailable(upTo: maximum) ?? []
    }

    /// Stops the flow of deliveries.
    ///
    /// What has arrived can still be taken, and must be settled, or goes back when the channel closes.
    ///
    /// - Throws: ``AMQPError``, if the channel does not answer in time; it is not resumed in any case.
    public func cancel() async throws(AMQPError) {
        subscription.leave()
        guard let physical = subscription.gate.latest, physical.channel.closeReason == nil else { return }
        do throws(AMQPError) {
            try await physical.cancel()
        } catch {
            // With its channel it has ended as well.
            if physical.channel.closeReason == nil { throw error }
        }
    }
}

extension RecoveringConsumer: AsyncSequence {
    /// Takes deliveries from the consumer that it came from.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let consumer: RecoveringConsumer

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

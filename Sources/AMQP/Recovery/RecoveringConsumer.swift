/// A subscription to a queue that goes on over recoveries.
///
/// Many tasks may take from it at once, each delivery goes to one of them. What was delivered over a connection that is
/// lost comes again over the next one, marked as redelivered.
///
/// It ends in order, with `nil`, after ``cancel()`` or the closing of its channel or connection by this side; else with
/// the error for which it could not go on.
public final class RecoveringConsumer: Sendable {
    struct Start: Sendable {
        let prefetch: UInt16?
        let noAck: Bool
        let isExclusive: Bool
        let arguments: ConsumerArguments

        func perform(
            _ queue: String,
            tag: String,
            on channel: AMQPChannel
        ) async throws(AMQPError) -> AMQPConsumer {
            try await channel.consume(
                queue,
                prefetch: prefetch,
                noAck: noAck,
                exclusive: isExclusive,
                tag: tag,
                arguments: arguments
            )
        }

        /// Ends what was started and is nobody's any more; what it has goes back.
        func discard(_ physical: AMQPConsumer) async {
            // Where this fails, the channel is at its end, and the deliveries go back with it.
            _ = try? await physical.cancel()
            giveBack(physical)
        }

        /// Gives back what has arrived and nobody took.
        func giveBack(_ physical: AMQPConsumer) {
            guard !noAck else { return }
            // Of a channel that is gone they go back by themselves.
            for delivery in physical.takeAvailable() { _ = try? physical.channel.nack(delivery.tag, requeue: true) }
        }
    }

    /// The channel on which its deliveries are settled.
    public let channel: RecoveringChannel
    /// The queue that it takes from, by the name that it was started with.
    public let queue: String
    /// Its name on the channel.
    public let tag: String

    let id: RecoveryStateMachine.ID
    let gate: Gate<AMQPConsumer>
    let start: Start

    init(
        _ channel: RecoveringChannel,
        _ id: RecoveryStateMachine.ID,
        _ queue: String,
        _ tag: String,
        _ start: Start,
        _ physical: AMQPConsumer
    ) {
        self.channel = channel
        self.id = id
        self.queue = queue
        self.tag = tag
        self.start = start
        gate = Gate(physical, "consumer")
    }

    /// The next delivery, or `nil` at the end; waits through outages.
    ///
    /// - Throws: ``AMQPError``: why the consumer ended, or `.cancelled` when the task is; the consumer goes on then.
    public func next() async throws(AMQPError) -> AMQPDelivery? {
        var dead: AMQPConsumer?
        while true {
            let physical: AMQPConsumer
            do throws(AMQPError) {
                // What the last one has is taken before the end is told.
                physical = try await gate.value(besides: dead, before: nil, lastServes: true)
            } catch {
                if error.code == .closed { return nil }
                throw error
            }
            do throws(AMQPError) {
                if let delivery = try await physical.next() { return delivery }
            } catch {
                if error.code == .cancelled { throw error }
            }
            dead = physical
        }
    }

    /// Takes deliveries that have arrived, and waits for none.
    public func takeAvailable(upTo maximum: Int = .max) -> [AMQPDelivery] {
        gate.latest?.takeAvailable(upTo: maximum) ?? []
    }

    /// Stops the flow of deliveries.
    ///
    /// What has arrived can still be taken, and must be settled, or goes back when the channel closes.
    ///
    /// - Throws: ``AMQPError``, if the channel does not answer in time; it is not resumed in any case.
    public func cancel() async throws(AMQPError) {
        channel.connection.change { registry in
            registry.machine.removeConsumer(id)
            registry.consumers[id] = nil
        }
        gate.close(AMQPError(.closed, "the consumer was cancelled by this side"))
        guard let physical = gate.latest, physical.channel.closeReason == nil else { return }
        do throws(AMQPError) {
            try await physical.cancel()
        } catch {
            // With its channel it has ended as well.
            if physical.channel.closeReason == nil { throw error }
        }
    }

    // MARK: Recovery

    /// Goes on with the next physical consumer; what the last one had and nobody took goes back.
    ///
    /// - Returns: False if it has ended meanwhile.
    func replace(with physical: AMQPConsumer) -> Bool {
        let last = gate.latest
        guard gate.open(physical) else { return false }
        if let last { start.giveBack(last) }
        return true
    }

    /// Ends gracefully with its connection.
    func stop(_ reason: AMQPError) async {
        gate.close(reason)
        if let physical = gate.latest { await start.discard(physical) }
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

/// What recovery knows of a consumer, which ends with the last reference of its user's to it, and not with this.
final class ConsumerSubscription: Sendable {
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

    let channel: RecoveringChannel
    let queue: String
    let tag: String
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
    func next() async throws(AMQPError) -> AMQPDelivery? {
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

    /// Has it resumed no more; the physical consumer ends by being cancelled, or once nothing refers to it.
    func leave() {
        guard gate.closeReason == nil else { return }
        channel.connection.change { registry in
            registry.machine.removeConsumer(id)
            registry.consumers[id] = nil
        }
        gate.close(AMQPError(.closed, "the consumer was cancelled by this side"))
    }

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

internal import Synchronization

/// A channel that outlives its connections and its own errors.
///
/// What the broker refuses closes a channel; this one is opened again, its consumers are resumed, and the error goes to
/// the call that caused it. Its deliveries cannot outlive the channel that they came over: settling them later fails
/// with `.staleDelivery`, and the broker delivers them again.
public final class RecoveringChannel: Sendable {
    /// The logical connection that the channel belongs to.
    public let connection: RecoveringConnection

    let id: RecoveryStateMachine.ID
    let gate: Gate<AMQPChannel>

    private struct Memory: Sendable {
        var prefetches: [AMQPChannel.PrefetchScope: UInt16] = [:]
        var onReturn: (@Sendable (ReturnedMessage, AMQPMessage) -> Void)?
        var lastTag = 0
    }
    private let memory = Mutex(Memory())

    init(_ connection: RecoveringConnection, id: RecoveryStateMachine.ID, _ physical: AMQPChannel) {
        self.connection = connection
        self.id = id
        gate = Gate(physical, "channel")
    }

    /// What is to be set again.
    var prefetches: [AMQPChannel.PrefetchScope: UInt16] { memory.withLock { $0.prefetches } }

    /// Limits the deliveries that may be unsettled at once, also after a recovery.
    ///
    /// - Parameters:
    ///   - prefetch: Messages; zero means no limit.
    ///   - scope: Whom it limits. What was set last for each is set again.
    /// - Throws: ``AMQPError``, if the channel does not answer in time.
    /// - SeeAlso: ``AMQPChannel/setPrefetch(_:scope:)``.
    public func setPrefetch(
        _ prefetch: UInt16,
        scope: AMQPChannel.PrefetchScope = .consumer
    ) async throws(AMQPError) {
        memory.withLock { $0.prefetches[scope] = prefetch }
        _ = try await repeating { channel throws(AMQPError) in
            try await channel.setPrefetch(prefetch, scope: scope)
        }
    }

    /// Calls back with mandatory messages that came back and were published with ``publishUnconfirmed(_:timeout:)``,
    /// also after a recovery.
    ///
    /// - SeeAlso: ``AMQPChannel/onReturn(_:)``.
    public func onReturn(_ body: @escaping @Sendable (ReturnedMessage, AMQPMessage) -> Void) {
        memory.withLock { $0.onReturn = body }
        if let channel = gate.latest { hearReturns(of: channel) }
    }

    /// Passes the callback on to a channel, after that has become the present one.
    func hearReturns(of channel: AMQPChannel) {
        if let body = memory.withLock({ $0.onReturn }) { channel.onReturn(body) }
    }

    /// Closes the channel and ends its consumers: settlements already asked for are sent first.
    public func close() async {
        let closed = AMQPError(.closed, "the channel was closed by this side")
        let consumers = connection.change { registry in
            registry.machine.removeChannel(id)
            registry.channels[id] = nil
            let consumers = registry.consumers.filter { $0.value.channel.id == id }
            for consumer in consumers.keys { registry.consumers[consumer] = nil }
            return Array(consumers.values)
        }
        gate.close(closed)
        await gate.latest?.close()
        for consumer in consumers { consumer.gate.close(closed) }
    }

    // MARK: Settling

    /// Settles a delivery as done.
    ///
    /// Callable from any thread; returns at once. What the broker has not heard of when the connection is lost, it
    /// delivers again.
    ///
    /// - Throws: ``AMQPError`` `.staleDelivery` for a delivery of a channel that is gone: it is on its way back to its
    ///   queue.
    public func acknowledge(_ tag: DeliveryTag) throws(AMQPError) {
        try channel(of: tag).acknowledge(tag)
    }

    /// Gives a delivery back to its queue, or drops it: to the dead-letter exchange, if the queue has one.
    ///
    /// - Throws: As ``acknowledge(_:)``.
    public func reject(_ tag: DeliveryTag, requeue: Bool) throws(AMQPError) {
        try channel(of: tag).reject(tag, requeue: requeue)
    }

    /// The same as ``reject(_:requeue:)`` with RabbitMQ's own method.
    ///
    /// - Throws: As ``acknowledge(_:)``.
    public func nack(_ tag: DeliveryTag, requeue: Bool) throws(AMQPError) {
        try channel(of: tag).nack(tag, requeue: requeue)
    }

    private func channel(of tag: DeliveryTag) throws(AMQPError) -> AMQPChannel {
        guard let channel = gate.latest, channel.instance == tag.instance else { throw .stale(tag) }
        return channel
    }

    // MARK: Consuming

    /// What becomes of a consumer that the broker cancels, as it does when the queue is deleted or moves.
    public enum CancelPolicy: Hashable, Sendable {
        /// The queue is declared again with its bindings, if this connection had declared it, and consumed again, with
        /// pauses; after `Options.consumerAttempts` failures in a row the consumer ends with the last error.
        case resume
        /// The consumer ends with `.consumerCancelled`.
        case end
    }

    /// Starts a consumer that goes on over recoveries.
    ///
    /// - Parameters:
    ///   - queue: The queue to consume.
    ///   - prefetch: How many unacknowledged deliveries the broker may have outstanding to this consumer; zero means no
    ///     limit. It bounds what waits in the process, too. Unless given, what ``setPrefetch(_:scope:)`` has said, or 100.
    ///   - noAck: The broker forgets a message once it is sent; what is on its way when a connection is lost, is lost.
    ///   - exclusive: Whether the queue is to have no other consumer.
    ///   - tag: The consumer's name on this channel, the same after a recovery; chosen if not given.
    ///   - arguments: Checked before anything is sent.
    ///   - whenCancelled: What follows when the broker cancels it.
    /// - Throws: ``AMQPError``: `.notFound`, `.resourceLocked`, `.accessRefused`; `.timedOut` if there is no connection
    ///   for `Options.connection.callTimeout`.
    public func consume(
        _ queue: String,
        prefetch: UInt16? = nil,
        noAck: Bool = false,
        exclusive: Bool = false,
        tag: String? = nil,
        arguments: ConsumerArguments = [:],
        whenCancelled: CancelPolicy = .resume
    ) async throws(AMQPError) -> RecoveringConsumer {
        let tag = tag ?? newTag()
        let start = ConsumerSubscription.Start(
            prefetch: prefetch,
            noAck: noAck,
            isExclusive: exclusive,
            arguments: arguments
        )
        let started = try await repeating { [connection] channel throws(AMQPError) in
            try await start.perform(connection.currentName(ofQueue: queue), tag: tag, on: channel)
        }
        return try await adopt(started, start, queue: queue, tag: tag, whenCancelled)
    }

    /// Has a consumer that was started on the present channel go on over recoveries.
    ///
    /// - Throws: ``AMQPError``: why the channel is closed, if it has been meanwhile; the consumer is cancelled then.
    func adopt(
        _ started: AMQPConsumer,
        _ start: ConsumerSubscription.Start,
        queue: String,
        tag: String,
        _ whenCancelled: CancelPolicy
    ) async throws(AMQPError) -> RecoveringConsumer {
        let adopted: ConsumerSubscription? = connection.change { registry in
            let consumer = ConsumerSubscription(self, registry.machine.newID(), queue, tag, start, started)
            let isInTime = registry.machine.addConsumer(
                consumer.id,
                channel: id,
                instance: started.channel.instance,
                queue: queue,
                tag: tag,
                endsWhenCancelled: whenCancelled == .end
            )
            guard isInTime else { return nil }
            registry.consumers[consumer.id] = consumer
            return consumer
        }
        guard let adopted else {
            await start.discard(started)
            throw gate.closeReason ?? AMQPError(.closed, "the channel was closed while a consumer was being started")
        }
        connection.observe(started, of: adopted)
        return RecoveringConsumer(adopted)
    }

    private func newTag() -> String {
        memory.withLock { memory in
            memory.lastTag += 1
            return "consumer-\(memory.lastTag)"
        }
    }

    /// Fetches one message, or `nil` if none is ready.
    ///
    /// No way to wait for messages: see ``AMQPChannel/get(_:noAck:)``.
    ///
    /// - Throws: ``AMQPError``; what was fetched when the connection was lost is delivered again, unless `noAck`.
    public func get(_ queue: String, noAck: Bool = false) async throws(AMQPError) -> AMQPDelivery? {
        // Without acknowledgement a message may be lost with the answer, which the caller should know.
        if noAck {
            let deadline = ContinuousClock.now + connection.options.connection.callTimeout
            let channel = try await gate.value(besides: nil, before: deadline)
            return try await channel.get(connection.currentName(ofQueue: queue), noAck: true)
        }
        return try await repeating { [connection] channel throws(AMQPError) in
            try await channel.get(connection.currentName(ofQueue: queue))
        }
    }

    // MARK: Calls

    /// Makes a call that may be made again, until it is answered or the time for calls is over.
    func repeating<R: Sendable>(
        _ body: (AMQPChannel) async throws(AMQPError) -> R
    ) async throws(AMQPError) -> R {
        let deadline = ContinuousClock.now + connection.options.connection.callTimeout
        var dead: AMQPChannel?
        while true {
            let channel = try await gate.value(besides: dead, before: deadline)
            do throws(AMQPError) {
                return try await body(channel)
            } catch {
                guard error.isInterruption, ContinuousClock.now < deadline else { throw error }
                dead = channel
            }
        }
    }
}

extension RecoveringChannel: AMQPTopology {
    /// Performs an operation on the broker's topology; what succeeds is done again after a recovery, deletions
    /// included.
    ///
    /// During an outage it waits for the next connection, up to `Options.connection.callTimeout`.
    ///
    /// - Throws: ``AMQPError``: `.notFound`, `.preconditionFailed`, `.resourceLocked`, `.accessRefused`; the channel is
    ///   opened again then, and what was refused is not recorded.
    public func perform(_ operation: TopologyOperation) async throws(AMQPError) -> TopologyAnswer {
        try await repeating { [connection, id] channel throws(AMQPError) in
            // With each channel anew: a queue that the server named may have another name after the wait.
            let operation = connection.registry.withLock { registry in
                let operation = registry.machine.topology.translated(operation)
                registry.machine.willPerform(operation)
                return operation
            }
            do throws(AMQPError) {
                let answer = try await channel.perform(operation)
                connection.change {
                    $0.machine.performed(operation, answer, channel: id, instance: channel.instance)
                }
                return answer
            } catch {
                connection.change { $0.machine.performed(operation, nil, channel: id, instance: nil) }
                throw error
            }
        }
    }
}

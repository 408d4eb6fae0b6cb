internal import FoundationEssentials
internal import Synchronization

/// A broker inside this process; everything in it is lost when the process ends.
///
/// The default of an application without a broker's URL, and the broker of tests. Its semantics are a real broker's:
/// acknowledgement, redelivery to the place in the queue a message came from, prefetch, priorities, expiry and delays.
/// Only the default exchange exists, so a message goes straight to the queue that its routing key names.
///
/// A consumer fetches nothing ahead: a message counts as ready until somebody takes it.
public final class MemoryBroker: Broker, DeliverySource {
    fileprivate enum Outcome: Sendable {
        case granted(MemoryQueues.Grant)
        case stopped
        case cancelled
    }

    private struct State {
        var queues: MemoryQueues
        var continuations: [MemoryQueues.WaiterID: CheckedContinuation<Outcome, Never>] = [:]
        var lastWaiter: MemoryQueues.WaiterID = 0
        var isClosed = false

        mutating func resumptions(of wakes: [MemoryQueues.Wake]) -> [Resumption] {
            wakes.compactMap { wake in
                continuations.removeValue(forKey: wake.waiter).map { Resumption($0, .granted(wake.grant)) }
            }
        }

        mutating func resumptions(of waiters: [MemoryQueues.WaiterID], as outcome: Outcome) -> [Resumption] {
            waiters.compactMap { waiter in
                continuations.removeValue(forKey: waiter).map { Resumption($0, outcome) }
            }
        }
    }

    /// Carried out after the lock is released.
    private struct Resumption: Sendable {
        let continuation: CheckedContinuation<Outcome, Never>
        let outcome: Outcome

        init(_ continuation: CheckedContinuation<Outcome, Never>, _ outcome: Outcome) {
            self.continuation = continuation
            self.outcome = outcome
        }

        func run() { continuation.resume(returning: outcome) }
    }

    private let time: any TimeSource
    private let alarm: Alarm
    private let state: Mutex<State>

    /// An empty broker.
    ///
    /// - Parameters:
    ///   - maximumOctets: The most that is kept, counting ready, delayed and unsettled messages with their headers;
    ///     beyond, publishing is refused.
    ///   - time: The clock of delays and expiry.
    public init(maximumOctets: Int = 1 << 30, time: any TimeSource = SystemTimeSource()) {
        self.time = time
        alarm = Alarm(time: time)
        state = Mutex(State(queues: MemoryQueues(maximumOctets: maximumOctets)))
    }

    /// `memory://`.
    public var address: String { "memory://" }

    /// Does nothing, as there is nothing to connect to.
    public func open(within timeout: Duration) async throws(CeleriacError) {
        try withQueues { _, _ in }
    }

    /// Creates a queue, or adopts the one of that name as it stands.
    public func declare(_ queue: QueueDeclaration) async throws(CeleriacError) -> String? {
        try withQueues { queues, _ in queues.declare(queue) }
    }

    /// Puts a message into the queue that the routing key names; never waits.
    ///
    /// - Throws: ``CeleriacError``: `.unroutable` without such a queue or through a named exchange, `.refused` beyond the
    ///   limit, `.closed`.
    public func publish(
        _ message: Message,
        to route: Route,
        delay: Duration?,
        within timeout: Duration
    ) async throws(CeleriacError) {
        guard route.exchange.isEmpty else {
            throw CeleriacError(
                .unroutable,
                "no exchange \"\(route.exchange)\": the broker in memory has the default exchange only"
            )
        }
        let now = time.now
        let (publication, resumptions) = try withState { state -> (MemoryQueues.Publication, [Resumption]) in
            if let queue = route.queue { _ = state.queues.declare(queue) }
            let publication = state.queues.publish(message, to: route.routingKey, delay: delay, at: now)
            guard case .stored(let wakes) = publication else { return (publication, []) }
            return (publication, state.resumptions(of: wakes))
        }
        switch publication {
        case .stored:
            for resumption in resumptions { resumption.run() }
        case .delayed(let due):
            setAlarm(for: due)
        case .noQueue:
            throw CeleriacError(.unroutable, "no queue \"\(route.routingKey)\" in memory")
        case .full(let held):
            throw CeleriacError(
                .refused,
                "the broker in memory is full: \(held) octets held, the message does not fit its limit any more"
            )
        }
    }

    /// Starts to consume queues, declaring them first.
    public func consume(
        _ queues: [QueueDeclaration],
        prefetch: Int
    ) async throws(CeleriacError) -> any MessageConsumer {
        let id = try withQueues { state, _ in state.subscribe(to: queues, prefetch: prefetch) }
        return MemoryConsumer(id: id, broker: self)
    }

    /// Messages ready in a queue; `nil` if there is no such queue.
    public func depth(of queue: QueueName) async throws(CeleriacError) -> Int? {
        try withQueues { queues, now in queues.depth(of: queue, at: now) }
    }

    /// Takes one message without subscribing; `nil` when none is ready.
    ///
    /// - Throws: ``CeleriacError``: `.notFound` without such a queue, `.closed`.
    public func get(_ queue: QueueName) async throws(CeleriacError) -> Delivery? {
        switch try withQueues({ queues, now in queues.get(queue, at: now) }) {
        case .granted(let grant): return delivery(of: grant)
        case .nothing, .stopped: return nil
        case nil: throw CeleriacError(.notFound, "no queue \"\(queue)\" in memory")
        }
    }

    /// Drops all ready messages of a queue.
    ///
    /// - Throws: ``CeleriacError``: `.notFound` without such a queue, `.closed`.
    @discardableResult
    public func purge(_ queue: QueueName) async throws(CeleriacError) -> Int {
        guard let count = try withQueues({ queues, now in queues.purge(queue, at: now) }) else {
            throw CeleriacError(.notFound, "no queue \"\(queue)\" in memory")
        }
        return count
    }

    /// Ends the consumers and forgets all messages; later calls fail with `.closed`.
    public func close(grace: Duration) async {
        alarm.cancel()
        let resumptions = state.withLock { state in
            state.isClosed = true
            return state.resumptions(of: state.queues.close(), as: .stopped)
        }
        for resumption in resumptions { resumption.run() }
    }

    /// Notes how a delivery ends.
    public func settle(_ tag: UInt64, as settlement: Settlement) {
        let now = time.now
        let resumptions = state.withLock { state in
            state.resumptions(of: state.queues.settle(tag, as: settlement, at: now))
        }
        for resumption in resumptions { resumption.run() }
    }

    private func withState<Value: Sendable>(_ body: (inout State) -> Value) throws(CeleriacError) -> Value {
        let value: Value? = state.withLock { state in state.isClosed ? nil : body(&state) }
        guard let value else { throw CeleriacError(.closed, "the broker in memory was closed") }
        return value
    }

    private func withQueues<Value: Sendable>(
        _ body: (inout MemoryQueues, Date) -> Value
    ) throws(CeleriacError) -> Value {
        let now = time.now
        return try withState { state in body(&state.queues, now) }
    }

    private func setAlarm(for due: Date) {
        alarm.set(for: due) { [weak self] in self?.releaseDue() }
    }

    private func releaseDue() {
        let now = time.now
        let (resumptions, due) = state.withLock { state in
            (state.resumptions(of: state.queues.releaseDue(at: now)), state.queues.firstDue)
        }
        for resumption in resumptions { resumption.run() }
        if let due { setAlarm(for: due) }
    }
}

// MARK: Consumers

extension MemoryBroker {
    fileprivate func next(for consumer: MemoryQueues.ConsumerID) async throws(CeleriacError) -> Delivery? {
        let now = time.now
        let (taking, waiter) = state.withLock { state in
            state.lastWaiter += 1
            return (state.queues.take(for: consumer, at: now), state.lastWaiter)
        }
        switch taking {
        case .granted(let grant): return delivery(of: grant)
        case .stopped: return nil
        case .nothing: break
        }
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                wait(for: consumer, as: waiter, continuation)
            }
        } onCancel: {
            let resumptions = state.withLock { state in
                state.queues.cancel(waiter) ? state.resumptions(of: [waiter], as: .cancelled) : []
            }
            for resumption in resumptions { resumption.run() }
        }
        switch outcome {
        case .granted(let grant): return delivery(of: grant)
        case .stopped: return nil
        case .cancelled: throw CeleriacError(.cancelled, "waiting for a delivery was cancelled")
        }
    }

    private func wait(
        for consumer: MemoryQueues.ConsumerID,
        as waiter: MemoryQueues.WaiterID,
        _ continuation: CheckedContinuation<Outcome, Never>
    ) {
        let now = time.now
        let resumption = state.withLock { state -> Resumption? in
            // Looked at under the lock: a cancellation that is not seen here finds the waiter in line.
            if Task.isCancelled { return Resumption(continuation, .cancelled) }
            switch state.queues.take(for: consumer, orEnrol: waiter, at: now) {
            case .granted(let grant): return Resumption(continuation, .granted(grant))
            case .stopped: return Resumption(continuation, .stopped)
            case .nothing:
                state.continuations[waiter] = continuation
                return nil
            }
        }
        resumption?.run()
    }

    fileprivate func stop(_ consumer: MemoryQueues.ConsumerID) {
        let resumptions = state.withLock { state in
            state.resumptions(of: state.queues.stop(consumer), as: .stopped)
        }
        for resumption in resumptions { resumption.run() }
    }

    private func delivery(of grant: MemoryQueues.Grant) -> Delivery {
        Delivery(
            message: grant.stored.message,
            exchange: "",
            routingKey: grant.stored.routingKey,
            queue: grant.queue,
            isRedelivered: grant.isRedelivered,
            tag: grant.tag,
            source: self
        )
    }
}

private final class MemoryConsumer: MessageConsumer {
    private let id: MemoryQueues.ConsumerID
    private let broker: MemoryBroker

    init(id: MemoryQueues.ConsumerID, broker: MemoryBroker) {
        self.id = id
        self.broker = broker
    }

    deinit { broker.stop(id) }

    func next() async throws(CeleriacError) -> Delivery? { try await broker.next(for: id) }

    func stop() async { broker.stop(id) }
}

internal import Synchronization

/// Deliveries on their way from the loop to the tasks that take them.
///
/// The loop appends, any thread takes. A task that finds a delivery waits for nobody and changes no thread.
final class ConsumerInbox: Sendable {
    private struct State: Sendable {
        var deliveries = DeliveryBuffer()
        var waiters = RingBuffer<Waiter<AMQPDelivery?>>()
        var end: End?
        var isPausing = false
        /// Whether its end has been asked for, so that nothing may wait for it.
        var isLeaving = false
        var onEnd: (@Sendable (AMQPError?) -> Void)?

        func has(_ limits: Limits) -> Bool {
            let (count, octets) = (deliveries.count, deliveries.octets)
            return count >= limits.deliveries || (octets >= limits.octets && count > limits.unweighed)
        }

        /// Whether there is half of it at most, so that reading goes on.
        func isFar(from limits: Limits) -> Bool {
            let (count, octets) = (deliveries.count, deliveries.octets)
            return count <= limits.deliveries / 2 && (octets <= limits.octets / 2 || count <= limits.unweighed)
        }
    }

    /// How a consumer ends: what has arrived is still handed out before an orderly end.
    private enum End: Sendable {
        case finished
        case failed(AMQPError)

        var error: AMQPError? {
            switch self {
            case .finished: nil
            case .failed(let error): error
            }
        }
    }

    enum Appended: Sendable {
        case stored
        /// The limit is reached: the loop must stop reading until ``resume`` is called.
        case full
        /// The consumer has ended, or is full and about to end; what is left is nobody's.
        case refused
    }

    /// What is kept before reading pauses.
    struct Limits: Sendable {
        /// Deliveries: more than the prefetch, which only a server keeps.
        var deliveries: Int
        /// Octets of their bodies.
        var octets = Int.max
        /// So many deliveries may have any number of octets: those that the prefetch allows.
        var unweighed = 0
    }

    private let state = Mutex(State())
    private let limits: Limits
    /// Called, off the loop, when a full inbox has been drained to half.
    private let resume: @Sendable () -> Void

    init(_ limits: Limits, resume: @escaping @Sendable () -> Void) {
        self.limits = limits
        self.resume = resume
    }

    /// Takes over what has arrived in one go: one lock, and one wake for each task that waits.
    ///
    /// Refused deliveries are left with the caller.
    func append(_ arrived: inout DeliveryBuffer) -> Appended {
        var served: [(waiter: Waiter<AMQPDelivery?>, delivery: AMQPDelivery)] = []
        let result: Appended = state.withLock { state in
            guard state.end == nil else { return .refused }
            while !state.waiters.isEmpty, let delivery = arrived.popFirst() {
                if let waiter = state.waiters.popFirst() { served.append((waiter, delivery)) }
            }
            guard !state.isLeaving else {
                var room = state.has(limits) ? 0 : limits.deliveries - state.deliveries.count
                while room > 0, let delivery = arrived.popFirst() {
                    state.deliveries.append(delivery)
                    room -= 1
                }
                return arrived.isEmpty ? .stored : .refused
            }
            state.deliveries.takeAll(from: &arrived)
            guard !state.isPausing, state.has(limits) else { return .stored }
            state.isPausing = true
            return .full
        }
        // From the last one, so that what comes back stands in front in its order.
        for (waiter, delivery) in served.reversed() where !waiter.finish(.success(delivery)) { putBack(delivery) }
        return result
    }

    /// Passes on a delivery whose task was cancelled in the very moment: to the next in line, or as the next to take.
    private func putBack(_ delivery: AMQPDelivery) {
        while true {
            let next: Waiter<AMQPDelivery?>? = state.withLock { state in
                if let waiter = state.waiters.popFirst() { return waiter }
                state.deliveries.prepend(delivery)
                return nil
            }
            guard let next else { return }
            if next.finish(.success(delivery)) { return }
        }
    }

    /// Holds the connection back no more, as the consumer's end has been asked for, and its confirmation is to be read.
    func leave() {
        let wasPausing = state.withLock { state in
            state.isLeaving = true
            defer { state.isPausing = false }
            return state.isPausing
        }
        if wasPausing { resume() }
    }

    /// Ends the stream of deliveries; those in the inbox are still handed out.
    func finish(_ error: AMQPError?) {
        end(error.map(End.failed) ?? .finished, discarding: false)
    }

    /// Ends at once: what is in the inbox was lost with the channel, and will be redelivered.
    func discard(_ error: AMQPError?) {
        end(error.map(End.failed) ?? .finished, discarding: true)
    }

    private func end(_ end: End, discarding: Bool) {
        let (waiters, wasPausing, onEnd) = state.withLock { state in
            if discarding { state.deliveries = DeliveryBuffer() }
            if discarding || state.end == nil { state.end = end }
            defer { (state.isPausing, state.onEnd) = (false, nil) }
            return (state.waiters.removeAll(), state.isPausing, state.onEnd)
        }
        onEnd?(end.error)
        // Nothing more comes, so the connection need not hold back for this consumer.
        if wasPausing { resume() }
        for waiter in waiters { waiter.finish(Self.outcome(end)) }
    }

    /// Calls back once at the end, or at once after it.
    func onEnd(_ body: @escaping @Sendable (AMQPError?) -> Void) {
        let end = state.withLock { state in
            if state.end == nil { state.onEnd = body }
            return state.end
        }
        if let end { body(end.error) }
    }

    var hasEnded: Bool { state.withLock { $0.end != nil } }

    private static func outcome(_ end: End) -> Result<AMQPDelivery?, AMQPError> {
        switch end {
        case .finished: .success(nil)
        case .failed(let error): .failure(error)
        }
    }

    func next() async throws(AMQPError) -> AMQPDelivery? {
        var mustResume = false
        var waiter: Waiter<AMQPDelivery?>?
        let ready: Result<AMQPDelivery?, AMQPError>? = state.withLock { state in
            if let delivery = state.deliveries.popFirst() {
                mustResume = wantsResume(&state)
                return .success(delivery)
            }
            if let end = state.end { return Self.outcome(end) }
            let newcomer = Waiter<AMQPDelivery?>()
            state.waiters.append(newcomer)
            waiter = newcomer
            return nil
        }
        if mustResume { resume() }
        if let ready { return try ready.get() }
        guard let waiter else { return nil }
        do throws(AMQPError) {
            return try await waiter.value("a delivery")
        } catch {
            // Of a cancelled task; left in line, waiters would pile up until the next delivery.
            state.withLock { _ = $0.waiters.removeFirst { $0 === waiter } }
            throw error
        }
    }

    /// Takes what is there, waiting for nothing.
    func takeAvailable(_ maximum: Int) -> [AMQPDelivery] {
        var mustResume = false
        let taken = state.withLock { state in
            var taken: [AMQPDelivery] = []
            while taken.count < maximum, let delivery = state.deliveries.popFirst() { taken.append(delivery) }
            mustResume = wantsResume(&state)
            return taken
        }
        if mustResume { resume() }
        return taken
    }

    /// Drops what is there: the broker has taken it back.
    func dropAvailable() {
        let mustResume = state.withLock { state in
            state.deliveries = DeliveryBuffer()
            return wantsResume(&state)
        }
        if mustResume { resume() }
    }

    private func wantsResume(_ state: inout State) -> Bool {
        guard state.isPausing, state.isFar(from: limits) else { return false }
        state.isPausing = false
        return true
    }
}

internal import AMQP
internal import Synchronization

/// One attempt that many wait for: whoever comes first starts it, and all get its outcome.
///
/// A thousand callers on a new connection then declare their queue once, not a thousand times over as many channels; and
/// a hundred lanes subscribe again once.
final class SharedAttempt<Value: Sendable>: Sendable {
    typealias Outcome = Result<Value, AMQPError>

    private struct State {
        var outcome: Outcome?
        var nextWaiter = 0
        var waiters: [Int: CheckedContinuation<Outcome, Never>] = [:]
    }

    private let state = Mutex(State())

    /// Tells everybody what came of it.
    func finish(_ outcome: Outcome) {
        let waiters = state.withLock { state in
            state.outcome = outcome
            defer { state.waiters = [:] }
            return state.waiters.values
        }
        for waiter in waiters { waiter.resume(returning: outcome) }
    }

    /// Waits for the outcome; cancelling and the deadline end the wait, not the attempt.
    func value(before deadline: ContinuousClock.Instant) async throws(AMQPError) -> Value {
        let outcome = await withTaskGroup(of: Outcome?.self) { race in
            race.addTask { await self.outcome() }
            race.addTask {
                try? await Task.sleep(until: deadline, clock: .continuous)
                return nil
            }
            let first = await race.next() ?? nil
            race.cancelAll()
            return first
        }
        guard let outcome else {
            throw AMQPError(Task.isCancelled ? .cancelled : .timedOut, "the queue was not declared in time")
        }
        return try outcome.get()
    }

    /// Waits for the outcome; cancelling ends the wait with `.cancelled`, not the attempt.
    func outcome() async -> Outcome {
        let number = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let immediate: Outcome? = state.withLock { state in
                    if let outcome = state.outcome { return outcome }
                    if Task.isCancelled { return .failure(Self.cancelled) }
                    state.waiters[number] = continuation
                    return nil
                }
                if let immediate { continuation.resume(returning: immediate) }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: number) }
            waiter?.resume(returning: .failure(Self.cancelled))
        }
    }

    private static var cancelled: AMQPError { AMQPError(.cancelled, "the wait was cancelled") }
}

internal import Synchronization

/// One task's wait for one answer.
///
/// Whoever answers first wins: the loop, a deadline, or cancellation.
final class Waiter<Value: Sendable>: Sendable {
    typealias Outcome = Result<Value, AMQPError>

    private enum State: Sendable {
        case idle
        case waiting(UnsafeContinuation<Outcome, Never>)
        case finished(Outcome)
        case delivered
    }

    private let state = Mutex(State.idle)

    init() {}

    /// Whether an answer, a deadline or cancellation has come.
    var isFinished: Bool {
        state.withLock {
            switch $0 {
            case .idle, .waiting: false
            case .finished, .delivered: true
            }
        }
    }

    /// Answers; false if someone else was first.
    @discardableResult
    func finish(_ outcome: Outcome) -> Bool {
        // Soundness of the unsafe continuation: the state leaves `.waiting` under the lock, once, with whoever resumes.
        let (isFirst, continuation): (Bool, UnsafeContinuation<Outcome, Never>?) = state.withLock { state in
            switch state {
            case .idle:
                state = .finished(outcome)
                return (true, nil)
            case .waiting(let continuation):
                state = .delivered
                return (true, continuation)
            case .finished, .delivered:
                return (false, nil)
            }
        }
        continuation?.resume(returning: outcome)
        return isFirst
    }

    /// Waits for the answer, where the caller runs.
    ///
    /// Called once.
    ///
    /// - Throws: The answer's error; `.cancelled` when the task is cancelled first.
    func value(
        _ what: StaticString,
        isolation: isolated (any Actor)? = #isolation
    ) async throws(AMQPError) -> Value {
        let outcome = await withTaskCancellationHandler {
            // Captured, the closure has the caller's isolation, too: without it, a caller on an actor would change to
            // the global executor to begin its wait, and back at the end of it.
            _ = isolation
            return await withUnsafeContinuation { (continuation: UnsafeContinuation<Outcome, Never>) in
                let early: Outcome? = state.withLock { state in
                    switch state {
                    case .idle:
                        state = .waiting(continuation)
                        return nil
                    case .finished(let outcome):
                        state = .delivered
                        return outcome
                    case .waiting, .delivered:
                        preconditionFailure("a waiter is waited for once")
                    }
                }
                if let early { continuation.resume(returning: early) }
            }
        } onCancel: {
            finish(.failure(AMQPError(.cancelled, "waiting for \(what) was cancelled", isOutcomeUnknown: true)))
        }
        return try outcome.get()
    }
}

internal import Synchronization

/// One task's wait for one answer.
///
/// Whoever answers first wins: the loop, a deadline, or cancellation.
final class Waiter<Value: Sendable>: Sendable {
    typealias Outcome = Result<Value, AMQPError>

    private enum State: Sendable {
        case idle
        case waiting(UnsafeContinuation<Void, Never>)
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
        let (isFirst, continuation): (Bool, UnsafeContinuation<Void, Never>?) = state.withLock { state in
            switch state {
            case .idle:
                state = .finished(outcome)
                return (true, nil)
            case .waiting(let continuation):
                state = .finished(outcome)
                return (true, continuation)
            case .finished, .delivered:
                return (false, nil)
            }
        }
        continuation?.resume()
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
        await withTaskCancellationHandler {
            // Captured, the closure has the caller's isolation, too: without it, a caller on an actor would change to
            // the global executor to begin its wait, and back at the end of it.
            _ = isolation
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                let isEarly = state.withLock { state in
                    switch state {
                    case .idle:
                        state = .waiting(continuation)
                        return false
                    case .finished:
                        return true
                    case .waiting, .delivered:
                        preconditionFailure("a waiter is waited for once")
                    }
                }
                if isEarly { continuation.resume() }
            }
        } onCancel: {
            finish(.failure(AMQPError(.cancelled, "waiting for \(what) was cancelled", isOutcomeUnknown: true)))
        }
        return try take().get()
    }

    private func take() -> Outcome {
        state.withLock { state in
            guard case .finished(let outcome) = state else { preconditionFailure("a waiter goes on with its answer") }
            state = .delivered
            return outcome
        }
    }
}

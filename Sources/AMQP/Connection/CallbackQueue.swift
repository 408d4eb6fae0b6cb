internal import Dispatch
internal import Synchronization

/// Runs the callbacks of a connection's user, in order, on a thread that is not the event loop's.
///
/// One that blocks holds up those after it, and nothing else.
final class CallbackQueue: Sendable {
    private struct State {
        var waiting = 0
        var isPausing = false
    }

    /// Messages that wait for their callback before the connection stops reading.
    static let limit = 1000

    private let queue = DispatchQueue(label: "celeriac-callbacks")
    private let state = Mutex(State())

    func run(_ body: @escaping @Sendable () -> Void) {
        queue.async(execute: body)
    }

    /// Runs a callback that the server may cause any number of.
    ///
    /// - Parameter resume: Called, off the loop, when half of the callbacks that made it full have run.
    /// - Returns: Whether too many wait: the loop must stop reading until then.
    func runBounded(_ body: @escaping @Sendable () -> Void, resume: @escaping @Sendable () -> Void) -> Bool {
        let isFull = state.withLock { state in
            state.waiting += 1
            guard state.waiting >= Self.limit, !state.isPausing else { return false }
            state.isPausing = true
            return true
        }
        queue.async { [self] in
            body()
            let mustResume = state.withLock { state in
                state.waiting -= 1
                guard state.isPausing, state.waiting <= Self.limit / 2 else { return false }
                state.isPausing = false
                return true
            }
            if mustResume { resume() }
        }
        return isFull
    }
}

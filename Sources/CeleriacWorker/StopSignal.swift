internal import Synchronization

/// How far a worker has been told to stop; it only advances, and waiters see each step.
final class StopSignal: Sendable {
    enum Phase: Int, Comparable, Sendable {
        case running, draining, now, ended

        static func < (left: Phase, right: Phase) -> Bool { left.rawValue < right.rawValue }
    }

    private struct State {
        var phase = Phase.running
        var nextWaiter = 0
        var waiters: [Int: (beyond: Phase, CheckedContinuation<Phase?, Never>)] = [:]
    }

    private let state = Mutex(State())

    var phase: Phase { state.withLock { $0.phase } }

    func advance(to phase: Phase) {
        let woken = state.withLock { state in
            guard phase > state.phase else { return [CheckedContinuation<Phase?, Never>]() }
            state.phase = phase
            let due = state.waiters.filter { $0.value.beyond < phase }
            for number in due.keys { state.waiters[number] = nil }
            return due.values.map(\.1)
        }
        for waiter in woken { waiter.resume(returning: phase) }
    }

    /// Waits until the signal is beyond a phase.
    ///
    /// - Returns: The phase reached; `nil` if the waiting task was cancelled.
    func wait(beyond phase: Phase) async -> Phase? {
        let number = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let immediate: Phase?? = state.withLock { state in
                    if state.phase > phase { return state.phase }
                    if Task.isCancelled { return .some(nil) }
                    state.waiters[number] = (phase, continuation)
                    return nil
                }
                if let immediate { continuation.resume(returning: immediate) }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: number) }
            waiter?.1.resume(returning: nil)
        }
    }
}

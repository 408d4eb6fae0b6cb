internal import Synchronization

/// The worker's slots: how many task bodies may run at once.
///
/// Waiters are served in order.
final class Slots: Sendable {
    private struct State {
        var free: Int
        var isClosed = false
        var waiters: ArraySlice<CheckedContinuation<Bool, Never>> = []
    }

    private let state: Mutex<State>

    init(count: Int) {
        state = Mutex(State(free: count))
    }

    /// Takes a slot if that takes no waiting.
    ///
    /// - Returns: `nil` if all are taken, `false` once the slots are closed.
    func tryAcquire() -> Bool? {
        state.withLock { state in
            if state.isClosed { return false }
            guard state.free > 0 else { return nil }
            state.free -= 1
            return true
        }
    }

    /// Waits for a free slot.
    ///
    /// - Returns: `false` once the slots are closed: nothing new is to start.
    func acquire() async -> Bool {
        if let immediate = tryAcquire() { return immediate }
        return await withCheckedContinuation { continuation in
            let decided: Bool? = state.withLock { state in
                if state.isClosed { return false }
                guard state.free == 0 else {
                    state.free -= 1
                    return true
                }
                state.waiters.append(continuation)
                return nil
            }
            if let decided { continuation.resume(returning: decided) }
        }
    }

    /// Frees a slot, or hands it to the one who has waited longest.
    func release() {
        let next = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            if let next = state.waiters.popFirst() { return next }
            state.free += 1
            return nil
        }
        next?.resume(returning: true)
    }

    /// Lets nothing new start.
    func close() {
        let waiters = state.withLock { state in
            state.isClosed = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: false) }
    }
}

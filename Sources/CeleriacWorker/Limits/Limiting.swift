internal import CeleriacCore
internal import FoundationEssentials
internal import Synchronization

/// What a worker shares among its lanes to keep limits: the limits of its own, how many deliveries it may hold back, and
/// whether the store answers.
final class Limiting: Sendable {
    private struct State {
        var held = 0
        var heldForPlaces = 0
        /// Until then nobody asks the store, because it did not answer.
        var storeIsAwayUntil: Date?
    }

    /// A question to the store may take so long; a slot waits for the answer.
    static let storeTimeout = Duration.seconds(1)
    /// A turn that comes this soon is waited for in the lane: the broker's delay queues count whole seconds.
    static let longestHold = Duration.seconds(1)
    /// A delivery that waits for a place is held so long before it makes room for others.
    static let longestHoldForPlace = Duration.seconds(10)

    /// Limits that hold for this worker alone.
    let own: MemoryLimitStore
    private let capacity: Int
    private let time: any TimeSource
    private let state = Mutex(State())

    /// - Parameter prefetch: Deliveries that may be out to the worker; at most half of them are held back for limits, so
    ///   that others can get through.
    init(prefetch: Int, time: any TimeSource) {
        own = MemoryLimitStore(time: time)
        capacity = prefetch / 2
        self.time = time
    }

    /// Makes room for one delivery to wait in its lane.
    ///
    /// - Parameter forPlace: Whether for a place under a concurrency limit, which takes asking again and again: of those at
    ///   most eight wait.
    func hold(forPlace: Bool) -> Bool {
        state.withLock { state in
            guard state.held < capacity, !forPlace || state.heldForPlaces < 8 else { return false }
            state.held += 1
            if forPlace { state.heldForPlaces += 1 }
            return true
        }
    }

    func letGo(forPlace: Bool) {
        state.withLock { state in
            state.held -= 1
            if forPlace { state.heldForPlaces -= 1 }
        }
    }

    /// Whether the store may be asked: while it does not answer, one asks every second for all.
    func mayAskStore() -> Bool {
        let now = time.now
        return state.withLock { state in
            guard let until = state.storeIsAwayUntil else { return true }
            guard until <= now else { return false }
            state.storeIsAwayUntil = now.addingTimeInterval(1)
            return true
        }
    }

    /// Notes whether the store has answered.
    ///
    /// - Returns: Whether that is news.
    func storeHasAnswered(_ hasAnswered: Bool) -> Bool {
        let until = time.now.addingTimeInterval(1)
        return state.withLock { state in
            let wasAway = state.storeIsAwayUntil != nil
            state.storeIsAwayUntil = hasAnswered ? nil : until
            return wasAway == hasAnswered
        }
    }
}

internal import FoundationEssentials
internal import Synchronization

/// Locks inside this process; everything in it is lost when the process ends.
public final class MemoryLockStore: LockStore {
    private struct Lease {
        let owner: String
        let fence: UInt64
        var end: Date
    }

    private struct State {
        var leases: [String: Lease] = [:]
        var lastFence: UInt64 = 0
        /// With so many leases it is time to drop those that ended; doubles with what is left.
        var sweepAt = 64
    }

    private let time: any TimeSource
    private let state = Mutex(State())

    /// A store without locks.
    public init(time: any TimeSource = SystemTimeSource()) {
        self.time = time
    }

    /// Takes a free lock, or renews the caller's own.
    public func acquire(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> LockOutcome {
        let now = time.now
        let end = now.addingTimeInterval(lease.inSeconds)
        return state.withLock { state in
            if let held = state.leases[key], held.end > now {
                guard held.owner == owner else {
                    return .held(by: held.owner, remaining: .seconds(held.end.timeIntervalSince(now)))
                }
                state.leases[key]?.end = end
                return .acquired(fence: held.fence)
            }
            if state.leases.count >= state.sweepAt {
                state.leases = state.leases.filter { $0.value.end > now }
                state.sweepAt = max(64, 2 * state.leases.count)
            }
            state.lastFence += 1
            state.leases[key] = Lease(owner: owner, fence: state.lastFence, end: end)
            return .acquired(fence: state.lastFence)
        }
    }

    /// Prolongs the caller's own lock.
    public func renew(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
        let now = time.now
        return state.withLock { state in
            guard let held = state.leases[key], held.owner == owner, held.end > now else { return false }
            state.leases[key]?.end = now.addingTimeInterval(lease.inSeconds)
            return true
        }
    }

    /// Frees the caller's own lock; anybody else's stays.
    @discardableResult
    public func release(_ key: String, owner: String) async throws(CeleriacError) -> Bool {
        let now = time.now
        return state.withLock { state in
            guard let held = state.leases[key], held.owner == owner, held.end > now else { return false }
            state.leases[key] = nil
            return true
        }
    }
}

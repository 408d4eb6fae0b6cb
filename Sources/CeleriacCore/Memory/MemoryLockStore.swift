internal import FoundationEssentials
internal import Synchronization

/// Locks inside this process; everything in it is lost when the process ends.
public final class MemoryLockStore: LockStore {
    private let time: any TimeSource
    private let table = Mutex(LockTable())

    /// A store without locks.
    public init(time: any TimeSource = SystemTimeSource()) {
        self.time = time
    }

    /// Takes a free lock, or renews the caller's own.
    public func acquire(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> LockOutcome {
        let now = time.now
        return table.withLock { $0.acquire(key, owner: owner, lease: lease, now: now) }
    }

    /// Prolongs the caller's own lock.
    public func renew(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
        let now = time.now
        return table.withLock { $0.renew(key, owner: owner, lease: lease, now: now) }
    }

    /// Frees the caller's own lock; anybody else's stays.
    @discardableResult
    public func release(_ key: String, owner: String) async throws(CeleriacError) -> Bool {
        let now = time.now
        return table.withLock { $0.release(key, owner: owner, now: now) }
    }

    /// Takes a lock for a call that is about to be sent, or joins the call that has it.
    public func reserve(
        _ key: String,
        owner: String,
        lease: Duration,
        offer: CallOffer
    ) async throws(CeleriacError) -> ReserveOutcome {
        let now = time.now
        return table.withLock { $0.reserve(key, owner: owner, lease: lease, offer: offer, now: now) }
    }

    /// Notes that the call which holds a lock was sent.
    @discardableResult
    public func confirm(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
        let now = time.now
        return table.withLock { $0.confirm(key, owner: owner, lease: lease, now: now) }
    }

    /// Begins a call that could be joined.
    public func start(
        _ key: String,
        as running: String,
        owner: String,
        lease: Duration
    ) async throws(CeleriacError) -> StartOutcome {
        let now = time.now
        return table.withLock { $0.start(key, as: running, owner: owner, lease: lease, now: now) }
    }

    /// The locks that are held.
    public func locks(matching pattern: String, limit: Int) async throws(CeleriacError) -> [HeldLock] {
        let now = time.now
        return table.withLock { $0.locks(matching: pattern, limit: limit, now: now) }
    }

    /// Frees a lock whoever holds it.
    @discardableResult
    public func clear(_ key: String) async throws(CeleriacError) -> Bool {
        let now = time.now
        return table.withLock { $0.clear(key, now: now) }
    }
}

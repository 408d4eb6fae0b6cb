/// Who got, or has, a lock.
public enum LockOutcome: Hashable, Sendable {
    /// The caller holds the lock now, or held it already; `fence` grows with every change of owner.
    case acquired(fence: UInt64)
    /// Somebody else holds it.
    case held(by: String, remaining: Duration)
}

/// Leased locks with owner tokens: they stop duplicates, and end by themselves when their owner dies.
public protocol LockStore: Sendable {
    /// Takes a free lock, or renews the caller's own.
    ///
    /// - Parameter lease: After this time without renewal the lock is free again.
    func acquire(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> LockOutcome

    /// Prolongs the caller's own lock.
    ///
    /// - Returns: `false` if the caller does not hold it any more; it then must not act as its owner.
    func renew(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool

    /// Frees the caller's own lock; anybody else's stays.
    ///
    /// - Returns: Whether the caller held it.
    @discardableResult
    func release(_ key: String, owner: String) async throws(CeleriacError) -> Bool
}

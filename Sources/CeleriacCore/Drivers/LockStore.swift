public import FoundationEssentials

/// Who got, or has, a lock.
public enum LockOutcome: Hashable, Sendable {
    /// The caller holds the lock now, or held it already; `fence` grows with every change of owner.
    case acquired(fence: UInt64)
    /// Somebody else holds it.
    case held(by: String, remaining: Duration)
}

/// Leased locks with owner tokens: they stop duplicates, and end by themselves when their owner dies.
///
/// The built-in stores are `redis://` and ``MemoryLockStore``. One of your own needs ``acquire(_:owner:lease:)``,
/// ``renew(_:owner:lease:)`` and ``release(_:owner:)``, each in one atomic step; that carries locks of your own and unique
/// calls, except those that join a queued call (``UniquePolicy/Conflict/trailing``,
/// ``UniquePolicy/Conflict/replaceArguments`` and ``UniquePolicy/debounce(_:maximumWait:key:scope:)``). Those need
/// ``reserve(_:owner:lease:offer:)``, ``confirm(_:owner:lease:)`` and ``start(_:as:owner:lease:)``, and the command `locks`
/// needs ``locks(matching:limit:)`` and ``clear(_:)``. What is left out throws ``CeleriacError`` `.unsupported`.
///
/// Every operation may be repeated by a caller that has not heard the answer: it then has no further effect.
public protocol LockStore: Sendable {
    /// Takes a free lock, or renews the caller's own.
    ///
    /// - Parameter lease: After this time without renewal the lock is free again.
    func acquire(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> LockOutcome

    /// Prolongs the caller's own lock; never shortens it.
    ///
    /// - Returns: `false` if the caller does not hold it any more; it then must not act as its owner.
    func renew(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool

    /// Frees the caller's own lock; anybody else's stays.
    ///
    /// - Returns: Whether the caller held it.
    @discardableResult
    func release(_ key: String, owner: String) async throws(CeleriacError) -> Bool

    /// Takes a lock for a call that is about to be sent, or joins the call that has it.
    ///
    /// A call can be joined once it is confirmed: before, nobody knows whether it will be sent. What a joining call offers
    /// is kept with the lock: of the arguments the newest, of the instants of expiry the latest. With a debounce the run is put
    /// off, and the lock's lease prolonged accordingly.
    func reserve(
        _ key: String,
        owner: String,
        lease: Duration,
        offer: CallOffer
    ) async throws(CeleriacError) -> ReserveOutcome

    /// Notes that the call which holds a lock was sent, and sets its lease.
    ///
    /// - Returns: Whether the caller holds the lock.
    @discardableResult
    func confirm(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool

    /// Begins a call that could be joined: takes the lock `running`, moves there what other calls have offered, and frees
    /// the lock `key` if the caller has it. Begun again, it gives the same offers.
    func start(
        _ key: String,
        as running: String,
        owner: String,
        lease: Duration
    ) async throws(CeleriacError) -> StartOutcome

    /// The locks that are held, in no order.
    ///
    /// - Parameters:
    ///   - pattern: What their names look like; `*` stands for any text, everything else for itself.
    ///   - limit: The most to give.
    func locks(matching pattern: String, limit: Int) async throws(CeleriacError) -> [HeldLock]

    /// Frees a lock whoever holds it.
    ///
    /// - Returns: Whether there was one.
    @discardableResult
    func clear(_ key: String) async throws(CeleriacError) -> Bool
}

/// What a call leaves with the queued call that it joins.
public struct CallOffer: Hashable, Sendable {
    /// The body of the message, for the queued call to run with; `nil` if its own will do.
    public var arguments: [UInt8]?
    /// The latest the call may start; `nil` if it does not expire.
    public var expires: Date?
    /// How far the run is put off.
    public var debounce: UniquePolicy.Debounce?
    /// Whether to take the lock of a call that nobody has confirmed.
    public var takesOver: Bool

    /// An offer.
    public init(
        arguments: [UInt8]? = nil,
        expires: Date? = nil,
        debounce: UniquePolicy.Debounce? = nil,
        takesOver: Bool = false
    ) {
        self.arguments = arguments
        self.expires = expires
        self.debounce = debounce
        self.takesOver = takesOver
    }
}

/// What became of the attempt to reserve a call's place.
public enum ReserveOutcome: Hashable, Sendable {
    /// The caller holds the lock: it sends its call, then confirms it.
    case reserved(fence: UInt64)
    /// Another call holds it, was sent, and has taken the offer.
    case joined(owner: String, remaining: Duration)
    /// Another call holds it, and may not have been sent yet.
    case unconfirmed(owner: String, remaining: Duration)
}

/// What became of the attempt to begin a call that could be joined.
public enum StartOutcome: Hashable, Sendable {
    /// It runs, with the arguments offered last, if there were any; `offer` is `nil` if nobody has joined.
    case started(fence: UInt64, offer: CallOffer?)
    /// An equal call is running.
    case busy(owner: String, remaining: Duration)
    /// Further calls have put it off.
    case early(Duration)
}

/// A lock as it is listed.
public struct HeldLock: Hashable, Sendable {
    /// The lock's name.
    public var key: String
    /// Who holds it: a task's id, or the token of a lock of the program's own.
    public var owner: String
    /// How long it will last unless it is renewed; `nil` if it has no end, which no lock of Celeriac is.
    public var remaining: Duration?
    /// How long its owner has had it; `nil` if the store does not know, as with `celery-once`.
    public var age: Duration?
    /// Its fencing number; `nil` if it has none, as with `celery-once`.
    public var fence: UInt64?

    /// A lock.
    public init(key: String, owner: String, remaining: Duration?, age: Duration? = nil, fence: UInt64? = nil) {
        self.key = key
        self.owner = owner
        self.remaining = remaining
        self.age = age
        self.fence = fence
    }
}

extension LockStore {
    private func unsupported(_ what: String) -> CeleriacError {
        CeleriacError(.unsupported, "this lock store cannot \(what)")
    }

    /// Refused, unless a store can do it.
    public func reserve(
        _ key: String,
        owner: String,
        lease: Duration,
        offer: CallOffer
    ) async throws(CeleriacError) -> ReserveOutcome { throw unsupported("join queued calls") }

    /// Refused, unless a store can do it.
    @discardableResult
    public func confirm(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
        throw unsupported("join queued calls")
    }

    /// Refused, unless a store can do it.
    public func start(
        _ key: String,
        as running: String,
        owner: String,
        lease: Duration
    ) async throws(CeleriacError) -> StartOutcome { throw unsupported("join queued calls") }

    /// Refused, unless a store can do it.
    public func locks(matching pattern: String, limit: Int) async throws(CeleriacError) -> [HeldLock] {
        throw unsupported("list its locks")
    }

    /// Refused, unless a store can do it.
    @discardableResult
    public func clear(_ key: String) async throws(CeleriacError) -> Bool { throw unsupported("clear locks") }
}

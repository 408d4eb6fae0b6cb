/// The lock of a unique call: named in headers of its message, so that whoever ends the call can free it.
package struct UniqueLock: Sendable, Hashable {
    /// What frees the lock, other than its lease.
    package enum End: String, Sendable {
        case started
        case finished
        /// Nothing but time: a window, or for ever.
        case lapsed

        init(_ scope: UniquePolicy.Scope) {
            switch scope {
            case .untilStarted: self = .started
            case .untilFinished: self = .finished
            case .window, .forever: self = .lapsed
            }
        }
    }

    /// What locks of calls are called, `celery-once`'s apart.
    package static let prefix = "celeriac-unique:"

    /// The lock's name, for the task and what is equal about its calls.
    package let key: String
    /// How long it lasts without renewal while a worker has the call.
    package let lease: Duration
    package let end: End
    /// Whether calls join the queued one; then a second lock keeps the running one.
    package let joins: Bool

    private static let keyHeader = "x-celeriac-unique"
    private static let leaseHeader = "x-celeriac-unique-lease-ms"
    private static let endHeader = "x-celeriac-unique-until"
    private static let joinsHeader = "x-celeriac-unique-joins"
    /// Ten years.
    private static let longestLease = 10 * 365 * 86_400_000

    package init(key: String, lease: Duration, end: End = .finished, joins: Bool = false) {
        self.key = key
        self.lease = lease
        self.end = end
        self.joins = joins
    }

    /// The lock a received message carries, if any.
    package init?(headers: MessageHeaders) {
        guard let key = headers[Self.keyHeader]?.string else { return nil }
        self.key = key
        // Bounded, because it is renewed at a third: what another program wrote must not make that a busy loop.
        lease = .milliseconds(min(max(1000, headers[Self.leaseHeader]?.int ?? 3_600_000), Self.longestLease))
        end = headers[Self.endHeader]?.string.flatMap { End(rawValue: $0) } ?? .finished
        joins = headers[Self.joinsHeader]?.bool ?? false
    }

    package func write(to headers: inout MessageHeaders) {
        headers[Self.keyHeader] = .string(key)
        headers[Self.leaseHeader] = .int(lease.inMilliseconds)
        if end != .finished { headers[Self.endHeader] = .string(end.rawValue) }
        if joins { headers[Self.joinsHeader] = true }
    }

    package var isCeleryOnce: Bool { key.hasPrefix(CeleryOnceKey.prefix) }

    /// Tells a call's id from the random tokens that `celery-once` writes.
    private static let celeryOnceOwner = "celeriac:"

    /// As whom a call holds the lock.
    package func owner(_ id: TaskID) -> String { isCeleryOnce ? Self.celeryOnceOwner + id.rawValue : id.rawValue }

    /// The call that holds the lock; `nil` if that is a Python program's, which does not tell.
    package func call(ofOwner owner: String) -> TaskID? {
        guard isCeleryOnce else { return TaskID(owner) }
        return owner.hasPrefix(Self.celeryOnceOwner) ? TaskID(String(owner.dropFirst(Self.celeryOnceOwner.count))) : nil
    }

    /// The lock that keeps the running call, where the queued one is joined.
    ///
    /// Calls that are unique until they start run beside each other; theirs only keeps what was joined.
    package func runningKey(of id: TaskID) -> String { end == .finished ? "\(key):running" : "\(key):running:\(id)" }

    /// What a worker renews while it runs the call.
    package func keptWhileRunning(by id: TaskID) -> String? {
        if joins { return runningKey(of: id) }
        return end == .finished ? key : nil
    }
}

/// Keeps a task from being queued twice with the same arguments.
///
/// From the moment a call is enqueued until it has ended for good, retries included, a second call with equal arguments
/// meets the first one's lock.
public struct UniquePolicy: Sendable, Hashable {
    /// What a second call gets.
    public enum Conflict: Sendable, Hashable {
        /// ``CeleriacError`` with code `.alreadyQueued`, which tells the first call's id and the lock's remaining time.
        case refuse
        /// The first call's handle.
        case returnExisting
    }

    /// After this time the lock ends even if its task never did; renewed while the task waits for a retry or runs.
    public var lease: Duration
    /// What a second call gets.
    public var onConflict: Conflict

    /// A policy.
    public init(lease: Duration = .seconds(3600), onConflict: Conflict = .refuse) {
        self.lease = lease
        self.onConflict = onConflict
    }

    /// Refuses a second call.
    public static let refuse = UniquePolicy()
    /// Gives a second call the first one's handle.
    public static let returnExisting = UniquePolicy(onConflict: .returnExisting)
}

/// The lock of a unique call: named in a header of its message, so that whoever ends the task can free it.
package struct UniqueLock: Sendable, Hashable {
    /// Lock key: the task's name and its arguments in canonical JSON, object keys sorted.
    package let key: String
    package let lease: Duration

    private static let keyHeader = "x-celeriac-unique"
    private static let leaseHeader = "x-celeriac-unique-lease-ms"
    /// Ten years.
    private static let longestLease = 10 * 365 * 86_400_000

    /// The lock of a call whose payload is canonical already.
    package init(task: TaskName, payload: Payload, lease: Duration) {
        let positional = String(decoding: payload.positional, as: UTF8.self)
        let keywords = String(decoding: payload.keywords, as: UTF8.self)
        key = "celeriac-unique:\(task):\(positional)\(keywords)"
        self.lease = lease
    }

    /// The lock a received message carries, if any.
    package init?(headers: MessageHeaders) {
        guard let key = headers[Self.keyHeader]?.string else { return nil }
        self.key = key
        // Bounded, because it is renewed at a third: what another program wrote must not make that a busy loop.
        lease = .milliseconds(min(max(1000, headers[Self.leaseHeader]?.int ?? 3_600_000), Self.longestLease))
    }

    package func write(to headers: inout MessageHeaders) {
        headers[Self.keyHeader] = .string(key)
        headers[Self.leaseHeader] = .int(lease.inMilliseconds)
    }
}

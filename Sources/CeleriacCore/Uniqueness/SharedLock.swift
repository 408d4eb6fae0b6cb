internal import FoundationEssentials
internal import Synchronization

/// A lock that many processes know by its name, for work that only one of them may do at a time.
///
/// ```swift
/// try await app.lock("prices").withLock(within: .seconds(10)) { hold in
///     try await shop.replacePrices(fence: hold.fence)
/// }
/// ```
///
/// It is kept in the application's lock store under `celeriac-lock:<name>`, is renewed at a third of its lease while the
/// closure runs, and ends by itself within a lease when its process dies.
///
/// A lease is not a guarantee: a process that is stopped for longer than its lease goes on as if it had the lock when another
/// has it already. So what is written under a lock should carry ``LockHold/fence``, and whoever stores it should refuse a
/// fence smaller than one it has seen.
public struct SharedLock: Sendable {
    /// What locks of programs are called in the store.
    package static let prefix = "celeriac-lock:"

    /// The lock's name.
    public let name: String
    /// After this time without renewal the lock is free again.
    public let lease: Duration
    let app: TaskApp

    /// Waits for the lock, and runs a closure while it is held.
    ///
    /// The lock is freed when the closure has ended, however it ended. It is not re-entrant: waiting for it inside the closure
    /// ends when the time is up.
    ///
    /// - Parameters:
    ///   - timeout: How long to wait for the lock; with zero, one attempt is made.
    ///   - body: Is cancelled when the lock is lost.
    /// - Throws: What the closure throws; ``CeleriacError`` `.timedOut` if the lock was not free in time, `.lockLost` if it
    ///   was lost before the closure had ended, `.cancelled`, or the store's.
    public func withLock<Value: Sendable>(
        within timeout: Duration,
        _ body: @escaping @Sendable (LockHold) async throws -> Value
    ) async throws -> Value {
        let locks = try app.drivers().locks
        let time = app.configuration.time
        let key = Self.prefix + name
        // An owner for each time: what an earlier attempt of this process has left is not this one's.
        let owner = TaskID.random().rawValue
        let began = ContinuousClock.now
        let fence: UInt64
        do {
            fence = try await acquire(key, owner, timeout, locks, time)
        } catch {
            // It may have been taken all the same.
            await Self.free(key, owner, locks)
            throw error
        }
        let hold = LockHold(fence: fence)
        let keeper = LockKeeper(key: key, owner: owner, lease: lease, locks: locks, time: time)
        let result = await run(body, hold, keeper, alreadySpent: began.duration(to: .now))
        await Self.free(key, owner, locks)
        return try result.get()
    }

    private static func free(_ key: String, _ owner: String, _ locks: any LockStore) async {
        // In a task of its own: a caller that is cancelled must not leave the lock behind. What cannot be freed ends with
        // its lease.
        await Task { _ = try? await locks.release(key, owner: owner) }.value
    }

    private func acquire(
        _ key: String,
        _ owner: String,
        _ timeout: Duration,
        _ locks: any LockStore,
        _ time: any TimeSource
    ) async throws(CeleriacError) -> UInt64 {
        let deadline = time.now.addingTimeInterval(timeout.inSeconds)
        var wait = LockWait()
        while true {
            let outcome = try await locks.acquire(key, owner: owner, lease: lease)
            guard case .held(let holder, let remaining) = outcome else {
                if case .acquired(let fence) = outcome { return fence }
                continue
            }
            let left = Duration.seconds(deadline.timeIntervalSince(time.now))
            guard let pause = wait.next(remaining: remaining, left: left, random: .random(in: 0..<1)) else {
                throw CeleriacError(.timedOut, "the lock \(name) was not free within \(timeout); \(holder) has it")
            }
            do {
                try await time.sleep(for: pause)
            } catch {
                throw CeleriacError(.cancelled, "cancelled while waiting for the lock \(name)")
            }
        }
    }

    private enum End<Value: Sendable>: Sendable {
        case body(Result<Value, any Error>)
        case lost
        case cancelled
    }

    private func run<Value: Sendable>(
        _ body: @escaping @Sendable (LockHold) async throws -> Value,
        _ hold: LockHold,
        _ keeper: LockKeeper,
        alreadySpent: Duration
    ) async -> Result<Value, any Error> {
        await withTaskGroup(of: End<Value>.self) { group in
            group.addTask {
                do { return .body(.success(try await body(hold))) } catch { return .body(.failure(error)) }
            }
            group.addTask {
                guard await keeper.keep(alreadySpent: alreadySpent) == .lost else { return .cancelled }
                hold.end()
                return .lost
            }
            var result: Result<Value, any Error>?
            var isLost = false
            while let end = await group.next() {
                switch end {
                case .body(let ended):
                    result = ended
                    group.cancelAll()
                case .lost:
                    isLost = result == nil
                    group.cancelAll()
                case .cancelled: break
                }
            }
            hold.end()
            if let result, !isLost { return result }
            return .failure(CeleriacError(.lockLost, "the lock \(name) was lost while it was needed"))
        }
    }
}

extension TaskApp {
    /// A lock that all programs with this application's lock store know by its name.
    ///
    /// - Parameter lease: How long a process that died keeps the lock; at least a second. A shorter lease is renewed more
    ///   often and lost sooner when the store is away.
    public func lock(_ name: String, lease: Duration = .seconds(30)) -> SharedLock {
        SharedLock(name: name, lease: max(.seconds(1), lease), app: self)
    }
}

/// A lock that is held.
public final class LockHold: Sendable {
    /// Grows with every change of owner, so that the writes of an earlier owner can be told and refused.
    public let fence: UInt64
    private let isHeld = Atomic(true)

    init(fence: UInt64) {
        self.fence = fence
    }

    /// Whether the lock is still held, as far as this process can know; turns `false` before the lease ends.
    public var isValid: Bool { isHeld.load(ordering: .acquiring) }

    func end() { isHeld.store(false, ordering: .releasing) }
}

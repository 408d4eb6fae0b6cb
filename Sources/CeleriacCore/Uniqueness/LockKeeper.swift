/// How long to wait before asking for a held lock again.
struct LockWait: Sendable {
    private var pause = Duration.milliseconds(10)

    /// The next pause: growing, so that many who wait do not keep the store busy, never past the end of the lease, and
    /// spread, so that they do not come together.
    ///
    /// - Parameter random: From 0 to 1.
    /// - Returns: `nil` if the time is up.
    mutating func next(remaining: Duration, left: Duration, random: Double) -> Duration? {
        guard left > .zero else { return nil }
        defer { pause = min(pause * 2, .milliseconds(500)) }
        return min(pause * (0.5 + random / 2), max(remaining, .milliseconds(1)), left)
    }
}

/// Renews a lock until it is lost or the work is done.
struct LockKeeper: Sendable {
    enum End: Sendable {
        case lost
        case cancelled
    }

    let key: String
    let owner: String
    let lease: Duration
    let locks: any LockStore
    let time: any TimeSource

    /// From then on after the last renewal was sent, the lock counts as lost: a tenth of the lease is left for clocks that
    /// run apart.
    private var validity: Duration { lease * 9 / 10 }

    /// Keeps the lock until this task is cancelled.
    ///
    /// Renewed at a third of the lease. The time that passes is measured on a clock that does not jump.
    ///
    /// - Parameter alreadySpent: How long ago the lease was asked for.
    func keep(alreadySpent: Duration) async -> End {
        var spent = alreadySpent
        while true {
            guard (try? await time.sleep(for: max(.zero, lease / 3 - spent))) != nil else { return .cancelled }
            let began = ContinuousClock.now
            let left = validity - max(spent, lease / 3)
            switch await renew(within: left) {
            case true?: spent = began.duration(to: .now)
            case false?: return .lost
            case nil: return Task.isCancelled ? .cancelled : .lost
            }
        }
    }

    /// Tries until there is an answer.
    ///
    /// - Returns: Whether the lock was held and is renewed; `nil` if that could not be found out in time.
    private func renew(within limit: Duration) async -> Bool? {
        await withTaskGroup(of: Bool?.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    do {
                        return try await locks.renew(key, owner: owner, lease: lease)
                    } catch {
                        guard (try? await time.sleep(for: min(lease / 20, .seconds(1)))) != nil else { return nil }
                    }
                }
                return nil
            }
            group.addTask {
                _ = try? await time.sleep(for: limit)
                return nil
            }
            let answer = await group.next() ?? nil
            group.cancelAll()
            return answer
        }
    }
}

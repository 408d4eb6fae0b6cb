package import FoundationEssentials

/// What a lock store does, as a value: the rules that the drivers follow, and that they are tested against.
package struct LockTable: Sendable {
    package struct Entry: Sendable, Hashable {
        package var owner: String
        package var fence: UInt64
        package var since: Date
        package var end: Date
        package var isConfirmed = false
        /// Not to be started before, because of a debounce.
        package var due: Date?
        package var offer: CallOffer?
    }

    private var entries: [String: Entry] = [:]
    private var lastFence: UInt64 = 0
    /// With so many entries it is time to drop those that ended; doubles with what is left.
    private var sweepAt = 64

    package init() {}

    /// How many entries there are, ended ones included.
    package var count: Int { entries.count }

    /// The lock's entry, unless its lease has ended.
    package func entry(_ key: String, now: Date) -> Entry? {
        guard let entry = entries[key], entry.end > now else { return nil }
        return entry
    }

    private func owned(_ key: String, by owner: String, now: Date) -> Entry? {
        guard let entry = entry(key, now: now), entry.owner == owner else { return nil }
        return entry
    }

    private static func remaining(_ entry: Entry, _ now: Date) -> Duration {
        .seconds(entry.end.timeIntervalSince(now))
    }

    private mutating func insert(_ key: String, owner: String, lease: Duration, now: Date) -> Entry {
        if entries.count >= sweepAt {
            entries = entries.filter { $0.value.end > now }
            sweepAt = max(64, 2 * entries.count)
        }
        lastFence += 1
        let entry = Entry(owner: owner, fence: lastFence, since: now, end: now.addingTimeInterval(lease.inSeconds))
        entries[key] = entry
        return entry
    }

    package mutating func acquire(_ key: String, owner: String, lease: Duration, now: Date) -> LockOutcome {
        guard var entry = entry(key, now: now) else {
            return .acquired(fence: insert(key, owner: owner, lease: lease, now: now).fence)
        }
        guard entry.owner == owner else { return .held(by: entry.owner, remaining: Self.remaining(entry, now)) }
        entry.end = max(entry.end, now.addingTimeInterval(lease.inSeconds))
        entries[key] = entry
        return .acquired(fence: entry.fence)
    }

    package mutating func renew(_ key: String, owner: String, lease: Duration, now: Date) -> Bool {
        guard var entry = owned(key, by: owner, now: now) else { return false }
        entry.end = max(entry.end, now.addingTimeInterval(lease.inSeconds))
        entries[key] = entry
        return true
    }

    package mutating func release(_ key: String, owner: String, now: Date) -> Bool {
        guard owned(key, by: owner, now: now) != nil else { return false }
        entries[key] = nil
        return true
    }

    package mutating func reserve(
        _ key: String,
        owner: String,
        lease: Duration,
        offer: CallOffer,
        now: Date
    ) -> ReserveOutcome {
        guard var entry = entry(key, now: now), entry.owner == owner || entry.isConfirmed || !offer.takesOver else {
            var entry = insert(key, owner: owner, lease: lease, now: now)
            entry.due = offer.debounce.map { now.addingTimeInterval($0.wait.inSeconds) }
            entries[key] = entry
            return .reserved(fence: entry.fence)
        }
        if entry.owner == owner {
            entry.end = max(entry.end, now.addingTimeInterval(lease.inSeconds))
            entries[key] = entry
            return .reserved(fence: entry.fence)
        }
        guard entry.isConfirmed else { return .unconfirmed(owner: entry.owner, remaining: Self.remaining(entry, now)) }
        let earlier = entry.offer
        entry.offer = CallOffer(
            arguments: offer.arguments ?? earlier?.arguments,
            expires: earlier.map { Self.later($0.expires, offer.expires) } ?? offer.expires
        )
        if let debounce = offer.debounce {
            let due = min(
                now.addingTimeInterval(debounce.wait.inSeconds),
                entry.since.addingTimeInterval(debounce.maximumWait.inSeconds)
            )
            entry.due = max(entry.due ?? due, due)
        }
        // Until the call may start, and then as long as any other.
        let end = max(now, entry.due ?? now).addingTimeInterval(lease.inSeconds)
        entry.end = max(entry.end, end)
        entries[key] = entry
        return .joined(owner: entry.owner, remaining: Self.remaining(entry, now))
    }

    /// Of two instants of expiry the later; none is the latest.
    package static func later(_ left: Date?, _ right: Date?) -> Date? {
        guard let left, let right else { return nil }
        return max(left, right)
    }

    package mutating func confirm(_ key: String, owner: String, lease: Duration, now: Date) -> Bool {
        guard var entry = owned(key, by: owner, now: now) else { return false }
        entry.isConfirmed = true
        entry.end = max(entry.end, now.addingTimeInterval(lease.inSeconds))
        entries[key] = entry
        return true
    }

    package mutating func start(
        _ key: String,
        as running: String,
        owner: String,
        lease: Duration,
        now: Date
    ) -> StartOutcome {
        if let other = entry(running, now: now), other.owner != owner {
            return .busy(owner: other.owner, remaining: Self.remaining(other, now))
        }
        let queued = owned(key, by: owner, now: now)
        if let due = queued?.due, due > now { return .early(.seconds(due.timeIntervalSince(now))) }
        var entry = entry(running, now: now) ?? insert(running, owner: owner, lease: lease, now: now)
        entry.end = max(entry.end, now.addingTimeInterval(lease.inSeconds))
        if let offer = queued?.offer { entry.offer = offer }
        entries[running] = entry
        if queued != nil { entries[key] = nil }
        return .started(fence: entry.fence, offer: entry.offer)
    }

    package func locks(matching pattern: String, limit: Int, now: Date) -> [HeldLock] {
        var found: [HeldLock] = []
        for (key, entry) in entries where found.count < limit && entry.end > now && Self.matches(key, pattern) {
            found.append(
                HeldLock(
                    key: key,
                    owner: entry.owner,
                    remaining: Self.remaining(entry, now),
                    age: .seconds(now.timeIntervalSince(entry.since)),
                    fence: entry.fence
                )
            )
        }
        return found
    }

    package mutating func clear(_ key: String, now: Date) -> Bool {
        defer { entries[key] = nil }
        return entry(key, now: now) != nil
    }

    /// Whether a name looks like a pattern in which `*` stands for any text.
    package static func matches(_ name: String, _ pattern: String) -> Bool {
        let (name, pattern) = (Array(name.utf8), Array(pattern.utf8))
        var (position, place) = (0, 0)
        // Where to go on if what follows the last star does not fit: one octet further.
        var retry: (position: Int, place: Int)?
        while position < name.count {
            if place < pattern.count, pattern[place] == UInt8(ascii: "*") {
                place += 1
                retry = (position, place)
            } else if place < pattern.count, pattern[place] == name[position] {
                position += 1
                place += 1
            } else if let last = retry {
                position = last.position + 1
                place = last.place
                retry = (position, place)
            } else {
                return false
            }
        }
        return pattern[place...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}

internal import CeleriacCore
internal import FoundationEssentials
internal import Redis

/// The state of beat: the leader's lease, and for each entry its latest claimed slot.
///
/// Keys: `celeriac-beat:<schedule>:leader`, a string with the lease as its time to live, and
/// `celeriac-beat:<schedule>:entry:<entry>`, a hash kept for 400 days, longer than the rarest yearly entry needs.
final class RedisScheduleStore: ScheduleStore {
    private static let keptFor = 400 * 86_400_000

    private let link: RedisLink

    init(_ link: RedisLink) {
        self.link = link
    }

    private static func leaderKey(_ schedule: String) -> String { "celeriac-beat:\(schedule):leader" }
    private static func entryKey(_ entry: String, _ schedule: String) -> String {
        "celeriac-beat:\(schedule):entry:\(entry)"
    }

    private static let leadScript = RedisScript(
        """
        local leader = redis.call('GET', KEYS[1])
        if leader and leader ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        return 1
        """
    )

    private static let resignScript = RedisScript(
        """
        if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        return redis.call('DEL', KEYS[1])
        """
    )

    /// Checks the lease in the step that claims, so that a leader that was paused past it cannot emit.
    private static let claimScript = RedisScript(
        """
        if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'not-leader' end
        local slot = redis.call('HGET', KEYS[2], 'slot')
        if slot and tonumber(slot) >= tonumber(ARGV[2]) then
            return redis.call('HGET', KEYS[2], 'sent') == '1' and 'sent' or 'claimed'
        end
        redis.call('HSET', KEYS[2], 'slot', ARGV[2], 'sent', '0')
        redis.call('PEXPIRE', KEYS[2], ARGV[3])
        return 'granted'
        """
    )

    private static let sentScript = RedisScript(
        """
        if redis.call('HGET', KEYS[1], 'slot') ~= ARGV[1] then return 0 end
        redis.call('HSET', KEYS[1], 'sent', '1')
        return 1
        """
    )

    func lead(_ schedule: String, as owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
        let reply = try await link.evaluate(
            Self.leadScript,
            keys: [Self.leaderKey(schedule)],
            arguments: [owner, Int(clamping: lease.inMilliseconds)],
            within: max(.seconds(5), lease / 3),
            attempting: "take the lead of schedule \(schedule)"
        )
        return reply.integer == 1
    }

    func resign(_ schedule: String, as owner: String) async throws(CeleriacError) {
        _ = try await link.evaluate(
            Self.resignScript,
            keys: [Self.leaderKey(schedule)],
            arguments: [owner],
            attempting: "resign from schedule \(schedule)"
        )
    }

    func claim(
        _ slot: Date,
        of entry: String,
        in schedule: String,
        as owner: String
    ) async throws(CeleriacError) -> SlotClaim {
        // Repeated after a lost reply, it may find its own claim: not sent, so the leader emits it under the slot's own id.
        let reply = try await link.evaluate(
            Self.claimScript,
            keys: [Self.leaderKey(schedule), Self.entryKey(entry, schedule)],
            arguments: [owner, slot.milliseconds, Self.keptFor],
            attempting: "claim a slot of entry \(entry)"
        )
        switch reply.string {
        case "granted": return .granted
        case "claimed": return .taken(isSent: false)
        case "sent": return .taken(isSent: true)
        case "not-leader": return .notLeader
        default: throw CeleriacError(.undecodable, "claim a slot of entry \(entry): Redis answered \(reply)")
        }
    }

    func markSent(_ slot: Date, of entry: String, in schedule: String) async throws(CeleriacError) {
        _ = try await link.evaluate(
            Self.sentScript,
            keys: [Self.entryKey(entry, schedule)],
            arguments: [slot.milliseconds],
            attempting: "mark a slot of entry \(entry) sent"
        )
    }

    func lastSlot(of entry: String, in schedule: String) async throws(CeleriacError) -> (slot: Date, isSent: Bool)? {
        let reply = try await link.send(
            RedisCommand("HMGET", Self.entryKey(entry, schedule), "slot", "sent"),
            attempting: "read the last slot of entry \(entry)"
        )
        guard let fields = reply.array, fields.count == 2, let slot = fields[0].string.flatMap({ Double($0) }) else {
            return nil
        }
        return (Date(timeIntervalSince1970: slot / 1000), fields[1].string == "1")
    }
}

extension Date {
    /// Since 1970, the resolution of a slot.
    fileprivate var milliseconds: Int { Int((timeIntervalSince1970 * 1000).rounded()) }
}

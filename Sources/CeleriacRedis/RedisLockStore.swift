internal import CeleriacCore
internal import Redis

/// Locks as hashes of owner and fence, with the lease as their time to live.
final class RedisLockStore: LockStore {
    private let link: RedisLink

    init(_ link: RedisLink) {
        self.link = link
    }

    /// The fence is the server's clock in microseconds: it grows from owner to owner without a counter that would have to
    /// outlive the lock.
    private static let acquireScript = RedisScript(
        """
        local owner = redis.call('HGET', KEYS[1], 'owner')
        if owner and owner ~= ARGV[1] then
            return {0, owner, redis.call('PTTL', KEYS[1])}
        end
        if not owner then
            local now = redis.call('TIME')
            redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'fence', now[1] .. string.format('%06d', now[2]))
        end
        redis.call('PEXPIRE', KEYS[1], ARGV[2])
        return {1, redis.call('HGET', KEYS[1], 'fence')}
        """
    )

    private static let renewScript = RedisScript(
        """
        if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
        return redis.call('PEXPIRE', KEYS[1], ARGV[2])
        """
    )

    private static let releaseScript = RedisScript(
        """
        if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
        return redis.call('DEL', KEYS[1])
        """
    )

    func acquire(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> LockOutcome {
        let reply = try await link.evaluate(
            Self.acquireScript,
            keys: [key],
            arguments: [owner, Int(clamping: lease.inMilliseconds)],
            attempting: "take the lock \(key)"
        )
        let fields = reply.array ?? []
        if fields.count == 2, fields[0].integer == 1, let fence = fields[1].string.flatMap({ UInt64($0) }) {
            return .acquired(fence: fence)
        }
        if fields.count == 3, let holder = fields[1].string, let remaining = fields[2].integer {
            return .held(by: holder, remaining: .milliseconds(max(0, remaining)))
        }
        throw CeleriacError(.undecodable, "the lock \(key) holds something else: Redis answered \(reply)")
    }

    func renew(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
        let reply = try await link.evaluate(
            Self.renewScript,
            keys: [key],
            arguments: [owner, Int(clamping: lease.inMilliseconds)],
            attempting: "renew the lock \(key)"
        )
        return reply.integer == 1
    }

    func release(_ key: String, owner: String) async throws(CeleriacError) -> Bool {
        let reply = try await link.evaluate(
            Self.releaseScript,
            keys: [key],
            arguments: [owner],
            attempting: "free the lock \(key)"
        )
        return reply.integer == 1
    }
}

internal import CeleriacCore
internal import FoundationEssentials
internal import Redis

/// Locks as hashes of owner and fence, with the lease as their time to live; the rules are those of `LockTable`.
///
/// Names that begin with `qo_` are `celery-once`'s: its locks are strings whose value is the owner, and are kept so.
final class RedisLockStore: LockStore {
    let link: RedisLink

    init(_ link: RedisLink) {
        self.link = link
    }

    func acquire(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> LockOutcome {
        let isForeign = key.hasPrefix(CeleryOnceKey.prefix)
        let reply = try await link.evaluate(
            isForeign ? RedisLockScripts.acquireForeign : RedisLockScripts.acquire,
            keys: isForeign ? [key] : [key, RedisLockScripts.fenceKey],
            arguments: [owner, Int(clamping: lease.inMilliseconds)],
            attempting: "take the lock \(key)"
        )
        let fields = reply.array ?? []
        if fields.first?.integer == 1, let fence = Self.fence(fields.dropFirst().first) {
            return .acquired(fence: fence)
        }
        if fields.first?.integer == 0, let (owner, remaining) = Self.holder(fields) {
            return .held(by: owner, remaining: remaining)
        }
        throw Self.unexpected(reply, of: key)
    }

    func renew(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
        let isForeign = key.hasPrefix(CeleryOnceKey.prefix)
        let reply = try await link.evaluate(
            isForeign ? RedisLockScripts.renewForeign : RedisLockScripts.renew,
            keys: [key],
            arguments: [owner, Int(clamping: lease.inMilliseconds)],
            attempting: "renew the lock \(key)"
        )
        return reply.integer == 1
    }

    func release(_ key: String, owner: String) async throws(CeleriacError) -> Bool {
        let isForeign = key.hasPrefix(CeleryOnceKey.prefix)
        let reply = try await link.evaluate(
            isForeign ? RedisLockScripts.releaseForeign : RedisLockScripts.release,
            keys: [key],
            arguments: [owner],
            attempting: "free the lock \(key)"
        )
        return reply.integer == 1
    }

    func reserve(
        _ key: String,
        owner: String,
        lease: Duration,
        offer: CallOffer
    ) async throws(CeleriacError) -> ReserveOutcome {
        let reply = try await link.evaluate(
            RedisLockScripts.reserve,
            keys: [key, RedisLockScripts.fenceKey],
            arguments: [
                owner,
                Int(clamping: lease.inMilliseconds),
                offer.arguments == nil ? 0 : 1,
                offer.arguments ?? [],
                offer.expires.map { Int($0.timeIntervalSince1970 * 1000) } ?? 0,
                offer.debounce.map { Int(clamping: $0.wait.inMilliseconds) } ?? 0,
                offer.debounce.map { Int(clamping: $0.maximumWait.inMilliseconds) } ?? 0,
                offer.takesOver ? 1 : 0,
            ],
            attempting: "reserve \(key)"
        )
        let fields = reply.array ?? []
        switch fields.first?.integer {
        case 1: if let fence = Self.fence(fields.dropFirst().first) { return .reserved(fence: fence) }
        case 0: if let (owner, remaining) = Self.holder(fields) { return .joined(owner: owner, remaining: remaining) }
        case 2:
            if let (owner, remaining) = Self.holder(fields) { return .unconfirmed(owner: owner, remaining: remaining) }
        default: break
        }
        throw Self.unexpected(reply, of: key)
    }

    func confirm(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
        let reply = try await link.evaluate(
            RedisLockScripts.confirm,
            keys: [key],
            arguments: [owner, Int(clamping: lease.inMilliseconds)],
            attempting: "confirm \(key)"
        )
        return reply.integer == 1
    }

    func start(
        _ key: String,
        as running: String,
        owner: String,
        lease: Duration
    ) async throws(CeleriacError) -> StartOutcome {
        let reply = try await link.evaluate(
            RedisLockScripts.start,
            keys: [key, running, RedisLockScripts.fenceKey],
            arguments: [owner, Int(clamping: lease.inMilliseconds)],
            attempting: "start the call that holds \(key)"
        )
        let fields = reply.array ?? []
        switch fields.first?.integer {
        case 0: if let (owner, remaining) = Self.holder(fields) { return .busy(owner: owner, remaining: remaining) }
        case 2: if fields.count == 2, let pause = fields[1].integer { return .early(.milliseconds(max(1, pause))) }
        case 1:
            guard fields.count == 5, let fence = Self.fence(fields[1]) else { break }
            guard let expires = fields[2].string.flatMap({ Double($0) }) else {
                return .started(fence: fence, offer: nil)
            }
            let offer = CallOffer(
                arguments: fields[3].integer == 1 ? fields[4].bytes : nil,
                expires: expires > 0 ? .init(timeIntervalSince1970: expires / 1000) : nil
            )
            return .started(fence: fence, offer: offer)
        default: break
        }
        throw Self.unexpected(reply, of: key)
    }

    // MARK: Replies

    private static func fence(_ value: RESPValue?) -> UInt64? { value?.string.flatMap { UInt64($0) } }

    /// Owner and remaining time, behind the number that tells what happened.
    private static func holder(_ fields: [RESPValue]) -> (owner: String, remaining: Duration)? {
        guard fields.count == 3, let owner = fields[1].string, let remaining = fields[2].integer else { return nil }
        return (owner, .milliseconds(max(0, remaining)))
    }

    private static func unexpected(_ reply: RESPValue, of key: String) -> CeleriacError {
        CeleriacError(.undecodable, "the lock \(key) holds something else: Redis answered \(reply)")
    }
}

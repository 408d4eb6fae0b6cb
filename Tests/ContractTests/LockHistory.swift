import CeleriacCore
import FoundationEssentials
import TestSupport
import Testing

/// What may happen to some locks: owners that come, go and die, answers that are lost, commands that are repeated, leases
/// that end.
///
/// All random, from a seed. Who was granted what, and until when, is noted apart from the store; each answer is held against
/// that.
struct LockHistory {
    private struct Grant {
        let owner: String
        let fence: UInt64
        var end: Date
    }

    private let seed: UInt64
    private var random: SeededGenerator
    private let keys: [String]
    private var grants: [String: Grant] = [:]
    private var lastFence: [String: UInt64] = [:]
    /// By an own clock, moved by the test alone.
    private var now = Date(timeIntervalSince1970: 0)

    init(seed: UInt64) {
        self.seed = seed
        random = SeededGenerator(state: seed)
        keys = (0..<2).map { _ in uniqueName("lock") }
    }

    /// Plays the history.
    ///
    /// - Parameter advance: Lets time pass; a store on its own clock has leases so long that they end by `clear` alone.
    func verify(_ store: any LockStore, advance: ((Duration) -> Void)? = nil) async throws {
        var history = self
        for _ in 0..<40 { try await history.step(store, advance) }
    }

    private func grant(_ key: String) -> Grant? { grants[key].flatMap { $0.end > now ? $0 : nil } }

    private mutating func extend(_ key: String, to end: Date) {
        guard var grant = grants[key] else { return }
        grant.end = max(grant.end, end)
        grants[key] = grant
    }

    private mutating func step(_ store: any LockStore, _ advance: ((Duration) -> Void)?) async throws {
        let key = keys[Int.random(in: 0..<keys.count, using: &random)]
        let owner = ["a", "b", "c"][Int.random(in: 0..<3, using: &random)]
        let lease = Duration.seconds(Int.random(in: 60...180, using: &random))
        let end = now.addingTimeInterval(lease.inSeconds)
        // The answer of the first is lost.
        let repeats = Int.random(in: 0..<10, using: &random) == 0
        switch Int.random(in: 0..<100, using: &random) {
        case ..<40:
            if repeats { _ = try await store.acquire(key, owner: owner, lease: lease) }
            try acquired(try await store.acquire(key, owner: owner, lease: lease), key, owner, end)
        case ..<60:
            if repeats { _ = try await store.renew(key, owner: owner, lease: lease) }
            let isRenewed = try await store.renew(key, owner: owner, lease: lease)
            #expect(isRenewed == (grant(key)?.owner == owner), "seed \(seed): renewed")
            if isRenewed { extend(key, to: end) }
        case ..<78:
            if repeats { _ = try await store.release(key, owner: owner) }
            let isReleased = try await store.release(key, owner: owner)
            #expect(isReleased == (!repeats && grant(key)?.owner == owner), "seed \(seed): released")
            if grant(key)?.owner == owner { grants[key] = nil }
        case ..<82:
            #expect(try await store.clear(key) == (grant(key) != nil), "seed \(seed): cleared")
            grants[key] = nil
        case ..<90:
            let held = try await store.locks(matching: key, limit: 10)
            #expect(held.map { $0.owner } == (grant(key).map { [$0.owner] } ?? []), "seed \(seed): listed")
            #expect(held.first?.fence == grant(key)?.fence, "seed \(seed): listed")
        default:
            guard let advance else { return }
            let span = Duration.seconds(Int.random(in: 1...100, using: &random))
            now.addTimeInterval(span.inSeconds)
            advance(span)
        }
    }

    private mutating func acquired(_ outcome: LockOutcome, _ key: String, _ owner: String, _ end: Date) throws {
        switch outcome {
        case .held(let holder, _):
            #expect(grant(key)?.owner == holder && holder != owner, "seed \(seed): held beyond its lease, or by nobody")
        case .acquired(let fence):
            if let grant = grant(key) {
                #expect(grant.owner == owner, "seed \(seed): two owners")
                #expect(grant.fence == fence, "seed \(seed): another fence for the same owner")
                extend(key, to: end)
            } else {
                #expect(fence > lastFence[key] ?? 0, "seed \(seed): the fence did not grow")
                grants[key] = Grant(owner: owner, fence: fence, end: end)
            }
            lastFence[key] = fence
        }
    }
}

package import CeleriacCore

/// What may happen to runs under one concurrency limit: places that are taken, renewed, freed and lost by crashes, and
/// replies that are lost.
///
/// All random, from a seed. A lease is known to begin between question and answer; only what is surely wrong is.
package struct PlaceHistory {
    /// A place that somebody has, as far as can be told from outside.
    private struct Lease {
        let surelyUntil: Double
        let possiblyUntil: Double
    }

    private let seed: UInt64
    private let clock: HistoryClock
    private var random: HistoryGenerator
    private let key = uniqueName("history")
    private let count: Int
    private let lease: Duration
    private var leases: [String: Lease] = [:]
    /// Who runs, or thinks so; a crash forgets.
    private var owners: [String] = []
    private var number = 0

    package init(seed: UInt64, clock: HistoryClock, lease: Duration) {
        self.seed = seed
        self.clock = clock
        self.lease = lease
        var random = HistoryGenerator(seed: seed)
        count = Int.random(in: 1...4, using: &random)
        self.random = random
    }

    /// Plays some steps.
    ///
    /// - Parameter disturb: Called while a question is underway, once; the store may forget everything then, which it tells.
    package mutating func play(
        _ store: any LimitStore,
        steps: Int = 80,
        disturb: (() async throws -> Bool)? = nil
    ) async throws {
        let disturbedAt = disturb == nil ? nil : Int.random(in: steps / 3..<steps, using: &random)
        for step in 0..<steps {
            if step == disturbedAt, let disturb { try await withDisturbance(store, disturb) }
            try await self.step(store)
        }
        try await settle(store)
    }

    private mutating func step(_ store: any LimitStore) async throws {
        switch Int.random(in: 0..<100, using: &random) {
        case ..<40:
            let owner = nextOwner()
            let isLost = Int.random(in: 0..<5, using: &random) == 0
            if try await acquire(owner, store) {
                owners.append(owner)
                // What the store repeats after a lost reply finds the place it has taken already.
                if isLost, !(try await acquire(owner, store)) { throw HistoryBroken(seed, "a place was taken back") }
            }
        case ..<55: if let owner = owners.randomElement(using: &random) { _ = try await acquire(owner, store) }
        case ..<75:
            guard let owner = owners.randomElement(using: &random) else { return }
            try await release(owner, store)
            if Int.random(in: 0..<3, using: &random) == 0 { try await release(owner, store) }
            owners.removeAll { $0 == owner }
        case ..<80: if let owner = owners.randomElement(using: &random) { owners.removeAll { $0 == owner } }
        default: try await clock.pass(lease * Double.random(in: 0...1.2, using: &random))
        }
    }

    private mutating func nextOwner() -> String {
        number += 1
        return "\(number)"
    }

    private mutating func acquire(_ owner: String, _ store: any LimitStore) async throws -> Bool {
        let sent = clock.now()
        let decision = try await store.acquire(key, owner: owner, count: count, lease: lease, within: .seconds(60))
        return try note(decision, owner, sent: sent)
    }

    private mutating func note(_ decision: PlaceDecision, _ owner: String, sent: Double) throws -> Bool {
        let received = clock.now()
        let others = leases.filter { $0.key != owner }.values
        let possiblyMine = leases[owner].map { $0.possiblyUntil > sent } ?? false
        let surelyMine = leases[owner].map { $0.surelyUntil > received } ?? false
        switch decision {
        case .granted:
            if !possiblyMine, others.count(where: { $0.surelyUntil > received }) >= count {
                throw HistoryBroken(seed, "more than \(count) have a place")
            }
            leases[owner] = Lease(
                surelyUntil: sent + lease.inSeconds,
                possiblyUntil: received + lease.inSeconds
            )
            return true
        case .full:
            if surelyMine { throw HistoryBroken(seed, "an owner's own place was refused") }
            if others.count(where: { $0.possiblyUntil > sent }) < count {
                throw HistoryBroken(seed, "a place is free, and nobody gets it")
            }
            leases[owner] = nil
            return false
        }
    }

    private mutating func release(_ owner: String, _ store: any LimitStore) async throws {
        let sent = clock.now()
        let hadOne = try await store.release(key, owner: owner, within: .seconds(60))
        let received = clock.now()
        let possiblyMine = leases[owner].map { $0.possiblyUntil > sent } ?? false
        let surelyMine = leases[owner].map { $0.surelyUntil > received } ?? false
        if hadOne, !possiblyMine { throw HistoryBroken(seed, "a place was freed that nobody had") }
        if !hadOne, surelyMine { throw HistoryBroken(seed, "a place was not freed") }
        leases[owner] = nil
    }

    private mutating func withDisturbance(_ store: any LimitStore, _ disturb: () async throws -> Bool) async throws {
        let owner = nextOwner()
        let (key, count, lease) = (key, count, lease)
        let sent = clock.now()
        async let question = store.acquire(key, owner: owner, count: count, lease: lease, within: .seconds(60))
        let isForgotten = try await disturb()
        let decision = try await question
        guard isForgotten else {
            if try note(decision, owner, sent: sent) { owners.append(owner) }
            return
        }
        // Nobody can say on which side of the loss it was answered: it goes.
        _ = try await store.release(key, owner: owner, within: .seconds(60))
        owners = []
        leases = [:]
    }

    /// Whoever crashed, after one lease all places are free.
    private mutating func settle(_ store: any LimitStore) async throws {
        try await clock.pass(lease + .milliseconds(clock.isManual ? 0 : 5))
        for _ in 0..<count where !(try await acquire(nextOwner(), store)) {
            throw HistoryBroken(seed, "a place is not freed by the end of its lease")
        }
    }
}

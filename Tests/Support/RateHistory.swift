package import CeleriacCore

/// What may happen to calls under one rate limit: turns that are claimed, missed or lost, crashes, lost replies, pauses.
///
/// All random, from a seed. A grant is known to have happened between question and answer; only what is surely wrong is.
package struct RateHistory {
    private struct Call {
        let owner: String
        let cost: Double
        var run = 0
        var place: String?
        /// When the call was granted its turn by a reply that was lost.
        var secretlyGrantedAt: Double?
        var hasBegun = false
    }

    private struct Grant {
        let sent: Double
        let received: Double
        let cost: Double
    }

    private let seed: UInt64
    private let clock: HistoryClock
    private var random: HistoryGenerator
    private let key: String
    private let rate: Rate
    private let algorithm: RateLimit.Algorithm
    private let burst: Double
    private var calls: [Call] = []
    private var grants: [Grant] = []
    private var pauses: [(received: Double, until: Double)] = []
    private var number = 0
    /// What all places that were ever given take.
    private var asked = 0.0

    /// - Parameter interval: The time between two in steady pace.
    package init(seed: UInt64, clock: HistoryClock, interval: Duration) {
        self.seed = seed
        self.clock = clock
        var random = HistoryGenerator(seed: seed)
        key = uniqueName("history")
        algorithm = Bool.random(using: &random) ? .tokenBucket : .slidingWindow
        let count = Int.random(in: 1...6, using: &random)
        rate = Rate(Double(count), per: interval * count)
        burst = Double(Int.random(in: 1...4, using: &random))
        self.random = random
    }

    /// Plays some steps.
    ///
    /// - Parameter disturb: Called while a question is underway, once; the store may forget everything then, which it tells.
    package mutating func play(
        _ store: any LimitStore,
        steps: Int = 60,
        disturb: (() async throws -> Bool)? = nil
    ) async throws {
        let disturbedAt = disturb == nil ? nil : Int.random(in: steps / 3..<steps, using: &random)
        for step in 0..<steps {
            if step == disturbedAt, let disturb {
                let isForgotten = try await withDisturbance(store, disturb)
                if isForgotten { forget() }
            }
            try await self.step(store)
        }
        try await settle(store)
        try checkBounds()
    }

    private mutating func step(_ store: any LimitStore) async throws {
        let waiting = calls.indices.filter { !calls[$0].hasBegun }
        switch Int.random(in: 0..<100, using: &random) {
        case ..<25: add()
        case ..<60:
            guard let index = waiting.randomElement(using: &random) else { return add() }
            try await ask(index, store, isLost: Int.random(in: 0..<5, using: &random) == 0)
        case ..<66:
            // Delivered again: what was parked has its place, the message before it has not.
            guard let index = calls.indices.randomElement(using: &random) else { return }
            crash(index)
        case ..<70: if let index = calls.indices.randomElement(using: &random) { calls.remove(at: index) }
        case ..<73: try await pause(store)
        default: try await clock.pass(interval * Double.random(in: 0...2.5, using: &random))
        }
    }

    private var interval: Duration { rate.period / rate.count }

    private mutating func add() {
        let cost: Double = [1, 1, 1, 0.5, 2, 7].randomElement(using: &random) ?? 1
        calls.append(Call(owner: "\(number)", cost: cost))
        asked += cost
        number += 1
    }

    private mutating func crash(_ index: Int) {
        // A run that was granted its turn is gone with it: the next one is counted anew.
        if calls[index].hasBegun || calls[index].secretlyGrantedAt != nil { asked += calls[index].cost }
        calls[index].run += 1
        calls[index].hasBegun = false
        calls[index].secretlyGrantedAt = nil
        if Bool.random(using: &random) { calls[index].place = nil }
    }

    private func request(_ call: Call) -> RateRequest {
        RateRequest(
            key: key,
            rate: rate,
            algorithm: algorithm,
            burst: burst,
            cost: call.cost,
            owner: call.owner,
            run: "\(call.run)",
            place: call.place
        )
    }

    @discardableResult
    private mutating func ask(_ index: Int, _ store: any LimitStore, isLost: Bool = false) async throws -> Duration? {
        let sent = clock.now()
        let decision = try await store.take(request(calls[index]), within: .seconds(60))
        return try note(decision, index, sent: sent, isLost: isLost)
    }

    private mutating func note(
        _ decision: RateDecision,
        _ index: Int,
        sent: Double,
        isLost: Bool = false
    ) throws -> Duration? {
        // A store remembers for a minute what it has answered; who repeats a question later is counted again.
        let isRepeated = calls[index].secretlyGrantedAt.map { sent < $0 + 60 } ?? false
        switch decision {
        case .granted:
            let received = clock.now()
            if !isRepeated {
                grants.append(Grant(sent: sent, received: received, cost: calls[index].cost))
                if pauses.contains(where: { sent >= $0.received && received < $0.until - 1e-5 }) {
                    throw HistoryBroken(seed, "one began during a pause")
                }
            }
            calls[index].secretlyGrantedAt = isLost ? (isRepeated ? calls[index].secretlyGrantedAt : sent) : nil
            calls[index].hasBegun = !isLost
            return nil
        case .wait(let wait, let place):
            if isRepeated { throw HistoryBroken(seed, "a turn was taken back") }
            if calls[index].secretlyGrantedAt.take() != nil { asked += calls[index].cost }
            guard !isLost else { return wait }
            guard let place else { throw HistoryBroken(seed, "no place was given") }
            calls[index].place = place
            return wait
        }
    }

    private mutating func pause(_ store: any LimitStore) async throws {
        guard let index = calls.indices.filter({ calls[$0].hasBegun }).randomElement(using: &random) else { return }
        let duration = interval * Double.random(in: 0...4, using: &random)
        let sent = clock.now()
        calls[index].run += 1
        let decision = try await store.pause(request(calls[index]), for: duration, within: .seconds(60))
        calls[index].hasBegun = false
        asked += calls[index].cost
        guard case .wait(_, let place?) = decision else { throw HistoryBroken(seed, "a pause gives no place") }
        calls[index].place = place
        pauses.append((clock.now(), sent + duration.inSeconds))
    }

    // MARK: Disturbance

    private mutating func withDisturbance(
        _ store: any LimitStore,
        _ disturb: () async throws -> Bool
    ) async throws -> Bool {
        add()
        let index = calls.count - 1
        let request = request(calls[index])
        let sent = clock.now()
        async let question = store.take(request, within: .seconds(60))
        let isForgotten = try await disturb()
        let decision = try await question
        if isForgotten {
            // Nobody can say on which side of the loss it was answered.
            calls.remove(at: index)
        } else {
            _ = try note(decision, index, sent: sent)
        }
        return isForgotten
    }

    private mutating func forget() {
        try? checkBounds()
        grants = []
        pauses = []
        for index in calls.indices where calls[index].secretlyGrantedAt != nil {
            calls[index].secretlyGrantedAt = nil
            calls[index].hasBegun = true
        }
    }

    // MARK: What must be

    /// Lets everyone begin who still waits, each asking when its turn was said to come.
    private mutating func settle(_ store: any LimitStore) async throws {
        let began = clock.now()
        var rounds = 0
        while true {
            var next: Duration?
            for index in calls.indices where !calls[index].hasBegun {
                guard let wait = try await ask(index, store) else { continue }
                next = min(next ?? wait, wait)
            }
            guard let next else { break }
            rounds += 1
            guard rounds < 2000 else { throw HistoryBroken(seed, "some wait for ever") }
            try await clock.pass(max(next, .microseconds(1)))
        }
        let paused = pauses.map { $0.until - $0.received }.max() ?? 0
        // A place that was given and lost costs no more than its own time, and who is late may have had two.
        let longest = 3 * asked * interval.inSeconds + paused + 2 * rate.period.inSeconds
        if clock.isManual, clock.now() - began > longest {
            throw HistoryBroken(seed, "took \(clock.now() - began) s for what takes \(longest) s at most")
        }
    }

    private func checkBounds() throws {
        let interval = interval.inSeconds
        for first in grants.indices {
            var cost = 0.0
            for last in grants[first...] {
                let span = last.received - grants[first].sent
                switch algorithm {
                case .tokenBucket:
                    cost += last.cost
                    let slack = min(0.9 * interval, RateMeter.longestSlack / 1e6)
                    let most = (span + slack) / interval + max(burst, last.cost)
                    if cost > most + 1e-3 { throw HistoryBroken(seed, "\(cost) in \(span) s, at most \(most)") }
                case .slidingWindow:
                    cost += min(last.cost, rate.count)
                    if span < rate.period.inSeconds - 1e-5, cost > rate.count + 1e-9 {
                        throw HistoryBroken(seed, "\(cost) in \(span) s, of \(rate.period) at most \(rate.count)")
                    }
                }
            }
        }
    }
}

import CeleriacCore
import FoundationEssentials
import TestSupport
import Testing

/// What may happen to equal calls of one task: producers that die between lock, publish and confirm, publishes that are
/// refused or go without an answer, workers that die at any point, retries, lost answers, and a store that forgets.
///
/// All random, from a seed. Producers follow `CallAdmission` and workers start calls as theirs do; the broker is a list. In
/// the end everything still queued is run, and then holds: after each accepted call there began a run that ended; with newer
/// arguments than that call's, or its own, unless the store has forgotten any.
struct UniqueHistory {
    private struct Sent: Equatable {
        let id: String
        /// The number of the call whose arguments these are.
        var arguments: Int
    }

    /// A producer between two steps.
    private struct Producer {
        let id: String
        let number: Int
        var admission: CallAdmission
        var takesOver = false
        /// The lock is held: next comes the publish.
        var isAdmitted = false
    }

    private struct Run {
        let message: Sent
        let arguments: Int
        let began: Int
    }

    private struct Accepted {
        let number: Int
        let at: Int
        let id: String
    }

    private let seed: UInt64
    private var random: SeededGenerator
    private let conflict: UniquePolicy.Conflict
    private let key = uniqueName("celeriac-unique:history")
    private var calls = 0
    private var events = 0
    private var producers: [Producer] = []
    private var queue: [Sent] = []
    private var running: [Run] = []
    private var finished: [Run] = []
    private var accepted: [Accepted] = []
    /// When each call last offered its arguments, whether or not it heard an answer.
    private var offered: [Int: Int] = [:]
    /// Whether locks were lost before they were freed: then calls may run side by side, and with older arguments.
    private var hasForgotten = false
    private var lastFence: UInt64 = 0
    private var fences: [String: UInt64] = [:]
    /// Calls whose place others took over, or whose publish went without an answer: they are queued beside.
    private var hasDoubt = false

    private static let lease = Duration.seconds(600)

    init(seed: UInt64) {
        self.seed = seed
        random = SeededGenerator(state: seed)
        conflict = seed % 2 == 0 ? .trailing : .replaceArguments
    }

    /// - Parameter lapse: Lets all leases end.
    func verify(_ store: any LockStore, lapse: (() -> Void)? = nil) async throws {
        var history = self
        for _ in 0..<60 {
            history.events += 1
            try await history.step(store, lapse)
        }
        try await history.drain(store)
        history.judge()
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    private mutating func step(_ store: any LockStore, _ lapse: (() -> Void)?) async throws {
        switch Int.random(in: 0..<100, using: &random) {
        case ..<25:
            calls += 1
            let deadline = Date(timeIntervalSince1970: chance(90) ? 10 : -10)
            producers.append(
                Producer(id: "call-\(calls)", number: calls, admission: CallAdmission(conflict, deadline: deadline))
            )
        case ..<60: try await produce(store)
        case ..<80: try await begin(store)
        case ..<95: try await end(store)
        case ..<97:
            // The store is restarted without what it held, or the leases end unrenewed.
            guard chance(30) else { return }
            hasForgotten = true
            if let lapse {
                lapse()
            } else {
                for lock in try await store.locks(matching: "\(key)*", limit: 100) { try await store.clear(lock.key) }
            }
        default:
            let held = try await store.locks(matching: "\(key)*", limit: 100)
            #expect(held.count <= 2, "seed \(seed): more than the queued and the running one: \(held)")
        }
    }

    private mutating func produce(_ store: any LockStore) async throws {
        guard !producers.isEmpty else { return }
        let index = Int.random(in: 0..<producers.count, using: &random)
        var producer = producers.remove(at: index)
        if producer.isAdmitted { return try await publish(producer, store) }
        // It dies before, or right after the store has done what it asked.
        if chance(4) { return }
        let offer = CallOffer(
            arguments: conflict == .replaceArguments ? Array(String(producer.number).utf8) : nil,
            takesOver: producer.takesOver
        )
        offered[producer.number] = events
        if chance(10) { _ = try await store.reserve(key, owner: producer.id, lease: Self.lease, offer: offer) }
        let outcome = try await store.reserve(key, owner: producer.id, lease: Self.lease, offer: offer)
        if chance(4) {
            // It died: what it has offered counts all the same, what it has reserved stays unconfirmed.
            return
        }
        if producer.takesOver, case .reserved = outcome { hasDoubt = true }
        switch producer.admission.received(outcome, now: Date(timeIntervalSince1970: 0)) {
        case .send:
            producer.isAdmitted = true
            producers.append(producer)
        case .give(let owner, _): accepted.append(Accepted(number: producer.number, at: events, id: owner))
        case .pause:
            producers.append(producer)
        case .reserve(let takesOver):
            producer.takesOver = takesOver
            producers.append(producer)
        case .acquire, .refuse: Issue.record("seed \(seed): a step that joining calls do not take")
        }
    }

    private mutating func publish(_ producer: Producer, _ store: any LockStore) async throws {
        let sent = Sent(id: producer.id, arguments: producer.number)
        switch Int.random(in: 0..<100, using: &random) {
        case ..<10: break  // died before
        case ..<20: try await store.release(key, owner: producer.id)
        case ..<25:
            // No answer; it may be queued. The same call is made again.
            if chance(50) { queue.append(sent) }
            hasDoubt = true
            var again = producer
            again.isAdmitted = false
            if chance(50) { producers.append(again) }
        case ..<32:
            queue.append(sent)  // died after
            hasDoubt = true
        default:
            queue.append(sent)
            try await store.confirm(key, owner: producer.id, lease: Self.lease)
            accepted.append(Accepted(number: producer.number, at: events, id: producer.id))
        }
    }

    private mutating func begin(_ store: any LockStore) async throws {
        guard !queue.isEmpty else { return }
        let message = queue.remove(at: Int.random(in: 0..<queue.count, using: &random))
        if chance(10) {
            _ = try await store.start(key, as: key + ":running", owner: message.id, lease: Self.lease)
            // The worker died, or did not hear the answer and gave the message back.
            if chance(50) { return queue.append(message) }
        }
        switch try await store.start(key, as: key + ":running", owner: message.id, lease: Self.lease) {
        case .busy(let owner, _):
            #expect(owner != message.id, "seed \(seed): busy with itself")
            queue.append(message)
        case .early: Issue.record("seed \(seed): put off without a debounce")
        case .started(let fence, let offer):
            if let earlier = fences[message.id], earlier == fence {
                #expect(fence <= lastFence)
            } else {
                #expect(fence > lastFence, "seed \(seed): the fence did not grow")
            }
            fences[message.id] = fence
            lastFence = max(lastFence, fence)
            // One message may have been delivered twice, under one id.
            #expect(
                hasForgotten || running.allSatisfy { $0.message.id == message.id },
                "seed \(seed): two equal calls run"
            )
            let arguments = offer?.arguments.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? message.arguments
            running.append(Run(message: message, arguments: arguments, began: events))
        }
    }

    private mutating func end(_ store: any LockStore) async throws {
        guard !running.isEmpty else { return }
        let run = running.remove(at: Int.random(in: 0..<running.count, using: &random))
        switch Int.random(in: 0..<100, using: &random) {
        case ..<20: queue.append(run.message)  // the worker died: the message comes again as it was
        case ..<30:
            // A retry carries the arguments it ran with.
            queue.append(Sent(id: run.message.id, arguments: run.arguments))
        default:
            finished.append(run)
            if chance(10) { queue.append(run.message) }  // died before it could acknowledge
            // Of a message that was delivered twice, the last run frees the lock.
            guard running.allSatisfy({ $0.message.id != run.message.id }) else { return }
            if chance(10) { try await store.release(key + ":running", owner: run.message.id) }
            try await store.release(key + ":running", owner: run.message.id)
        }
    }

    /// Lets everything come to its end: producers die, workers do not.
    private mutating func drain(_ store: any LockStore) async throws {
        producers = []
        for run in running { queue.append(run.message) }
        running = []
        var patience = 1000
        while let message = queue.first {
            patience -= 1
            guard patience > 0 else {
                Issue.record("seed \(seed): the queue does not empty: \(queue)")
                return
            }
            events += 1
            queue.removeFirst()
            switch try await store.start(key, as: key + ":running", owner: message.id, lease: Self.lease) {
            case .started(_, let offer):
                let newest = offer?.arguments.flatMap { Int(String(decoding: $0, as: UTF8.self)) }
                finished.append(Run(message: message, arguments: newest ?? message.arguments, began: events))
                try await store.release(key + ":running", owner: message.id)
            case .busy(let owner, _):
                // Its message was acknowledged, and its worker died before it could free the lock.
                if !queue.contains(where: { $0.id == owner }) { try await store.clear(key + ":running") }
                queue.append(message)
            case .early: Issue.record("seed \(seed): put off without a debounce")
            }
        }
    }

    private func judge() {
        for call in accepted {
            let after = finished.filter { $0.began >= call.at }
            #expect(!after.isEmpty, "seed \(seed): call \(call.number) was accepted and no run followed")
            guard conflict == .replaceArguments, !hasForgotten, !hasDoubt else { continue }
            #expect(
                after.contains { $0.arguments >= call.number || offered[$0.arguments] ?? 0 >= call.at },
                "seed \(seed): the arguments of call \(call.number) were lost: \(after.map(\.arguments))"
            )
        }
    }
}

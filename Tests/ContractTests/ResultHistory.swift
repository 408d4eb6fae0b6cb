import CeleriacCore
import FoundationEssentials
import TestSupport
import Testing

/// What may happen to one call: deliveries, crashes that leave a run writing late, retries, dead letters, replies that are
/// lost so that a write is repeated, later as well, records that end.
///
/// All random, from a seed. After each step the record that is to be seen must be the ``ResultModel``'s, and the promises
/// must hold that need no model: no result goes backwards, a success stays, a superseded run changes nothing.
struct ResultHistory: Sendable {
    /// What a history does with a store, and what only some stores can.
    struct Stage: Sendable {
        var backend: any ResultBackend
        /// Ends the task's record as its time to live would.
        var expire: (@Sendable (TaskID) async throws -> Void)?
        /// Writes as a Python worker does, who knows of no runs.
        var overwrite: (@Sendable (TaskRecord) async throws -> Void)?
        /// Whether replies are lost for real, so that a write may have been made twice without our knowing.
        var losesReplies = false
    }

    /// A run of the task in some worker, which may not know that it has been superseded.
    private struct Run {
        let attempt: Attempt
        let retries: Int
        var hasRetried = false
    }

    private struct Seen {
        let document: [UInt8]
        let state: TaskState
        let fence: Attempt
    }

    private let seed: UInt64
    private let steps: Int
    private var random: SeededGenerator
    private let task = uniqueTask()
    private var message = (retries: 0, redeliveries: 0)
    private var runs: [Run] = []
    /// Writes that were made and whose reply did not come: each is made again some time.
    private var unanswered: [TaskRecord] = []
    private var written: [[UInt8]: TaskRecord] = [:]
    private var model = ResultModel()
    private var seen: Seen?

    init(seed: UInt64, steps: Int = 40) {
        self.seed = seed
        self.steps = steps
        random = SeededGenerator(state: seed)
    }

    /// Plays the history and checks each of its steps.
    func verify(_ stage: Stage) async throws {
        var history = self
        for _ in 0..<steps { try await history.step(stage) }
    }

    private mutating func step(_ stage: Stage) async throws {
        switch Int.random(in: 0..<100, using: &random) {
        case ..<20: deliver()
        case ..<27: if !runs.isEmpty { runs.remove(at: Int.random(in: 0..<runs.count, using: &random)) }
        case ..<29:
            try await stage.backend.forget(task)
            end()
        case ..<31:
            guard let expire = stage.expire else { return }
            try await expire(task)
            end()
        case ..<35: try await overwrite(stage)
        case ..<38: try await write(.queued, by: nil, stage)
        case ..<50:
            guard let index = unanswered.indices.randomElement(using: &random) else { return }
            try await store(unanswered.remove(at: index), stage)
        default:
            guard let index = runs.indices.randomElement(using: &random) else { return deliver() }
            let states: [TaskState] = [.started, .progress, .retry, .failure, .revoked, .success]
            try await write(states.randomElement(using: &random) ?? .started, by: index, stage)
        }
    }

    private mutating func end() {
        model.end()
        seen = nil
    }

    private mutating func deliver() {
        let attempt = Attempt(retries: message.retries, redeliveries: message.redeliveries)
        runs.append(Run(attempt: attempt, retries: message.retries))
        message.redeliveries += 1
    }

    private mutating func write(_ state: TaskState, by index: Int?, _ stage: Stage) async throws {
        var record = record(state)
        record.attempt = .none
        if let index {
            record.attempt = runs[index].attempt
            if state == .retry, !runs[index].hasRetried {
                runs[index].hasRetried = true
                if message.retries == runs[index].retries { message = (message.retries + 1, 0) }
            }
            if state == .failure, Int.random(in: 0..<4, using: &random) == 0 {
                // A dead letter, which somebody publishes again.
                record.isOpen = true
                message = (0, 0)
            }
        }
        written[record.document] = record
        if Int.random(in: 0..<5, using: &random) == 0 { unanswered.append(record) }
        try await store(record, stage)
    }

    private mutating func store(_ record: TaskRecord, _ stage: Stage) async throws {
        let told = try await stage.backend.keep(record, of: record.attempt)
        let wasStored = model.store(record)
        // Who sends a record does not learn what becomes of it; what is to be seen is looked at below.
        let isStored = stage.backend.abilities.contains(.immediate) ? told : wasStored
        // Its reply lost, the driver has made the write once more, and it has met itself.
        let isAnswerOfRepeat = stage.losesReplies && isStored == model.store(record)
        #expect(
            isStored == wasStored || isAnswerOfRepeat,
            "seed \(seed): \(record.state) of \(record.attempt) said to be stored: \(isStored)"
        )
        try await look(stage)
    }

    private mutating func overwrite(_ stage: Stage) async throws {
        guard let overwrite = stage.overwrite, model.stored?.state != .success else { return }
        var record = record([.started, .failure, .success].randomElement(using: &random) ?? .success)
        record.attempt = model.stored?.fence ?? .first
        written[record.document] = record
        try await overwrite(record)
        model.overwrite(record)
        seen = nil
        try await look(stage)
    }

    private func record(_ state: TaskState) -> TaskRecord {
        let serial = "\(written.count)"
        guard state.isError else {
            return TaskRecord(task: task, state: state, value: JSONText.string(serial), at: .now)
        }
        let failure = TaskFailure(type: "E", arguments: [.string(serial)], module: nil)
        return TaskRecord(task: task, state: state, failure: failure, at: .now)
    }

    /// Holds what is to be seen against the model, and against what was seen before.
    private mutating func look(_ stage: Stage) async throws {
        let document = try await stage.backend.kept(task)?.document
        #expect(document == model.stored?.document, "seed \(seed): another record than the model's")
        guard let document else { return }
        let record = try #require(written[document], "seed \(seed): what is stored nobody wrote")
        if let seen {
            if seen.state == .success { #expect(document == seen.document, "seed \(seed): a success was overwritten") }
            if seen.state.isFinal { #expect(record.state.isFinal, "seed \(seed): an end gave way to \(record.state)") }
            #expect(
                record.attempt >= seen.fence || document == seen.document,
                "seed \(seed): a later run was overwritten"
            )
        }
        seen = Seen(document: document, state: record.state, fence: record.fence)
    }
}

/// SplitMix64: equal seeds give equal histories.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

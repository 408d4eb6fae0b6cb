import CeleriacCore
import FoundationEssentials
import TestSupport
import Testing

/// What may happen to one call: deliveries, crashes that leave a run writing late, retries, records that end.
///
/// All random, from a seed; after each write the record is held against what was there before.
struct ResultHistory {
    /// A run of the task in some worker, which may not know that it has been superseded.
    private struct Run {
        let attempt: Attempt
        let retries: Int
        var hasRetried = false
    }

    private struct Write {
        let attempt: Attempt
        let state: TaskState
    }

    private let seed: UInt64
    private var random: SeededGenerator
    private let task = uniqueTask()
    private var message = (retries: 0, redeliveries: 0)
    private var runs: [Run] = []
    private var writes: [[UInt8]: Write] = [:]
    private var visible: (document: [UInt8], write: Write)?
    private var newest = Attempt.first

    init(seed: UInt64) {
        self.seed = seed
        random = SeededGenerator(state: seed)
    }

    /// Plays the history against a backend.
    ///
    /// - Parameter expire: Lets the time to live of all records pass.
    mutating func play(_ backend: any ResultBackend, expire: (() -> Void)?) async throws {
        for _ in 0..<24 {
            switch Int.random(in: 0..<100, using: &random) {
            case ..<25: deliver()
            case ..<35: if !runs.isEmpty { runs.remove(at: Int.random(in: 0..<runs.count, using: &random)) }
            case ..<37:
                try await backend.forget(task)
                visible = nil
            case ..<39:
                if let expire {
                    expire()
                    visible = nil
                }
            default: try await write(backend)
            }
        }
    }

    func verify(_ backend: any ResultBackend, expire: (() -> Void)? = nil) async throws {
        var history = self
        try await history.play(backend, expire: expire)
    }

    private mutating func deliver() {
        let attempt = Attempt(retries: message.retries, redeliveries: message.redeliveries)
        runs.append(Run(attempt: attempt, retries: message.retries))
        message.redeliveries += 1
    }

    private mutating func write(_ backend: any ResultBackend) async throws {
        guard !runs.isEmpty else { return deliver() }
        let index = Int.random(in: 0..<runs.count, using: &random)
        let run = runs[index]
        let state = [TaskState.started, .started, .retry, .failure, .success].randomElement(using: &random) ?? .started
        if state == .retry, !run.hasRetried {
            runs[index].hasRetried = true
            if message.retries == run.retries { message = (run.retries + 1, 0) }
        }
        var record = record(state)
        record.attempt = run.attempt
        writes[record.document] = Write(attempt: run.attempt, state: state)
        newest = max(newest, run.attempt)
        let isStored = try await backend.store(record, ttl: .seconds(60), within: .seconds(20))
        try check(record, isStored, try await backend.record(of: task)?.document)
    }

    private func record(_ state: TaskState) -> TaskRecord {
        let serial = "\(writes.count)"
        guard state.isError else {
            return TaskRecord(task: task, state: state, value: JSONText.string(serial), at: .now)
        }
        let failure = TaskFailure(type: "E", arguments: [.string(serial)], module: nil)
        return TaskRecord(task: task, state: state, failure: failure, at: .now)
    }

    private mutating func check(_ record: TaskRecord, _ isStored: Bool, _ document: [UInt8]?) throws {
        let document = try #require(document, "seed \(seed): nothing is stored after a write")
        let write = try #require(writes[document], "seed \(seed): what is stored nobody wrote")
        #expect((document == record.document) == isStored, "seed \(seed): what was said to be stored")
        if let former = visible {
            if former.write.state == .success {
                #expect(document == former.document, "seed \(seed): a success was overwritten")
            }
            if former.write.state.isFinal {
                #expect(write.state.isFinal, "seed \(seed): an end was overwritten by \(write.state)")
            }
            #expect(write.attempt >= former.write.attempt, "seed \(seed): a later run was overwritten")
        }
        if record.state.isFinal, record.attempt == newest {
            #expect(write.state == .success || isStored, "seed \(seed): the end of the newest run was refused")
        }
        visible = (document, write)
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

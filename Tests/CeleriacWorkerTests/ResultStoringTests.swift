import CeleriacCore
import CeleriacWorker
import FoundationEssentials
import TestSupport
import Testing

@Suite("What a worker stores", .timeLimit(.minutes(1))) struct ResultStoringTests {
    /// A value that cannot be encoded.
    private struct Unencodable: Codable, Sendable {
        func encode(to encoder: any Encoder) throws {
            let context = EncodingError.Context(codingPath: [], debugDescription: "it cannot be written down")
            throw EncodingError.invalidValue(self, context)
        }
    }

    @Test("A result without a JSON form is a failure, and the task is not run again")
    func unencodable() async throws {
        let app = memoryApp()
        let runs = Shared(0)
        let task = app.task("t", options: .init(retry: .fixed(attempts: 3, delay: .zero))) { () -> Unencodable in
            runs.update { $0 += 1 }
            return Unencodable()
        }
        let handle = try await task.delay()
        let (_, statistics) = try await withWorker(app) { _ in
            let failure = await #expect(throws: TaskFailure.self) { _ = try await handle.value(within: .seconds(20)) }
            #expect(failure?.type == "EncodeError")
            #expect(failure?.message.contains("it cannot be written down") == true)
        }
        #expect(statistics == WorkerStatistics(failed: 1))
        #expect(runs.value == 1)
        #expect(try await app.drivers().broker.depth(of: "celery") == 0)
    }

    @Test("A result larger than the limit is a failure that says so, and the task is not run again")
    func tooLarge() async throws {
        let app = memoryApp { $0.maximumResultSize = 100 }
        let task = app.task("t", options: .init(retry: .fixed(attempts: 3, delay: .zero))) { (length: Int) in
            String(repeating: "x", count: length)
        }
        let small = try await task.delay(98)
        let large = try await task.delay(99)
        let (_, statistics) = try await withWorker(app) { _ async throws in
            #expect(try await small.value(within: .seconds(20)).count == 98)
            let failure = await #expect(throws: TaskFailure.self) { try await large.value(within: .seconds(20)) }
            #expect(failure == .resultTooLarge(octets: 101, limit: 100))
        }
        #expect(statistics == WorkerStatistics(succeeded: 1, failed: 1))
    }

    @Test("A failure larger than the limit is stored shortened")
    func longFailure() async throws {
        let app = memoryApp { $0.maximumResultSize = 4096 }
        let task = app.task("t") { () async throws -> Int in
            throw Boom(description: String(repeating: "x", count: 5000))
        }
        let handle = try await task.delay()
        try await withWorker(app) { _ in
            let failure = await #expect(throws: TaskFailure.self) { _ = try await handle.value(within: .seconds(20)) }
            #expect(failure?.type == "Boom")
            #expect(failure?.message.count == 1024)
        }
    }

    @Test("What nobody wants to know may be too large, or have no JSON form")
    func ignored() async throws {
        let app = memoryApp { $0.maximumResultSize = 100 }
        let large = app.task("large", options: .init(ignoresResult: true)) { String(repeating: "x", count: 1000) }
        let odd = app.task("odd", options: .init(ignoresResult: true)) { Unencodable() }
        try await large.delay()
        try await odd.delay()
        let (_, statistics) = try await withWorker(app) { worker in
            try await eventually { worker.statistics.succeeded + worker.statistics.failed == 2 }
        }
        #expect(statistics == WorkerStatistics(succeeded: 2))
    }

    @Test("A task that ignores results may have its failures stored")
    func storesErrors() async throws {
        let app = memoryApp()
        let options = TaskOptions(ignoresResult: true, storesErrorsEvenIfIgnored: true)
        let task = app.task("t", options: options) { (fails: Bool) in
            if fails { throw Boom() }
        }
        let (failing, passing) = (try await task.delay(true), try await task.delay(false))
        try await withWorker(app) { worker in
            await #expect(throws: TaskFailure.self) { _ = try await failing.value(within: .seconds(20)) }
            try await eventually { worker.statistics.succeeded == 1 }
        }
        #expect(try await passing.record() == nil)
    }

    @Test("A run that lost its message cannot overwrite what the next delivery's run has stored")
    func fencedByDelivery() async throws {
        let app = memoryApp()
        let isReady = Shared(false)
        let task = app.task("t", options: .init(tracksStarted: true)) { () -> Int in
            while !isReady.value { try await turn() }
            return 1
        }
        let handle = try await task.delay()
        guard let first = try await app.drivers().broker.get("celery") else {
            throw NotInTime(description: "the call is queued")
        }
        let stale = first.attempt(retries: 0)
        first.giveBack()
        try await withWorker(app) { _ in
            try await eventually { try await handle.state() == .started }
            var late = TaskRecord.failure(handle.id)
            late.attempt = stale
            let isStored = try await app.drivers().results.store(late, ttl: .seconds(60), within: .seconds(20))
            #expect(!isStored)
            isReady.update { $0 = true }
            #expect(try await handle.value(within: .seconds(20)) == 1)
        }
    }

    @Test("The first run's late record does not hide that the second has begun")
    func fencedByRetry() async throws {
        let app = memoryApp()
        let isReady = Shared(false)
        let options = TaskOptions(retry: .fixed(attempts: 2, delay: .zero), tracksStarted: true)
        let task = app.task("t", options: options) { (context: TaskContext) -> Int in
            if context.attempt == 1 { throw Boom() }
            while !isReady.value { try await turn() }
            return 2
        }
        let handle = try await task.delay()
        let events = EventLog()
        try await withWorker(app, events: events) { _ in
            await events.wait { if case .started(let context) = $0 { context.attempt == 2 } else { false } }
            let late = TaskRecord.failure(handle.id)
            let isStored = try await app.drivers().results.store(late, ttl: .seconds(60), within: .seconds(20))
            #expect(!isStored)
            isReady.update { $0 = true }
            #expect(try await handle.value(within: .seconds(20)) == 2)
        }
    }
}

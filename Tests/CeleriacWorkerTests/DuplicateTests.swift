import CeleriacCore
import CeleriacWorker
import TestSupport
import Testing

@Suite("Messages that come again", .timeLimit(.minutes(1))) struct DuplicateTests {
    /// An application with one call of a counting task, delivered before and given back.
    private func delivered(_ runs: Shared<Int>, _ options: TaskOptions = .init()) async throws -> (TaskApp, TaskID) {
        let app = memoryApp()
        let task = app.task("t", options: options) { () -> Int in
            runs.update { $0 += 1 }
            return 1
        }
        let handle = try await task.delay()
        guard let delivery = try await app.drivers().broker.get("celery") else {
            throw NotInTime(description: "the call is queued")
        }
        delivery.giveBack()
        return (app, handle.id)
    }

    private func store(_ record: TaskRecord, _ app: TaskApp) async throws {
        try await app.drivers().results.store(record, ttl: .seconds(60), within: .seconds(20))
    }

    @Test("A message delivered again is acknowledged without running if its task has succeeded")
    func skipped() async throws {
        let runs = Shared(0)
        let (app, id) = try await delivered(runs)
        try await store(.success(id), app)
        let (_, statistics) = try await withWorker(app) { worker in
            try await eventually { worker.statistics.skipped == 1 }
        }
        #expect(statistics == WorkerStatistics(skipped: 1))
        #expect(runs.value == 0)
        #expect(try await app.drivers().broker.depth(of: "celery") == 0)
    }

    @Test("A message that its producer has sent twice is acknowledged without running if its task has succeeded")
    func sentTwice() async throws {
        let app = memoryApp()
        let runs = Shared(0)
        let task = app.task("t") { () -> Int in
            runs.update { $0 += 1 }
            return 1
        }
        let handle = try await task.delay()
        let broker = try app.drivers().broker
        let first = try await broker.take(from: "celery")
        var copy = first.message
        copy.headers["redelivered-by-producer"] = true
        first.giveBack()
        let (_, statistics) = try await withWorker(app) { worker in
            #expect(try await handle.value(within: .seconds(20)) == 1)
            try await broker.publish(copy, to: Route(to: QueueDeclaration("celery")))
            try await eventually { worker.statistics.skipped == 1 }
        }
        #expect(statistics == WorkerStatistics(succeeded: 1, skipped: 1))
        #expect(runs.value == 1)
        #expect(try await broker.depth(of: "celery") == 0)
    }

    @Test("A message delivered again runs if its task has failed or only begun, or if skipping is off")
    func run() async throws {
        for (state, skips) in [(TaskState.failure, true), (.started, true), (.success, false)] {
            let runs = Shared(0)
            let (app, id) = try await delivered(runs)
            let ended: TaskRecord = state == .success ? .success(id) : .failure(id)
            try await store(state == .started ? .started(id) : ended, app)
            let configuration = WorkerConfiguration(concurrency: 1, skipsSucceeded: skips)
            try await withWorker(app, configuration) { worker in
                try await eventually { worker.statistics.succeeded == 1 }
            }
            #expect(runs.value == 1)
        }
    }

    @Test("A message delivered again frees the lock of a unique task that has succeeded")
    func unique() async throws {
        let runs = Shared(0)
        let (app, id) = try await delivered(runs, .init(unique: .refuse))
        try await store(.success(id), app)
        try await withWorker(app) { worker in
            try await eventually { worker.statistics.skipped == 1 }
        }
        let again = try await app.signature("t", arguments: []).apply()
        #expect(again.id != id)
    }

    /// Only quorum queues count; what a message brings along from another queue is no count of this one's.
    @Test("A task is told how often its queue delivered the message before", arguments: [(true, 3), (false, nil)])
    func deliveryCount(isRedelivered: Bool, _ expected: Int?) async throws {
        let app = memoryApp()
        let task = app.task("t") { (context: TaskContext) -> Int? in context.deliveryCount }
        let handle = try await task.delay()
        let broker = try app.drivers().broker
        let first = try await broker.take(from: "celery")
        first.acknowledge()
        var message = first.message
        message.headers["x-delivery-count"] = 3
        try await broker.publish(message, to: Route(to: QueueDeclaration("celery")))
        if isRedelivered { try await broker.take(from: "celery").giveBack() }
        try await withWorker(app) { _ async throws in
            #expect(try await handle.value(within: .seconds(20)) == expected)
        }
    }

    @Test("An effect happens once for each key, however often the call runs")
    func once() async throws {
        let app = memoryApp()
        let effects = Shared<[String]>([])
        let task = app.task("t", options: .init(retry: .fixed(attempts: 3, delay: .zero))) {
            (context: TaskContext) -> [String?] in
            let charge = try await context.once("charge") { () -> String in
                effects.update { $0.append("charge") }
                return "charged"
            }
            // It is not tried again: it may have happened.
            let mail = try await context.once("mail") { () -> String in
                effects.update { $0.append("mail") }
                throw Boom()
            }
            return [charge, mail]
        }
        let (first, second) = (try await task.delay(), try await task.delay())
        try await withWorker(app) { _ async throws in
            #expect(try await first.value(within: .seconds(20)) == [nil, nil])
            #expect(try await second.value(within: .seconds(20)) == [nil, nil])
        }
        #expect(effects.value.sorted() == ["charge", "charge", "mail", "mail"])
    }
}

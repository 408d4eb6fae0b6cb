import CeleriacCore
import CeleriacWorker
import Testing

@Suite("Stopping a worker", .timeLimit(.minutes(1))) struct StoppingTests {
    @Test("Finishes what runs, gives back what waits, takes nothing new")
    func drains() async throws {
        let app = memoryApp()
        let (started, gate) = (Shared(0), Shared(false))
        let work = app.task("work") { () async throws -> Int in
            started.update { $0 += 1 }
            while !gate.value { try await Task.sleep(for: .milliseconds(1)) }
            return 1
        }
        let events = EventLog()
        let worker = Worker(app, configuration: .init(concurrency: 2, prefetch: 6), onEvent: events.record)
        var handles: [TaskHandle<Int>] = []
        for _ in 0..<10 { handles.append(try await work.delay()) }
        async let running: Void = worker.run()
        while started.value < 2 { try await turn() }
        worker.shutDown()
        await events.wait { if case .stopping = $0 { true } else { false } }
        gate.update { $0 = true }
        try await running
        #expect(worker.statistics.succeeded == 2)
        #expect(try await app.drivers().broker.depth(of: "celery") == 8)

        try await withWorker(app) { _ async throws in
            for handle in handles { #expect(try await handle.value(within: .seconds(10)) == 1) }
        }
    }

    @Test("A body that outlasts the grace period is cancelled and its message given back uncharged")
    func graceExpires() async throws {
        let app = memoryApp { $0.retry = .fixed(attempts: 3, delay: .milliseconds(1)) }
        let runs = Shared<[Int]>([])
        let work = app.task("work") { (context: TaskContext) async throws -> Int in
            runs.update { $0.append(context.attempt) }
            if runs.value.count == 1 { try await Task.sleep(for: .seconds(600)) }
            return context.attempt
        }
        let handle = try await work.delay()
        let worker = Worker(app, configuration: .init(concurrency: 1, grace: .milliseconds(5)))
        async let running: Void = worker.run()
        while runs.value.isEmpty { try await turn() }
        worker.shutDown()
        try await running
        #expect(worker.statistics == WorkerStatistics(givenBack: 1))
        try await withWorker(app) { _ async throws in #expect(try await handle.value(within: .seconds(10)) == 1) }
        #expect(runs.value == [1, 1])
    }

    @Test("A body that ignores its cancellation is left behind and its message given back")
    func abandons() async throws {
        let app = memoryApp()
        let (started, gate) = (Shared(false), Shared(false))
        let deaf = app.task("deaf") { () async -> Int in
            started.update { $0 = true }
            while !gate.value { await Task.yield() }
            return 1
        }
        _ = try await deaf.delay()
        let worker = Worker(app, configuration: .init(concurrency: 1, grace: .milliseconds(1)))
        async let running: Void = worker.run()
        while !started.value { try await turn() }
        worker.stopNow()
        try await running
        gate.update { $0 = true }
        #expect(try await app.drivers().broker.depth(of: "celery") == 1)
    }

    @Test("Cancelling run() stops at once")
    func cancellation() async throws {
        let app = memoryApp()
        let started = Shared(false)
        let slow = app.task("slow") { () async throws in
            started.update { $0 = true }
            try await Task.sleep(for: .seconds(600))
        }
        _ = try await slow.delay()
        let worker = Worker(app, configuration: .init(concurrency: 1))
        let running = Task { try await worker.run() }
        while !started.value { try await turn() }
        running.cancel()
        try await running.value
        #expect(try await app.drivers().broker.depth(of: "celery") == 1)
    }
}

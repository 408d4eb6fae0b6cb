import CeleriacCore
import Redis
import TestSupport
import Testing

@testable import CeleriacRedis

@Suite("When to look at records")
struct PollScheduleTests {
    private let start = ContinuousClock.now

    private func after(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }

    @Test("Looks are followed by longer and longer pauses, up to the longest")
    func pauses() {
        var schedule = PollSchedule(.init(first: .seconds(1), longest: .seconds(5)))
        let id = schedule.join("a", now: start)
        var looks: [Int] = []
        for second in 0...30 where !schedule.due(now: after(second), atMost: 10).isEmpty { looks.append(second) }
        #expect(looks == [1, 3, 7, 12, 17, 22, 27])
        schedule.leave(id)
        #expect(schedule.due(now: after(1000), atMost: 10).isEmpty)
        #expect(schedule.next == nil)
    }

    @Test("Those that wait longest come first, and no more than the limit at a time")
    func limit() {
        var schedule = PollSchedule(.init(first: .seconds(1), longest: .seconds(4)))
        _ = schedule.join("old", now: start)
        #expect(schedule.due(now: after(1), atMost: 10).map(\.task) == ["old"])
        for number in 0..<3 { _ = schedule.join(TaskID("new \(number)"), now: after(2)) }
        #expect(schedule.next == after(3))
        #expect(schedule.due(now: after(3), atMost: 3).map(\.task) == ["old", "new 0", "new 1"])
        #expect(schedule.due(now: after(3), atMost: 3).map(\.task) == ["new 2"])
        #expect(schedule.due(now: after(3), atMost: 3).isEmpty)
    }

    @Test("Many short waits leave nothing behind")
    func shortWaits() {
        var schedule = PollSchedule(.init())
        for number in 0..<10_000 { schedule.leave(schedule.join(TaskID("\(number)"), now: start)) }
        #expect(schedule.count == 0)
        #expect(schedule.due(now: after(60), atMost: 10).isEmpty)
        #expect(schedule.next == nil)
    }

    @Test("Only an end wakes who waits for one, and what cannot be judged by its beginning")
    func beginnings() {
        let samples: [(String, Bool)] = [
            (#"{"status": "SUCCESS", "result": 5"#, true), (#"{"status":"FAILURE""#, true),
            (#"{"status": "STARTED", "result""#, false), (#"{"status": "PROGRESS""#, false),
            ("\0celery-compressed\0application/x-gzip\0x", true), (#"{"result": 1"#, true),
        ]
        for (text, isFinal) in samples {
            #expect(RecordPoller.mayBeFinal(Array(text.utf8)) == isFinal, "\(text)")
        }
    }
}

@Suite(
    "Waiting for results in Redis",
    .tags(.integration),
    .enabled(if: TestServer.redis != nil, "set REDIS_URL"),
    .timeLimit(.minutes(2))
)
struct RedisWaitingTests {
    private func backend(first: Duration = .seconds(1), longest: Duration = .seconds(30)) throws -> RedisResultBackend {
        let link = try RedisLink(ServerURL(TestServer.require(.redis)), clientName: uniqueName("waiting"))
        return RedisResultBackend(
            link,
            compression: .none,
            polling: PollSchedule.Settings(first: first, longest: longest)
        )
    }

    /// Stores a record as a program does that announces nothing.
    private func storeSilently(_ record: TaskRecord, _ backend: RedisResultBackend) async throws {
        let command = RedisCommand("SETEX", RedisResultBackend.key(of: record.task), 60, record.document)
        _ = try await backend.link.client.send(command)
    }

    @Test("A result that was stored and not announced is found all the same")
    func silentResult() async throws {
        let backend = try backend(first: .milliseconds(50), longest: .milliseconds(100))
        let tasks = (0..<50).map { _ in uniqueTask() }
        try await withThrowingTaskGroup(of: TaskState.self) { group in
            for task in tasks { group.addTask { try await backend.outcome(of: task, within: .seconds(20)).state } }
            try await eventually("all are waited for") { backend.poller.watchedCount == tasks.count }
            for task in tasks { try await storeSilently(.started(task), backend) }
            for task in tasks { try await storeSilently(.success(task), backend) }
            for try await state in group { #expect(state == .success) }
        }
        #expect(backend.poller.watchedCount == 0)
        await backend.close()
    }

    @Test("Many results that were stored and not announced are found all the same")
    func silentResults() async throws {
        let backend = try backend(first: .milliseconds(50), longest: .milliseconds(100))
        let app = TaskApp("contract", configuration: Configuration()) { _ in
            Drivers(broker: MemoryBroker(), results: backend, locks: MemoryLockStore(), schedule: MemoryScheduleStore())
        }
        let handles = (0..<600).map { _ in app.handle(uniqueTask(), returning: Int.self) }
        let sum = Task {
            var sum = 0
            for try await done in app.results(of: handles, within: .seconds(60)) { sum += try done.value() }
            return sum
        }
        try await eventually("all are listened to") { backend.poller.watchedCount == handles.count }
        for handle in handles { try await storeSilently(.success(handle.id, 1), backend) }
        #expect(try await sum.value == handles.count)
        try await eventually("nothing is watched") { backend.poller.watchedCount == 0 }
        await backend.close()
    }

    @Test("A subscriber that the server drops, as it does with slow ones, misses nothing")
    func droppedSubscriber() async throws {
        let backend = try backend(first: .seconds(600))
        let task = uniqueTask()
        async let outcome = backend.outcome(of: task, within: .seconds(20))
        try await eventually("it is waited for") { backend.poller.watchedCount == 1 }
        let clients = try await backend.link.client.send(RedisCommand("CLIENT", "LIST", "TYPE", "pubsub")).string ?? ""
        let name = try #require(backend.link.subscriber.configuration.clientName)
        let line = try #require(clients.split(separator: "\n").first { $0.contains("name=\(name)") })
        let id = try #require(line.split(separator: " ").first?.dropFirst("id=".count))
        // Stored before the subscriber can be back, and announced to nobody.
        _ = try await backend.link.client.pipeline([
            RedisCommand("CLIENT", "KILL", "ID", String(id)),
            RedisCommand("SETEX", RedisResultBackend.key(of: task), 60, TaskRecord.success(task, 7).document),
        ])
        #expect(try await outcome.value(as: Int.self) == 7)
        await backend.close()
    }

    /// Waits for a task that ends, does not end in time, or is not waited for to the end.
    private static func end(
        of task: TaskID,
        as kind: Int,
        _ backend: RedisResultBackend
    ) async throws -> CeleriacError.Code? {
        let limit = Duration.seconds(60)
        let wait = Task { try await backend.outcome(of: task, within: kind == 1 ? .milliseconds(30) : limit) }
        if kind == 0 { _ = try await backend.store(.success(task), ttl: limit, within: limit) }
        if kind == 2 { wait.cancel() }
        do {
            _ = try await wait.value
            return nil
        } catch let error as CeleriacError {
            return error.code
        }
    }

    @Test("After ten thousand waits, finished, timed out and cancelled ones, nothing is left of them")
    func noLeaks() async throws {
        let backend = try backend()
        let tasks = (0..<10_000).map { _ in uniqueTask() }
        var ends: [CeleriacError.Code?: Int] = [:]
        for start in stride(from: 0, to: tasks.count, by: 500) {
            let batch = try await withThrowingTaskGroup(of: CeleriacError.Code?.self) { group in
                for index in start..<start + 500 {
                    group.addTask { try await Self.end(of: tasks[index], as: index % 3, backend) }
                }
                return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
            }
            ends.merge(batch) { $0 + $1 }
        }
        #expect(ends == [nil: 3334, .timedOut: 3333, .cancelled: 3333])
        #expect(backend.poller.watchedCount == 0)
        try await eventually("no subscription is left in the process") {
            let load = await backend.link.subscriber.load
            return load.subscriptions == 0 && load.channels == 0
        }
        try await eventually("no subscription is left at the server") {
            var count = 0
            for start in stride(from: 0, to: tasks.count, by: 1000) {
                let names = tasks[start..<start + 1000].map { RedisResultBackend.key(of: $0) }
                let reply = try await backend.link.client.send(RedisCommand("PUBSUB", arguments: ["NUMSUB"] + names))
                count += reply.array?.compactMap(\.integer).reduce(0, +) ?? 0
            }
            return count == 0
        }
        await backend.close()
    }
}

import CeleriacCore
import Testing

@testable import CeleriacWorker

@Suite("Order of settlement", .timeLimit(.minutes(1))) struct SettlementTests {
    private struct Boom: Error {}

    enum Ending: String, CaseIterable, Sendable {
        case success, failure, retry, reject, ignore, wrongArguments, expired

        /// What is done in order, once the body has ended; the lock's renewals are left out.
        var steps: [ScriptedDrivers.Step] {
            switch self {
            case .success: [.stored("SUCCESS"), .freed, .acknowledged]
            case .failure: [.stored("FAILURE"), .freed, .acknowledged]
            case .retry: [.published("celery"), .stored("RETRY"), .acknowledged]
            case .reject, .wrongArguments: [.published("celery.dlq"), .stored("FAILURE"), .freed, .acknowledged]
            case .ignore: [.freed, .acknowledged]
            case .expired: [.stored("REVOKED"), .freed, .acknowledged]
            }
        }
    }

    /// An application whose one task ends as asked, and one call of it, already queued.
    private func queued(_ ending: Ending, on drivers: ScriptedDrivers) async throws -> (TaskApp, TaskID) {
        let app = drivers.app()
        let task = app.task("t", options: .init(unique: .refuse)) { (context: TaskContext, x: Int) -> Int in
            switch ending {
            case .success, .wrongArguments, .expired: return x
            case .failure: throw Boom()
            case .retry:
                if context.attempt > 1 { return x }
                throw TaskEnding.retry(after: .seconds(3000))
            case .reject: throw TaskEnding.reject(reason: "no")
            case .ignore: throw TaskEnding.ignore
            }
        }
        let expires: Duration? = ending == .expired ? .seconds(-5) : nil
        if ending == .wrongArguments {
            let call = app.signature("t", "text")
            return (app, try await call.apply(.init(unique: .refuse)).id)
        }
        return (app, try await task.apply(1, options: .init(expires: expires)).id)
    }

    @Test("Follow-ups are confirmed, then the outcome is stored, the lock freed and the delivery acknowledged")
    func order() async throws {
        for ending in Ending.allCases {
            let drivers = ScriptedDrivers()
            let (app, _) = try await queued(ending, on: drivers)
            drivers.begin()
            try await withWorker(app) { _ async throws in
                while !drivers.steps.contains(.acknowledged) { try await turn() }
            }
            #expect(drivers.steps.filter { $0 != .renewed } == ending.steps, "\(ending)")
        }
    }

    @Test("A step that fails gives the message back, and nothing further is done; the next attempt does it all")
    func failures() async throws {
        for ending in Ending.allCases {
            for (index, refused) in ending.steps.enumerated() {
                guard refused != .acknowledged, refused != .freed, refused != .stored("RETRY") else { continue }
                let drivers = ScriptedDrivers()
                let (app, _) = try await queued(ending, on: drivers)
                drivers.begin(refusing: [refused])
                try await withWorker(app) { worker async throws in
                    while !drivers.steps.contains(refused) { try await turn() }
                    // Told to stop, it gives back at once instead of after its pause.
                    worker.shutDown()
                    while !drivers.steps.contains(.returned) { try await turn() }
                }
                let expected = Array(ending.steps[...index]) + [.returned]
                let steps = drivers.steps.filter { $0 != .renewed }
                // Before it was told to stop, a worker on a busy machine may have tried more than once.
                let attempts = stride(from: 0, to: steps.count, by: expected.count)
                    .map { Array(steps[$0..<min(steps.count, $0 + expected.count)]) }
                #expect(attempts.allSatisfy { $0 == expected } && !attempts.isEmpty, "\(ending) at \(refused)")
                drivers.begin()
                try await withWorker(app) { _ async throws in
                    while !drivers.steps.contains(.acknowledged) { try await turn() }
                }
                #expect(drivers.steps.filter { $0 != .renewed } == ending.steps, "\(ending) after \(refused)")
            }
        }
    }

    @Test("A retry that cannot be recorded is queued once all the same")
    func unrecordedRetry() async throws {
        let drivers = ScriptedDrivers()
        let (app, _) = try await queued(.retry, on: drivers)
        drivers.begin(refusing: [.stored("RETRY")])
        try await withWorker(app) { _ async throws in
            while !drivers.steps.contains(.acknowledged) { try await turn() }
        }
        #expect(drivers.steps.filter { $0 != .renewed } == Ending.retry.steps)
    }

    @Test("A result that the backend refuses for now is stored later, without running the task again")
    func refusedForNow() async throws {
        let drivers = ScriptedDrivers()
        let (app, id) = try await queued(.success, on: drivers)
        drivers.begin(refusing: [.stored("SUCCESS")], as: .unavailable)
        try await withWorker(app) { _ async throws in
            while drivers.steps.count(where: { $0 == .stored("SUCCESS") }) < 2 {
                try await Task.sleep(for: .milliseconds(5))
            }
            drivers.mend()
            while !drivers.steps.contains(.acknowledged) { try await Task.sleep(for: .milliseconds(5)) }
        }
        #expect(!drivers.steps.contains(.returned))
        #expect(try await drivers.record(of: id)?.state == .success)
    }

    @Test("A message that cannot be settled comes again until it can be")
    func repeated() async throws {
        let drivers = ScriptedDrivers()
        let (app, id) = try await queued(.success, on: drivers)
        drivers.begin(refusing: [.stored("SUCCESS")])
        try await withWorker(app) { _ async throws in
            while drivers.steps.count(where: { $0 == .stored("SUCCESS") }) < 2 {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(drivers.steps.contains(.returned))
            drivers.mend()
            _ = try await app.handle(id).value(within: .seconds(20))
        }
    }

    @Test("A lock that cannot be freed holds nothing up")
    func stuckLock() async throws {
        let drivers = ScriptedDrivers()
        let (app, id) = try await queued(.success, on: drivers)
        drivers.begin(refusing: [.freed])
        let (_, statistics) = try await withWorker(app) { _ async throws in
            _ = try await app.handle(id).value(within: .seconds(20))
            while !drivers.steps.contains(.acknowledged) { try await turn() }
        }
        #expect(statistics.succeeded == 1)
        #expect(statistics.givenBack == 0)
    }

    @Test("A dead letter carries a short error text, however long the reason")
    func longReason() async throws {
        let drivers = ScriptedDrivers()
        let app = drivers.app()
        let task = app.task("t") { () throws -> Int in
            throw TaskEnding.reject(reason: String(repeating: "x", count: 500_000))
        }
        let handle = try await task.delay()
        try await withWorker(app) { _ async throws in
            await #expect(throws: TaskFailure.self) { try await handle.value(within: .seconds(20)) }
        }
        let letter = try await takeDeadLetter(app)
        #expect((letter?.headers["x-celeriac-error"]?.string?.utf8.count ?? .max) <= 1024)
    }
}

@Suite("Unique tasks", .timeLimit(.minutes(1))) struct UniqueTests {
    private struct Boom: Error {}

    private func isFree(_ app: TaskApp, _ task: TaskName, _ x: Int) async throws -> Bool {
        let key = "celeriac-unique:\(task):[\(x)]{}"
        guard case .acquired = try await app.drivers().locks.acquire(key, owner: "test", lease: .seconds(60)) else {
            return false
        }
        try await app.drivers().locks.release(key, owner: "test")
        return true
    }

    @Test("The lock is held from the call to its end, retries included, then it is free", arguments: 0..<4)
    func lifetime(_ ending: Int) async throws {
        let app = memoryApp()
        let held = Shared<[Bool]>([])
        let options = TaskOptions(retry: .fixed(attempts: 3, delay: .milliseconds(5)), unique: .refuse)
        let task = app.task("t", options: options) { (context: TaskContext, x: Int) -> Int in
            let isHeld = try await !self.isFree(app, "t", x)
            held.update { $0.append(isHeld) }
            switch ending {
            case 0: return x
            case 1: throw Boom()
            case 2: throw TaskEnding.reject(reason: "no")
            default: throw TaskEnding.ignore
            }
        }
        let handle = try await task.delay(7)
        await #expect(throws: CeleriacError.self) { try await task.delay(7) }
        #expect(try await !isFree(app, "t", 7))
        try await withWorker(app) { worker async throws in
            let runs = ending == 1 ? 3 : 1
            while held.value.count < runs { try await Task.sleep(for: .milliseconds(1)) }
            while try await !isFree(app, "t", 7) { try await Task.sleep(for: .milliseconds(1)) }
            #expect(held.value == Array(repeating: true, count: runs))
            #expect(try await task.delay(7).id != handle.id)
        }
    }

    @Test("An expired call frees its lock without running")
    func expiry() async throws {
        let app = memoryApp()
        let ran = Shared(false)
        let task = app.task("t", options: .init(unique: .refuse)) { (x: Int) in ran.update { $0 = true } }
        let handle = try await task.apply(1, options: .init(expires: .seconds(-1)))
        try await withWorker(app) { _ async throws in
            let failure = await #expect(throws: TaskFailure.self) { try await handle.value(within: .seconds(20)) }
            #expect(failure == .expired)
            while try await !isFree(app, "t", 1) { try await Task.sleep(for: .milliseconds(1)) }
        }
        #expect(!ran.value)
    }

    @Test("The lock is renewed while the body runs")
    func renewal() async throws {
        let drivers = ScriptedDrivers()
        let app = drivers.app()
        let task = app.task("t", options: .init(unique: .init(lease: .seconds(6)))) { (x: Int) in
            while drivers.steps.count(where: { $0 == .renewed }) < 2 { try await Task.sleep(for: .milliseconds(5)) }
            return x
        }
        let handle = try await task.delay(1)
        try await withWorker(app) { _ async throws in
            #expect(try await handle.value(within: .seconds(20)) == 1)
        }
    }
}

@Suite("Expiry, start and stop", .timeLimit(.minutes(1))) struct WaitingTests {
    @Test("A call that expires while it waits for a slot is not run")
    func expiresInLine() async throws {
        let app = memoryApp()
        let (isBlocked, ran) = (Shared(true), Shared(false))
        let blocker = app.task("blocker") { () async throws in
            while isBlocked.value { try await Task.sleep(for: .milliseconds(1)) }
        }
        let late = app.task("late", options: .init(unique: .refuse)) { ran.update { $0 = true } }
        let events = EventLog()
        try await blocker.delay()
        try await withWorker(app, WorkerConfiguration(concurrency: 1), events: events) { _ async throws in
            await events.wait { if case .started = $0 { true } else { false } }
            let expires = ContinuousClock.now + .milliseconds(50)
            let handle = try await late.apply(options: .init(expires: .milliseconds(50)))
            try await Task.sleep(until: expires + .milliseconds(10), clock: .continuous)
            isBlocked.update { $0 = false }
            let failure = await #expect(throws: TaskFailure.self) { try await handle.value(within: .seconds(20)) }
            #expect(failure == .expired)
        }
        #expect(!ran.value)
    }

    /// Drivers whose broker never connects, or whose results cannot be stored in time.
    private final class Unreachable: Sendable {
        let isOpening = Shared(false)
        let isStoring = Shared(false)
    }

    @Test("A worker that is told to stop while it connects ends at once", arguments: [false, true])
    func stopsWhileConnecting(_ isNow: Bool) async throws {
        let state = Unreachable()
        let app = TaskApp("test", configuration: Configuration()) { configuration in
            Drivers(
                broker: MemoryBroker(time: configuration.time),
                results: StuckResults(opening: state.isOpening),
                locks: MemoryLockStore(time: configuration.time),
                schedule: MemoryScheduleStore(time: configuration.time)
            )
        }
        _ = app.task("t") { 1 }
        let worker = Worker(app, configuration: WorkerConfiguration(startupTimeout: .seconds(600)))
        async let running: Void = worker.run()
        while !state.isOpening.value { try await Task.sleep(for: .milliseconds(1)) }
        if isNow { worker.stopNow() } else { worker.shutDown() }
        try await running
    }

    @Test("A worker whose results cannot be stored ends with its grace, and the message goes back")
    func stopsWhileStoring() async throws {
        let state = Unreachable()
        let app = TaskApp("test", configuration: Configuration()) { configuration in
            Drivers(
                broker: MemoryBroker(time: configuration.time),
                results: StuckResults(storing: state.isStoring),
                locks: MemoryLockStore(time: configuration.time),
                schedule: MemoryScheduleStore(time: configuration.time)
            )
        }
        let task = app.task("t") { 1 }
        try await task.delay()
        let worker = Worker(
            app,
            configuration: WorkerConfiguration(grace: .milliseconds(10), resultTimeout: .seconds(600))
        )
        async let running: Void = worker.run()
        while !state.isStoring.value { try await Task.sleep(for: .milliseconds(1)) }
        worker.shutDown()
        try await running
        #expect(worker.statistics.givenBack == 1)
        #expect(try await app.drivers().broker.depth(of: "celery") == 1)
    }
}

/// Results that wait until they are cancelled.
private struct StuckResults: ResultBackend {
    var opening: Shared<Bool>?
    var storing: Shared<Bool>?
    let address = "stuck://"

    private func wait(_ noted: Shared<Bool>?) async throws(CeleriacError) {
        guard let noted else { return }
        noted.update { $0 = true }
        try? await Task.sleep(for: .seconds(600))
        throw CeleriacError(.cancelled, "stuck")
    }

    func open(within timeout: Duration) async throws(CeleriacError) { try await wait(opening) }
    func store(_ record: TaskRecord, ttl: Duration, within timeout: Duration) async throws(CeleriacError) -> Bool {
        try await wait(storing)
        return true
    }
    func record(of task: TaskID) async throws(CeleriacError) -> TaskRecord? { nil }
    func outcome(of task: TaskID, within timeout: Duration) async throws(CeleriacError) -> TaskRecord {
        throw CeleriacError(.timedOut, "stuck")
    }
    func listen(
        to tasks: [TaskID],
        within timeout: Duration,
        onEvent: @escaping @Sendable (ResultEvent) -> Void
    ) async throws(CeleriacError) -> any ResultListening { throw CeleriacError(.timedOut, "stuck") }
    func forget(_ task: TaskID) async throws(CeleriacError) {}
    func close() async {}
}

import CeleriacCore
import CeleriacWorker
import FoundationEssentials
import TestSupport
import Testing

@Suite("What a task tells of itself", .timeLimit(.minutes(1))) struct TaskStateTests {
    @Test("Calls that wait are told from unknown ones where calls are recorded")
    func queued() async throws {
        let app = memoryApp { $0.tracksQueued = true }
        let task = app.task("t") { 1 }
        let handle = try await task.delay()
        #expect(try await handle.state() == .queued)
        #expect(try await app.handle("never sent").state() == .unknown)
        let ignored = try await task.apply(options: .init(ignoresResult: true))
        #expect(try await ignored.record() == nil)
        try await withWorker(app) { _ async throws in
            #expect(try await handle.value(within: .seconds(20)) == 1)
        }
        try await handle.forget()
        #expect(try await handle.state() == .unknown)
    }

    @Test("A call that could not be sent is not recorded")
    func unsent() async throws {
        let drivers = ScriptedDrivers()
        let app = drivers.app { $0.tracksQueued = true }
        drivers.begin(refusing: [.published("celery")])
        let task = app.task("t") { 1 }
        await #expect(throws: CeleriacError.self) { try await task.apply(options: .init(id: "x")) }
        #expect(drivers.steps == [.stored("QUEUED"), .published("celery")])
        #expect(try await app.handle("x").state() == .unknown)
    }

    @Test("A call is sent even if it cannot be recorded")
    func unrecorded() async throws {
        let drivers = ScriptedDrivers()
        let app = drivers.app { $0.tracksQueued = true }
        drivers.begin(refusing: [.stored("QUEUED")])
        let handle = try await app.task("t") { 1 }.delay()
        #expect(try await handle.state() == .unknown)
        #expect(drivers.steps == [.stored("QUEUED"), .published("celery")])
    }

    @Test("Progress and own states are there to be read while the task runs")
    func progress() async throws {
        let app = memoryApp()
        let step = Shared(0)
        let task = app.task("t") { (context: TaskContext) -> Int in
            try await context.report(progress: TaskProgress(current: 1, total: 4, message: "half of half"))
            while step.value < 1 { try await turn() }
            try await context.update(state: TaskState("POLISHING"), meta: ["tool": "cloth"])
            while step.value < 2 { try await turn() }
            return 1
        }
        let handle = try await task.delay()
        try await withWorker(app) { _ in
            try await eventually { try await handle.state() == .progress }
            let progress = try await handle.record()?.value(as: TaskProgress.self)
            #expect(progress == TaskProgress(current: 1, total: 4, message: "half of half"))
            #expect(progress?.fraction == 0.25)
            step.update { $0 = 1 }
            try await eventually { try await handle.state() == TaskState("POLISHING") }
            #expect(try await handle.record()?.value(as: [String: String].self) == ["tool": "cloth"])
            step.update { $0 = 2 }
            #expect(try await handle.value(within: .seconds(20)) == 1)
        }
    }

    @Test("A task cannot say of itself that it has ended, nor more than the limit for results")
    func refused() async throws {
        let app = memoryApp { $0.maximumResultSize = 100 }
        let codes = Shared<[CeleriacError.Code]>([])
        let task = app.task("t") { (context: TaskContext) in
            let text = String(repeating: "x", count: 100)
            for state in [TaskState.success, .failure, .revoked, .pending, .queued, .retry, .progress, .progress] {
                do throws(CeleriacError) {
                    try await context.update(state: state, meta: text)
                } catch {
                    codes.update { $0.append(error.code) }
                }
            }
        }
        let handle = try await task.delay()
        try await withWorker(app) { _ in _ = try await handle.value(within: .seconds(20)) }
        let invalid = CeleriacError.Code.invalidPayload
        #expect(codes.value == [invalid, invalid, invalid, invalid, invalid, invalid, .tooLarge, .tooLarge])
    }

    @Test("A run that has been superseded tells nothing any more")
    func superseded() async throws {
        let app = memoryApp()
        let task = app.task("t") { (context: TaskContext) in
            try await context.report(progress: TaskProgress(current: 1))
        }
        let handle = try await task.delay()
        var newer = TaskRecord.started(handle.id)
        newer.attempt = Attempt(retries: 1, redeliveries: 0)
        try await app.drivers().results.store(newer, ttl: .seconds(60), within: .seconds(20))
        try await withWorker(app) { worker in
            try await eventually { worker.statistics.succeeded == 1 }
        }
        #expect(try await handle.state() == .started)
    }

    @Test("A task's record names the tasks that it published, and they name it")
    func children() async throws {
        let app = memoryApp()
        let leaf = app.task("leaf") { (x: Int) in x }
        let branch = app.task("branch") { (x: Int) -> Int in
            try await leaf.delay(x)
            return x
        }
        let tree = app.task("tree") { () -> Int in
            try await branch.delay(1)
            try await leaf.delay(2)
            throw Boom()
        }
        let handle = try await tree.delay()
        try await withWorker(app) { _ in
            let records = try await handle.collect(within: .seconds(20))
            #expect(records.map(\.state) == [.failure, .success, .success, .success])
            #expect(try records.dropFirst().map { try $0.value(as: Int.self) } == [1, 2, 1])
            let children = try await handle.children()
            #expect(children.map(\.id) == records[1...2].map(\.task))
            #expect(records[1...2].allSatisfy { $0.parent == handle.id })
            #expect(records[3].parent == records[1].task)
            let error = await #expect(throws: CeleriacError.self) {
                _ = try await handle.collect(within: .seconds(20), limit: 3)
            }
            #expect(error?.code == .tooLarge)
        }
    }
}

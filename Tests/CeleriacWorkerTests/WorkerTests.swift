import CeleriacCore
import CeleriacWorker
import FoundationEssentials
import Testing

@Suite("Worker", .timeLimit(.minutes(1))) struct WorkerTests {
    @Test("Runs every form of task and returns its value")
    func forms() async throws {
        let app = memoryApp()
        let add = app.task("add") { (x: Int, y: Int) in x + y }
        let greet = app.task("greet") { (context: TaskContext, name: String) async throws -> String in
            "\(context.name) \(name) \(context.attempt)"
        }
        let nothing = app.task("nothing") { (_: Int) in }
        let noArguments = app.task("noArguments") { 42 }
        let resize = app.task(Resize.self)
        try await withWorker(app) { _ async throws in
            #expect(try await add.delay(2, 3).value(within: .seconds(10)) == 5)
            #expect(try await greet.delay("you").value(within: .seconds(10)) == "greet you 1")
            _ = try await nothing.delay(1).value(within: .seconds(10))
            #expect(try await noArguments.delay().value(within: .seconds(10)) == 42)
            let resized = try await resize.delay(Resize(source: "cat.png", width: 320))
            #expect(try await resized.value(within: .seconds(10)) == "cat.png@320")
        }
    }

    struct Resize: StructTask {
        static let name: TaskName = "images.resize"
        let source: String
        let width: Int

        func run(context: TaskContext) async throws -> String { "\(source)@\(width)" }
    }

    @Test("Takes calls by name, with positional and keyword arguments")
    func byName() async throws {
        let app = memoryApp()
        _ = app.task("sub", parameters: ["x", "y"]) { (x: Int, y: Int?) in x - (y ?? 0) }
        try await withWorker(app) { _ async throws in
            func value(_ arguments: [JSONValue], _ keywords: [String: JSONValue]) async throws -> JSONValue {
                let call = app.signature("sub", arguments: arguments, keywords: keywords)
                return try await call.apply().value(within: .seconds(10))
            }
            #expect(try await value([5, 3], [:]) == 2)
            #expect(try await value([5], ["y": 3]) == 2)
            #expect(try await value([], ["y": 3, "x": 5]) == 2)
            #expect(try await value([5], [:]) == 5)
            #expect(try await app.signature("sub", 9, 4, returning: Int.self).apply().value(within: .seconds(10)) == 5)
        }
    }

    @Test("A failure arrives with type, message and origin")
    func failure() async throws {
        let app = memoryApp()
        let fail = app.task("fail") { () throws -> Int in throw Boom() }
        let (_, statistics) = try await withWorker(app) { _ async throws in
            let handle = try await fail.delay()
            let failure = await #expect(throws: TaskFailure.self) { try await handle.value(within: .seconds(10)) }
            #expect(failure?.type == "Boom")
            #expect(failure?.message == "it went boom")
            #expect(failure?.module == "swift")
            #expect(try await handle.state() == .failure)
        }
        #expect(statistics.failed == 1)
    }

    @Test("A failing task runs again until its attempts are used up, under one id")
    func retries() async throws {
        let app = memoryApp()
        let attempts = Shared<[Int]>([])
        let policy = RetryPolicy.exponential(attempts: 3, initial: .milliseconds(2))
        let flaky = app.task("flaky", options: .init(retry: policy)) { (context: TaskContext, succeedsAt: Int) in
            attempts.update { $0.append(context.attempt) }
            guard context.attempt >= succeedsAt else { throw Boom() }
            return context.attempt
        }
        let (_, statistics) = try await withWorker(app) { _ async throws in
            #expect(try await flaky.delay(3).value(within: .seconds(10)) == 3)
            #expect(attempts.value == [1, 2, 3])
            await #expect(throws: TaskFailure.self) { try await flaky.delay(4).value(within: .seconds(10)) }
        }
        #expect(attempts.value == [1, 2, 3, 1, 2, 3])
        #expect(statistics == WorkerStatistics(succeeded: 1, failed: 1, retried: 4))
    }

    @Test("A call's own retry policy goes before its task's, which still says what is worth retrying")
    func retriesOfOneCall() async throws {
        let app = memoryApp()
        let attempts = Shared<[Int]>([])
        let picky = RetryPolicy.fixed(attempts: 1, delay: .zero) { !($0 is Hopeless) }
        let fail = app.task("fail", options: .init(retry: picky)) { (context: TaskContext, isHopeless: Bool) in
            attempts.update { $0.append(context.attempt) }
            if isHopeless { throw Hopeless() }
            throw Boom()
        }
        let twice = CallOptions(retry: .exponential(attempts: 2, initial: .milliseconds(1)))
        try await withWorker(app) { _ async throws in
            for (isHopeless, options) in [(false, CallOptions()), (false, twice), (true, twice)] {
                let handle = try await fail.apply(isHopeless, options: options)
                await #expect(throws: TaskFailure.self) { try await handle.value(within: .seconds(10)) }
            }
        }
        #expect(attempts.value == [1, 1, 2, 1])
    }

    private struct Hopeless: Error {}

    @Test("A body may ask to be retried, rejected or ignored")
    func endings() async throws {
        let app = memoryApp()
        let again = app.task("again") { (context: TaskContext) -> Int in
            if context.attempt == 1 { throw TaskEnding.retry(after: .milliseconds(1), cause: Boom()) }
            return context.attempt
        }
        let reject = app.task("reject") { () throws -> Int in throw TaskEnding.reject(reason: "no thanks") }
        let ignore = app.task("ignore") { () throws -> Int in throw TaskEnding.ignore }
        let events = EventLog()
        try await withWorker(app, events: events) { _ async throws in
            #expect(try await again.delay().value(within: .seconds(10)) == 2)
            let failure = await #expect(throws: TaskFailure.self) {
                try await reject.delay().value(within: .seconds(10))
            }
            #expect(failure?.type == "Reject")
            #expect(try await takeDeadLetter(app)?.headers["x-celeriac-reason"] == "rejected")
            let ignored = try await ignore.delay()
            await events.wait { if case .succeeded(let context, _) = $0 { context.id == ignored.id } else { false } }
            #expect(try await ignored.record() == nil)
        }
    }

    @Test("The soft time limit cancels the body and is its failure, unless the body handles it")
    func timeLimit() async throws {
        let app = memoryApp()
        let options = TaskOptions(timeLimit: .milliseconds(20))
        let slow = app.task("slow", options: options) { () async throws in try await Task.sleep(for: .seconds(600)) }
        let tidy = app.task("tidy", options: options) { () async throws -> String in
            do { try await Task.sleep(for: .seconds(600)) } catch { return "tidied up" }
            return "slept"
        }
        try await withWorker(app) { _ async throws in
            let failure = await #expect(throws: TaskFailure.self) { try await slow.delay().value(within: .seconds(10)) }
            #expect(failure == .softTimeLimitExceeded)
            #expect(try await tidy.delay().value(within: .seconds(10)) == "tidied up")
        }
    }

    @Test("Runs as many bodies at once as it has slots, and no more")
    func concurrency() async throws {
        let app = memoryApp()
        let running = Shared((now: 0, most: 0))
        let work = app.task("work") { () async throws in
            running.update {
                $0.now += 1
                $0.most = max($0.most, $0.now)
            }
            try await Task.sleep(for: .milliseconds(3))
            running.update { $0.now -= 1 }
        }
        try await withWorker(app, WorkerConfiguration(concurrency: 3)) { _ async throws in
            var handles: [TaskHandle<NoValue>] = []
            for _ in 0..<60 { handles.append(try await work.delay()) }
            for handle in handles { _ = try await handle.value(within: .seconds(20)) }
        }
        #expect(running.value.most == 3)
    }

    @Test("A countdown is waited out, an expired call is recorded and not run")
    func countdownAndExpiry() async throws {
        let app = memoryApp()
        let began = app.task("began") { (context: TaskContext) in
            (context.eta.map { Date().timeIntervalSince($0) } ?? -1)
        }
        let ran = Shared(false)
        let late = app.task("late") { ran.update { $0 = true } }
        let expired = try await late.apply(
            options: .init(expiresAt: Date(timeIntervalSinceNow: -5), publishTimeout: .seconds(5))
        )
        try await withWorker(app) { _ async throws in
            #expect(
                try await began.apply(options: .init(countdown: .milliseconds(30))).value(within: .seconds(10)) >= 0
            )
            #expect(
                try await began.apply(options: .init(countdown: .milliseconds(1200))).value(within: .seconds(10)) >= 0
            )
        }
        // The memory broker drops it as RabbitMQ would: then nobody records anything.
        #expect(try await expired.state() == .pending)
        #expect(!ran.value)
    }

    @Test("Tasks published by a running task know their root and parent")
    func lineage() async throws {
        let app = memoryApp()
        let child = app.task("child") { (context: TaskContext) in
            [context.rootID.rawValue, context.parentID?.rawValue ?? ""]
        }
        let parent = app.task("parent") { () async throws -> String in try await child.delay().id.rawValue }
        try await withWorker(app) { _ async throws in
            let handle = try await parent.delay()
            let childID = TaskID(try await handle.value(within: .seconds(10)))
            let lineage = try await app.handle(childID, returning: [String].self).value(within: .seconds(10))
            #expect(lineage == [handle.id.rawValue, handle.id.rawValue])
        }
    }

    @Test("Leaves no result where none is wanted")
    func ignoredResults() async throws {
        let app = memoryApp()
        let quiet = app.task("quiet", options: .init(ignoresResult: true)) { 1 }
        let loud = app.task("loud") { 2 }
        let events = EventLog()
        try await withWorker(app, events: events) { _ async throws in
            let silent = [try await quiet.delay(), try await loud.apply(options: .init(ignoresResult: true))]
            #expect(try await quiet.apply(options: .init(ignoresResult: false)).value(within: .seconds(10)) == 1)
            for handle in silent {
                await events.wait { if case .succeeded(let context, _) = $0 { context.id == handle.id } else { false } }
                #expect(try await handle.state() == .pending)
            }
        }
    }

    @Test("Two tasks of one name are refused before work begins")
    func duplicateNames() async throws {
        let app = memoryApp()
        _ = app.task("twice") { 1 }
        _ = app.task("twice") { 2 }
        let error = await #expect(throws: CeleriacError.self) { try await Worker(app).run() }
        #expect(error?.code == .configuration)
    }
}

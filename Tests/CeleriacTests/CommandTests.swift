import CeleriacBeat
import CeleriacCore
import CeleriacWorker
import FoundationEssentials
import Testing

@testable import Celeriac

private struct OutOfPaper: Error, CustomStringConvertible {
    var description: String { "the printer is empty" }
}

/// A program with tasks to call.
private func shop() -> TestProgram {
    let program = TestProgram()
    _ = program.app.task("shop.add") { (x: Int, y: Int) in x + y }
    _ = program.app.task("shop.greet", parameters: ["name"]) { (name: String) in "hello \(name)" }
    _ = program.app.task("shop.print", options: .init(queue: "paper", retry: .fixed(attempts: 1, delay: .zero))) {
        (_: String) -> Int in throw OutOfPaper()
    }
    _ = program.app.task("shop.header") { (context: TaskContext) in context.headers["who"]?.string ?? "" }
    return program
}

private let bothQueues = WorkerConfiguration(queues: ["celery", "paper"])

@Suite("Commands", .timeLimit(.minutes(1))) struct CommandTests {
    @Test("call --wait writes the id, then the value as JSON")
    func call() async throws {
        let program = shop()
        let code = try await program.app.withWorker(bothQueues) {
            await program.run(CallCommand.self, "shop.add", "2", "-3", "--wait", "--id", "one")
        }
        #expect(code == .success)
        #expect(program.output.lines == ["one", "-1"])
    }

    @Test("call sends text, keyword arguments and headers")
    func arguments() async throws {
        let program = shop()
        try await program.app.withWorker(bothQueues) {
            #expect(await program.run(CallCommand.self, "shop.greet", "you there", "-w", "--id", "a") == .success)
            #expect(
                await program.run(CallCommand.self, "shop.greet", "-k", #"{"name": "me"}"#, "-w", "--id", "b")
                    == .success
            )
            #expect(
                await program.run(CallCommand.self, "shop.header", "--header", "who=x=y", "-w", "--id", "c")
                    == .success
            )
        }
        #expect(program.output.lines == ["a", "\"hello you there\"", "b", "\"hello me\"", "c", "\"x=y\""])
    }

    @Test("call --json writes one object")
    func json() async throws {
        let program = shop()
        try await program.app.withWorker(bothQueues) {
            #expect(
                await program.run(CallCommand.self, "shop.add", "1", "2", "-w", "--json", "--id", "i") == .success
            )
        }
        #expect(program.output.text == #"{"id": "i", "state": "SUCCESS", "value": 3}"# + "\n")
    }

    @Test("call goes to the task's own queue, and a failure is told with its type")
    func failure() async throws {
        let program = shop()
        let code = try await program.app.withWorker(bothQueues) {
            await program.run(CallCommand.self, "shop.print", "page", "--wait", "--id", "i")
        }
        #expect(code == .failure)
        #expect(program.output.lines == ["i"])
        #expect(program.error.text.contains("shop: OutOfPaper: the printer is empty\n"))
    }

    @Test("call without a worker writes the id, and tells of memory and of a name that is misspelt")
    func unheard() async throws {
        let program = shop()
        #expect(await program.run("call", "shop.ad", "2", "3", "--id", "one") == .success)
        #expect(program.output.text == "one\n")
        #expect(program.error.text.contains("memory://"))
        #expect(program.error.text.contains("did you mean shop.add?"))
    }

    @Test("call --wait ends with 75 when the task does not end in time")
    func timeout() async throws {
        let program = shop()
        #expect(
            await program.run("call", "shop.add", "2", "3", "--wait", "--timeout", "0.05", "--id", "i") == .notEnded
        )
        #expect(program.error.text.contains("shop result i"))
    }

    @Test("result shows state, value and error, and ends accordingly")
    func result() async throws {
        let program = shop()
        try await program.app.withWorker(bothQueues) {
            #expect(await program.run(CallCommand.self, "shop.add", "2", "3", "--wait", "--id", "good") == .success)
            #expect(await program.run(CallCommand.self, "shop.print", "x", "--wait", "--id", "bad") == .failure)
        }
        #expect(await program.run(ResultCommand.self, "good") == .success)
        #expect(await program.run(ResultCommand.self, "bad", "--wait") == .failure)
        #expect(await program.run(ResultCommand.self, "none") == .notEnded)
        #expect(await program.run(ResultCommand.self, "none", "--wait", "-t", "0.05", "--json") == .notEnded)
        let lines = program.output.lines
        #expect(lines.contains("state  SUCCESS"))
        #expect(lines.contains("value  5"))
        #expect(lines.contains("state  FAILURE"))
        #expect(lines.contains("error  OutOfPaper: the printer is empty"))
        #expect(lines.contains("state  PENDING"))
        #expect(lines.last == #"{"id": "none", "state": "PENDING"}"#)
    }

    @Test("tasks lists names, types, queues and options")
    func tasks() async throws {
        let program = shop()
        _ = program.app.task("shop.slow", options: .init(timeLimit: .seconds(30), unique: .refuse)) { (_: Int) in }
        #expect(await program.run("tasks") == .success)
        #expect(program.output.lines.first?.split(separator: " ") == ["NAME", "TYPE", "QUEUE", "OPTIONS"])
        let add = try #require(program.output.lines.first { $0.hasPrefix("shop.add ") })
        #expect(add.split(separator: " ").suffix(5) == ["(Int,", "Int)", "->", "Int", "celery"])
        #expect(program.output.text.contains("time limit 30 s, unique"))
    }

    @Test("tasks tells limits")
    func taskLimits() async throws {
        let program = shop()
        let rate = RateLimit("100/m", key: .argument(at: 0))
        let options = TaskOptions(rateLimit: rate, concurrencyLimit: ConcurrencyLimit(2, reach: .worker))
        _ = program.app.task("shop.limited", options: options) { (_: Int) in }
        #expect(await program.run("tasks") == .success)
        #expect(program.output.text.contains("at most 100/m for each key, 2 at once for each worker"))
    }

    @Test("tasks --json is JSON")
    func tasksJSON() async throws {
        let program = shop()
        #expect(await program.run("tasks", "--json") == .success)
        let list = try PayloadCoding.decode(JSONValue.self, from: Array(program.output.text.utf8)).array
        #expect(list?.count == 4)
        #expect(
            list?.first == ["name": "shop.add", "type": "(Int, Int) -> Int", "queue": "celery", "options": [:]]
        )
    }

    @Test("worker runs tasks, and one polite request ends it with 0")
    func worker() async throws {
        let program = shop()
        let handle = try await program.app.signature("shop.add", 20, 22, returning: Int.self).apply()
        let code = await program.run("worker", "--queues", "celery,paper", "--concurrency", "2") { stop in
            // The request comes when the task has run.
            if let value = try? await handle.value(within: .seconds(30)), value == 42 { stop(.graceful) }
            await untilCancelled()
        }
        #expect(code == .success)
        #expect(program.error.text.contains("queues       celery, paper"))
        #expect(program.error.text.contains("shop.add     (Int, Int) -> Int"))
        #expect(program.error.text.contains("task succeeded task=shop.add"))
        #expect(program.error.text.contains("worker has stopped succeeded=1"))
        #expect(program.output.text.isEmpty)
    }

    @Test("worker --beat emits the schedule too")
    func workerWithBeat() async throws {
        var program = shop()
        let tick = program.app.task("shop.tick") { 1 }
        program.schedule = Schedule { Entry("tick", tick(), every: .seconds(1)) }
        let error = program.error
        let code = await program.run("worker", "--beat") { stop in
            while !Task.isCancelled, !error.text.contains("task succeeded task=shop.tick") {
                try? await Task.sleep(for: .milliseconds(10))
            }
            stop(.graceful)
            await untilCancelled()
        }
        #expect(code == .success)
    }

    @Test("A second request cancels what runs")
    func impatience() async throws {
        let program = TestProgram()
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        let sleepy = program.app.task("sleepy") { () -> Int in
            begin.yield()
            try await Task.sleep(for: .seconds(600))
            return 0
        }
        try await sleepy.delay()
        let code = await program.run("worker", "--grace", "600") { stop in
            for await _ in begun { break }
            stop(.graceful)
            stop(.immediate)
            await untilCancelled()
        }
        #expect(code == .success)
        #expect(program.error.text.contains("givenBack=1"))
    }

    @Test("beat ends with 0 when asked to stop")
    func beat() async throws {
        var program = TestProgram()
        let tick = program.app.task("tick") { 1 }
        program.schedule = Schedule { Entry("tick", tick(), every: .seconds(30)) }
        let code = await program.run("beat") { stop in
            stop(.graceful)
            await untilCancelled()
        }
        #expect(code == .success)
        #expect(program.error.text.contains("tick"))
    }

    @Test("A URL no driver takes ends with 2, and its password is shown nowhere")
    func credentials() async throws {
        let url = "carrier-pigeon://me:canary@roof:1/x"
        for command in [["worker"], ["worker", "--log-format", "json"], ["beat"], ["call", "x"], ["result", "x"]] {
            let program = shop()
            let arguments = command + ["--broker", url, "--result-backend", url, "--log-level", "trace"]
            let environment = ProgramEnvironment(
                program: "shop",
                arguments: arguments,
                streams: program.streams,
                watchForStop: { _ in await untilCancelled() }
            )
            #expect(await CommandLineProgram(app: program.app).main(in: environment) == .configuration, "\(command)")
            #expect(!(program.error.text + program.output.text).contains("canary"), "\(command)")
            #expect(program.error.text.contains("me:***@roof"), "\(command)")
        }
        let program = shop()
        #expect(await program.run("worker", url) == .usage)
        #expect(!program.error.text.contains("canary"))
    }

    @Test(
        "Errors of drivers end a program as its help says",
        arguments: [
            (CeleriacError.Code.accessDenied, ExitCode.configuration), (.notFound, .configuration),
            (.configuration, .configuration), (.unavailable, .unavailable), (.timedOut, .unavailable),
            (.connectionLost, .unavailable), (.unroutable, .failure), (.alreadyQueued, .failure),
            (.internalError, .defect),
        ]
    )
    func codes(_ code: CeleriacError.Code, _ exit: ExitCode) {
        #expect(ExitCode(CeleriacError(code, "")) == exit)
    }
}

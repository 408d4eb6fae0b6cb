import CeleriacCore
import CeleriacWorker
import Testing

@testable import Celeriac

private struct Trouble: Error, Equatable {}

@Suite("In-process services", .timeLimit(.minutes(1))) struct InProcessTests {
    @Test("A closure's value comes back when the worker has drained")
    func value() async throws {
        let program = TestProgram()
        let add = program.app.task("add") { (x: Int, y: Int) in x + y }
        let sum = try await program.app.withWorker { try await add.delay(2, 3).value(within: .seconds(30)) }
        #expect(sum == 5)
    }

    @Test("A closure's error comes back")
    func error() async throws {
        let program = TestProgram()
        await #expect(throws: Trouble.self) { try await program.app.withWorker { throw Trouble() } }
    }

    @Test("A worker that cannot start keeps the closure from running")
    func failingWorker() async throws {
        let program = TestProgram(Configuration(brokerURL: "nowhere://"))
        await #expect(throws: CeleriacError.self) {
            try await program.app.withWorker { Issue.record("ran without a worker") }
        }
    }

    @Test("A schedule that is not valid keeps the closure from running")
    func failingBeat() async throws {
        let program = TestProgram()
        let tick = program.app.task("tick") { 1 }
        await #expect(throws: CeleriacError.self) {
            try await program.app.withBeat(Schedule { Entry("tick", tick(), cron: "nonsense") }) {
                Issue.record("ran without a beat")
            }
        }
    }

    @Test("A request to stop cancels a service that is not ready yet", arguments: [StopRequest.graceful, .immediate])
    func stopBeforeReady(_ request: StopRequest) async throws {
        let streams = StandardStreams(output: Recorder(), error: Recorder())
        let environment = ProgramEnvironment(program: "shop", arguments: [], streams: streams) { stop in
            stop(request)
            await untilCancelled()
        }
        try await StoppableService(environment).run {
            await untilCancelled()
            throw CancellationError()
        } onStop: {
            #expect($0 == request)
        }
    }

    @Test("What a service throws by itself is reported")
    func failingService() async throws {
        let streams = StandardStreams(output: Recorder(), error: Recorder())
        let environment = ProgramEnvironment(program: "shop", arguments: [], streams: streams) { _ in
            await untilCancelled()
        }
        await #expect(throws: Trouble.self) {
            try await StoppableService(environment).run {
                throw Trouble()
            } onStop: { _ in
            }
        }
    }

    @Test("Without a command a program does its own thing, and an error of it ends with 1")
    func ownThing() async throws {
        let program = TestProgram()
        let environment = ProgramEnvironment(program: "shop", arguments: [], streams: program.streams) { _ in }
        #expect(await CommandLineProgram(app: program.app, runWithoutCommand: {}).main(in: environment) == .success)
        let failing = CommandLineProgram(app: program.app, runWithoutCommand: { throw Trouble() })
        #expect(await failing.main(in: environment) == .failure)
        #expect(program.error.text.contains("Trouble"))
    }
}

import Celeriac
import CeleriacCore
import Synchronization
import Testing

@testable import Celeriac

/// Keeps what was written.
final class Recorder: TextSink {
    private let contents = Mutex("")

    var text: String { contents.withLock { $0 } }
    var lines: [String] { text.split(separator: "\n").map(String.init) }

    func write(_ text: String) { contents.withLock { $0 += text } }
}

/// A program with its own application, all in memory, and what it wrote.
struct TestProgram: Sendable {
    let app: TaskApp
    let output = Recorder()
    let error = Recorder()
    var schedule = Schedule()
    var environment: [String: String] = [:]

    init(_ configuration: Configuration = Configuration(), schedule: Schedule = Schedule()) {
        app = TaskApp("shop", configuration: configuration) { configuration throws(CeleriacError) in
            let scheme = configuration.brokerURL.scheme
            guard scheme == "memory" else {
                throw CeleriacError(.configuration, "no driver for \(configuration.brokerURL)")
            }
            return Drivers(
                broker: MemoryBroker(),
                results: MemoryResultBackend(),
                locks: MemoryLockStore(),
                schedule: MemoryScheduleStore()
            )
        }
        self.schedule = schedule
    }

    var streams: StandardStreams { StandardStreams(output: output, error: error) }

    /// Runs a command line and closes the application, as a process does.
    func run(
        _ arguments: String...,
        watchForStop: @escaping @Sendable (@Sendable (StopRequest) -> Void) async -> Void = { _ in
            await untilCancelled()
        }
    ) async -> ExitCode {
        let environment = ProgramEnvironment(
            program: "shop",
            arguments: arguments,
            variables: environment,
            streams: streams,
            watchForStop: watchForStop
        )
        return await CommandLineProgram(app: app, schedule: schedule).main(in: environment)
    }

    /// Runs one command and leaves the application open, for the commands and workers beside it.
    func run(_ type: (some Command).Type, _ arguments: String...) async -> ExitCode {
        let syntax = ProgramSyntax(name: "shop", summary: "", commands: [type.syntax], commonOptions: [])
        let environment = ProgramEnvironment(
            program: "shop",
            arguments: [],
            streams: streams,
            watchForStop: { _ in await untilCancelled() }
        )
        let program = RunningProgram(app: app, schedule: schedule, environment: environment, logFormat: .human)
        do throws(UsageError) {
            let invocation = try ArgumentParser.parse([type.syntax.name] + arguments, by: syntax)
            guard case .command(_, let parsed) = invocation else { return .usage }
            return await (try type.init(parsed)).run(program)
        } catch {
            Issue.record(error)
            return .usage
        }
    }
}

/// Waits for nothing but cancellation.
func untilCancelled() async {
    let (stream, continuation) = AsyncStream.makeStream(of: Never.self)
    for await _ in stream {}
    continuation.finish()
}

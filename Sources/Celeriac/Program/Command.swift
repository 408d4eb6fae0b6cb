internal import CeleriacBeat
internal import CeleriacCore

/// A subcommand: made from its arguments, then run.
protocol Command: Sendable {
    static var syntax: CommandSyntax { get }
    /// From which level up the command logs, unless told otherwise.
    static var logLevel: LogLevel { get }

    init(_ arguments: ParsedArguments) throws(UsageError)

    func run(_ program: RunningProgram) async -> ExitCode
}

extension Command {
    static var logLevel: LogLevel { .warning }
}

/// What a command works with.
struct RunningProgram: Sendable {
    let app: TaskApp
    let schedule: Schedule
    let environment: ProgramEnvironment
    let logFormat: LogFormat

    /// Writes data.
    func write(_ line: String) { environment.streams.output.write(line + "\n") }

    /// Writes a value as JSON.
    func write(_ value: JSONValue) { write(String(decoding: JSONText.value(value), as: UTF8.self)) }

    /// Writes to the person in front of the program.
    func tell(_ line: String) {
        let visible = line.split(separator: "\n", omittingEmptySubsequences: false).map { LogText.visible(String($0)) }
        environment.streams.error.write(visible.joined(separator: "\n") + "\n")
    }

    /// Reports why the program cannot go on.
    func report(_ error: CeleriacError) -> ExitCode {
        tell("\(environment.program): \(error.message) (\(error.code))")
        return ExitCode(error)
    }

    /// Reports any error.
    func report(_ error: any Error) -> ExitCode {
        if let error = error as? CeleriacError { return report(error) }
        tell("\(environment.program): \(TaskFailure(error))")
        return .failure
    }

    var usesMemoryBroker: Bool { app.configuration.brokerURL.scheme == "memory" }
    var usesMemoryResults: Bool { app.configuration.resultBackendURL.scheme == "memory" }
}

internal import CeleriacBeat
internal import CeleriacCore

/// No command was given, and the program does nothing without one.
struct NothingToRun: Error {}

/// A task program's command line, apart from the process it runs in.
struct CommandLineProgram: Sendable {
    private let app: TaskApp
    private let schedule: Schedule
    private let runWithoutCommand: @Sendable () async throws -> Void

    private static let commands: [any Command.Type] = [
        WorkerCommand.self, BeatCommand.self, CallCommand.self, ResultCommand.self, TasksCommand.self,
        LocksCommand.self, DoctorCommand.self,
    ]

    init(
        app: TaskApp,
        schedule: Schedule = Schedule(),
        runWithoutCommand: @escaping @Sendable () async throws -> Void = { throw NothingToRun() }
    ) {
        self.app = app
        self.schedule = schedule
        self.runWithoutCommand = runWithoutCommand
    }

    /// Obeys a command line; afterwards the application is closed, so that what it had still to send is sent.
    func main(in environment: ProgramEnvironment) async -> ExitCode {
        let syntax = ProgramSyntax(
            name: environment.program,
            summary: "\(app.name): a task program of Celeriac \(celeriacVersion).",
            commands: Self.commands.map { $0.syntax },
            commonOptions: CommonOptions.declarations
        )
        do throws(UsageError) {
            let code = try await obey(try ArgumentParser.parse(environment.arguments, by: syntax), environment, syntax)
            await app.close()
            return code
        } catch {
            environment.streams.error.write("\(error)\n")
            return .usage
        }
    }

    private func obey(
        _ invocation: ArgumentParser.Invocation,
        _ environment: ProgramEnvironment,
        _ syntax: ProgramSyntax
    ) async throws(UsageError) -> ExitCode {
        switch invocation {
        case .help(let command):
            let help = HelpText(syntax)
            environment.streams.output.write(command.map(help.command) ?? help.program)
            return .success
        case .version:
            environment.streams.output.write("\(environment.program), Celeriac \(celeriacVersion)\n")
            return .success
        case .none(let arguments):
            // A program's own doings are its own to report.
            try CommonOptions(arguments).apply(to: app, environment, defaultLevel: .critical)
            return await run(environment, syntax)
        case .command(let name, let arguments):
            guard let type = Self.commands.first(where: { $0.syntax.name == name }) else { return .usage }
            let options = try CommonOptions(arguments)
            let command = try type.init(arguments)
            options.apply(to: app, environment, defaultLevel: type.logLevel)
            return await command.run(program(environment, options.logFormat ?? .human))
        }
    }

    private func run(_ environment: ProgramEnvironment, _ syntax: ProgramSyntax) async -> ExitCode {
        do {
            try await runWithoutCommand()
            return .success
        } catch is NothingToRun {
            environment.streams.error.write(HelpText(syntax).program)
            return .usage
        } catch {
            return program(environment, .human).report(error)
        }
    }

    private func program(_ environment: ProgramEnvironment, _ logFormat: LogFormat) -> RunningProgram {
        RunningProgram(app: app, schedule: schedule, environment: environment, logFormat: logFormat)
    }
}

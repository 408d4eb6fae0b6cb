internal import CeleriacCore
internal import FoundationEssentials
internal import Transport

/// What an operator asks of a running program.
package enum StopRequest: Sendable, Equatable {
    /// Finish what runs.
    case graceful
    /// Stop at once.
    case immediate
}

/// All that a command knows of the world around it, so that tests can make one up.
package struct ProgramEnvironment: Sendable {
    /// The name the program was called by.
    package var program: String
    /// What stands after the name.
    package var arguments: [String]
    package var variables: [String: String]
    package var streams: StandardStreams
    /// Reports requests to stop until the waiting task is cancelled.
    package var watchForStop: @Sendable (@Sendable (StopRequest) -> Void) async -> Void

    package init(
        program: String,
        arguments: [String],
        variables: [String: String] = [:],
        streams: StandardStreams,
        watchForStop: @escaping @Sendable (@Sendable (StopRequest) -> Void) async -> Void
    ) {
        self.program = program
        self.arguments = arguments
        self.variables = variables
        self.streams = streams
        self.watchForStop = watchForStop
    }

    /// The environment of this process.
    package static var process: ProgramEnvironment {
        let arguments = CommandLine.arguments
        let path = arguments.first ?? "program"
        return ProgramEnvironment(
            program: String(path[(path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex)...]),
            arguments: Array(arguments.dropFirst()),
            variables: ProcessInfo.processInfo.environment,
            streams: .process,
            watchForStop: watchSignals
        )
    }

    /// SIGTERM and SIGINT ask politely the first time only; SIGQUIT never does.
    @Sendable private static func watchSignals(_ report: @Sendable (StopRequest) -> Void) async {
        var wasAsked = false
        for await signal in ProcessSignals([.interrupt, .terminate, .quit]) {
            report(wasAsked || signal == .quit ? .immediate : .graceful)
            wasAsked = true
        }
    }
}

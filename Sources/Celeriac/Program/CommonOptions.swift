internal import CeleriacCore

/// How log lines are written.
enum LogFormat: String, ArgumentValue, CaseIterable {
    case human
    case json

    static var expectation: String { "one of " + allCases.map(\.rawValue).joined(separator: ", ") }

    init?(argument: String) { self.init(rawValue: argument.lowercased()) }

    var argument: String { rawValue }
}

/// The options that every command takes.
struct CommonOptions: Sendable {
    let broker: ServerURL?
    let resultBackend: ServerURL?
    let logLevel: LogLevel?
    let logFormat: LogFormat?

    private static let broker = Option<ServerURL?>("broker", letter: "b", "URL", help: "The broker.")
    private static let resultBackend = Option<ServerURL?>("result-backend", "URL", help: "The result backend.")
    private static let logLevel = Option<LogLevel?>(
        "log-level",
        letter: "l",
        "LEVEL",
        help: "Write log lines from this level up: trace, debug, info, notice, warning, error, critical. "
            + "Default: info for worker and beat, warning for the rest."
    )
    private static let logFormat = Option<LogFormat?>(
        "log-format",
        "human|json",
        help: "Write log lines for people, or as one JSON object a line. Default: human."
    )

    static let declarations = [
        broker.declaration, resultBackend.declaration, logLevel.declaration, logFormat.declaration,
    ]

    init(_ arguments: ParsedArguments) throws(UsageError) {
        broker = try arguments.value(of: Self.broker)
        resultBackend = try arguments.value(of: Self.resultBackend)
        logLevel = try arguments.value(of: Self.logLevel)
        logFormat = try arguments.value(of: Self.logFormat)
    }

    /// Applies the options to an application.
    ///
    /// A logger that the program has set up itself stays, unless an option asks for another.
    func apply(to app: TaskApp, _ environment: ProgramEnvironment, defaultLevel: LogLevel) {
        app.configure { configuration in
            if let broker { configuration.brokerURL = broker }
            if let resultBackend { configuration.resultBackendURL = resultBackend }
            let isSilent = configuration.logger.label.isEmpty
            if isSilent || logFormat != nil {
                let sink: any LogSink =
                    switch logFormat ?? .human {
                    case .human:
                        HumanLogSink(
                            environment.streams,
                            isColoured: HumanLogSink.wantsColour(environment.streams, environment.variables)
                        )
                    case .json: JSONLogSink(environment.streams)
                    }
                let level = isSilent ? defaultLevel : configuration.logger.level
                configuration.logger = TaskLogger(label: "celeriac", level: level, sink: sink)
            }
            if let logLevel { configuration.logger.level = logLevel }
        }
    }
}

internal import CeleriacBeat
internal import CeleriacCore

/// `beat`: emits the schedule's tasks until it is told to stop.
struct BeatCommand: Command {
    static let syntax = CommandSyntax(
        name: "beat",
        summary: "Emit the schedule's tasks until told to stop.",
        discussion: "Any number of beats may run with the same result backend: one leads, and another takes over when "
            + "it ends. SIGTERM and SIGINT let what is being emitted finish; a second one, or SIGQUIT, stops at once.",
        examples: [.init("beat", "every entry of the schedule"), .init("beat --log-level debug", "each emission too")]
    )
    static let logLevel = LogLevel.info

    init(_ arguments: ParsedArguments) throws(UsageError) {}

    func run(_ program: RunningProgram) async -> ExitCode {
        let configuration = program.app.configuration
        let logger = configuration.logger.labelled("celeriac.beat")
        let service = StoppableService(program.environment)
        announce(program)
        if program.usesMemoryBroker {
            logger.warning("memory:// ends with this process: no worker will run what is emitted; try worker --beat")
        }
        do {
            let beat = try program.beat()
            let drivers = try program.app.drivers()
            try await service.run {
                try await drivers.broker.open(within: .seconds(30))
                service.isReady()
                try await beat.run()
            } onStop: { request in
                if request == .graceful { beat.shutDown() }
            }
        } catch {
            return program.report(error)
        }
        logger.info("beat has stopped")
        return .success
    }

    private func announce(_ program: RunningProgram) {
        let configuration = program.app.configuration
        let title = "\(program.environment.program) beat, Celeriac \(celeriacVersion)"
        let facts = [
            ("broker", configuration.brokerURL.description),
            ("state", configuration.resultBackendURL.description),
        ]
        guard program.logFormat == .human else {
            let names = program.schedule.entries.map(\.name).joined(separator: ", ")
            configuration.logger.info(title, metadata: facts + [("entries", names)])
            return
        }
        var rows = facts.map { ["  \($0.0)", $0.1] }
        let entries = TextTable.lines(
            program.schedule.entries.map { entry in [entry.name, (try? entry.trigger).map { "\($0)" } ?? ""] }
        )
        for (index, entry) in entries.enumerated() { rows.append([index == 0 ? "  entries" : "", entry]) }
        if entries.isEmpty { rows.append(["  entries", "none: write them in `static let schedule = Schedule { … }`"]) }
        program.tell("\(title)\n\(TextTable.lines(rows).joined(separator: "\n"))\n")
    }
}

extension RunningProgram {
    /// A beat for the program's schedule; all the programs of one application's name share its state.
    func beat() throws(CeleriacError) -> Beat {
        try Beat(
            schedule,
            store: app.drivers().schedule,
            scheduleName: app.name,
            time: app.configuration.time,
            logger: app.configuration.logger.labelled("celeriac.beat")
        )
    }
}

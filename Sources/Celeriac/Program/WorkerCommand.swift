internal import CeleriacBeat
internal import CeleriacCore
internal import CeleriacWorker

/// `worker`: runs tasks until it is told to stop.
struct WorkerCommand: Command {
    private static let queues = Option<[QueueName]>(
        "queues",
        letter: "q",
        "NAME,…",
        separator: ",",
        help: "The queues to consume; may be repeated. Default: the application's default queue."
    )
    private static let concurrency = Option<Int>(
        "concurrency",
        letter: "c",
        "N",
        default: 16,
        in: 1...100_000,
        help: "How many tasks run at once."
    )
    private static let prefetch = Option<Int?>(
        "prefetch",
        letter: "p",
        "N",
        in: 1...65_535,
        help: "How many unacknowledged messages the broker may have out. Default: four for each running task."
    )
    private static let grace = Option<Duration>(
        "grace",
        "SECONDS",
        default: .seconds(30),
        help: "How long running tasks may go on after a signal to stop; then they go back to their queue."
    )
    private static let nodeName = Option<String?>(
        "name",
        letter: "n",
        "NODE",
        help: "The worker's name, unique in the fleet. Default: celeriac-<pid>@<host>."
    )
    private static let beat = Flag("beat", letter: "B", help: "Run the schedule too; any number of workers may.")

    static let syntax = CommandSyntax(
        name: "worker",
        summary: "Run this program's tasks until told to stop.",
        discussion: "SIGTERM and SIGINT let running tasks finish within the grace period. A second one, or SIGQUIT, "
            + "stops at once; what was running goes back to its queue.",
        options: [
            queues.declaration, concurrency.declaration, prefetch.declaration, grace.declaration,
            nodeName.declaration, beat.declaration,
        ],
        examples: [
            .init("worker --queues celery,images --concurrency 32", "two queues, 32 tasks at once"),
            .init("worker --beat --log-format json", "with the schedule, logging for machines"),
        ]
    )
    static let logLevel = LogLevel.info

    let configuration: WorkerConfiguration
    private let hasBeat: Bool

    init(_ arguments: ParsedArguments) throws(UsageError) {
        configuration = WorkerConfiguration(
            queues: try arguments.value(of: Self.queues),
            concurrency: try arguments.value(of: Self.concurrency),
            prefetch: try arguments.value(of: Self.prefetch),
            grace: try arguments.value(of: Self.grace),
            nodeName: try arguments.value(of: Self.nodeName)
        )
        hasBeat = arguments.has(Self.beat)
    }

    func run(_ program: RunningProgram) async -> ExitCode {
        let logger = program.app.configuration.logger.labelled("celeriac.worker")
        let service = StoppableService(program.environment)
        let log = WorkerLog(logger)
        let worker = Worker(program.app, configuration: configuration) { event in
            if case .ready = event { service.isReady() }
            log.write(event)
        }
        announce(worker, program)
        if program.usesMemoryBroker {
            logger.warning("memory:// ends with this process: only this program's own calls arrive here")
        }
        do {
            let beat = hasBeat ? try program.beat() : nil
            try await service.run {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    if let beat { group.addTask { try await beat.run() } }
                    group.addTask {
                        defer { beat?.shutDown() }
                        try await worker.run()
                    }
                    try await group.waitForAll()
                }
            } onStop: { request in
                beat?.shutDown()
                request == .graceful ? worker.shutDown() : worker.stopNow()
            }
        } catch {
            return program.report(error)
        }
        let done = worker.statistics
        logger.info(
            "worker has stopped",
            metadata: [
                ("succeeded", String(done.succeeded)), ("failed", String(done.failed)),
                ("retried", String(done.retried)), ("givenBack", String(done.givenBack)),
            ]
        )
        return .success
    }

    private func announce(_ worker: Worker, _ program: RunningProgram) {
        let app = program.app
        let prefetch = worker.configuration.prefetch ?? 4 * worker.configuration.concurrency
        let facts = [
            ("node", worker.configuration.nodeName),
            ("broker", app.configuration.brokerURL.description),
            ("results", app.configuration.resultBackendURL.description),
            ("queues", worker.queues.map(\.rawValue).joined(separator: ", ")),
            ("concurrency", "\(worker.configuration.concurrency), prefetch \(prefetch)"),
            ("grace", "\(worker.configuration.grace.argument) s"),
            ("beat", hasBeat ? "yes, entries: \(program.schedule.entries.count)" : "no"),
        ]
        let title = "\(program.environment.program) worker, Celeriac \(celeriacVersion)"
        guard program.logFormat == .human else {
            // Whoever parses the stream gets the banner as a line like any other.
            let names = app.tasks.map(\.name.rawValue).joined(separator: ", ")
            app.configuration.logger.info(title, metadata: facts + [("tasks", names)])
            return
        }
        var rows = facts.map { ["  \($0.0)", $0.1] }
        let tasks = TextTable.lines(app.tasks.map { [$0.name.rawValue, $0.type] })
        for (index, task) in tasks.enumerated() { rows.append([index == 0 ? "  tasks" : "", task]) }
        if tasks.isEmpty { rows.append(["  tasks", "none: name them in `static let tasks = Tasks { … }`"]) }
        program.tell("\(title)\n\(TextTable.lines(rows).joined(separator: "\n"))\n")
    }
}

internal import CeleriacCore
internal import CeleriacWorker

/// Turns what happens in a worker into log lines, where the worker does not write one itself.
struct WorkerLog: Sendable {
    private let logger: TaskLogger

    init(_ logger: TaskLogger) {
        self.logger = logger
    }

    func write(_ event: WorkerEvent) {
        switch event {
        case .ready: logger.info("worker is ready")
        case .stopping(let running): logger.info("worker is stopping", metadata: [("running", String(running))])
        case .started(let context): logger.debug("task begins", metadata: Self.describe(context))
        case .succeeded(let context, let runtime):
            logger.info("task succeeded", metadata: Self.describe(context) + [("runtime", "\(runtime)")])
        case .expired(let id): logger.notice("task expired before it began", metadata: [("id", id.rawValue)])
        case .skipped(let id): logger.info("task had succeeded already", metadata: [("id", id.rawValue)])
        case .parked(let id, let pause):
            logger.debug("task over a limit waits", metadata: [("id", id.rawValue), ("for", "\(pause)")])
        case .givenBack(let id): logger.notice("task given back to its queue", metadata: [("id", id.rawValue)])
        case .failed, .retried, .deadLettered: break
        }
    }

    private static func describe(_ context: TaskContext) -> [(String, String)] {
        [("task", context.name.rawValue), ("id", context.id.rawValue), ("attempt", String(context.attempt))]
    }
}

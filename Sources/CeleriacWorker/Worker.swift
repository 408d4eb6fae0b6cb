public import CeleriacCore
internal import FoundationEssentials
internal import Synchronization

/// Consumes queues and runs their tasks.
///
/// A fixed number of lanes each take a delivery, wait for a slot, run the body, and settle it: follow-ups confirmed, then
/// the outcome stored, then the delivery acknowledged, in that order, so that a crash at any point repeats work but
/// loses none. There are as many lanes as the prefetch allows deliveries, so results are stored in a pipeline while the
/// slots go on running bodies.
public final class Worker: Sendable {
    /// The worker's settings.
    public let configuration: WorkerConfiguration
    let app: TaskApp
    /// The application's settings when the worker was made.
    let settings: Configuration
    let tasks: [TaskName: TaskRegistration]
    let time: any TimeSource
    let logger: TaskLogger
    let bodies = RunningBodies()
    let slots: Slots
    let limiting: Limiting
    private let onEvent: (@Sendable (WorkerEvent) -> Void)?
    private let counters = Mutex(WorkerStatistics())
    let stop = StopSignal()
    let outage = Outage()

    /// After being cancelled at the end of the grace period, a body has this long to react.
    static let cancellationGrace = Duration.seconds(1)
    /// A delivery whose settlement failed is kept for so long before it goes back.
    static let pauseBeforeGivingBack = Duration.seconds(1)
    /// Between attempts to store a result that the backend refuses for now; doubled each time.
    static let firstPauseBeforeStoring = Duration.milliseconds(100)
    static let longestPauseBeforeStoring = Duration.seconds(2)

    /// A worker for the tasks an application has defined so far.
    ///
    /// - Parameter onEvent: Called in the worker's tasks; must be quick.
    public init(
        _ app: TaskApp,
        configuration: WorkerConfiguration = WorkerConfiguration(),
        onEvent: (@Sendable (WorkerEvent) -> Void)? = nil
    ) {
        self.app = app
        self.configuration = configuration
        self.onEvent = onEvent
        let settings = app.configuration
        self.settings = settings
        tasks = Dictionary(uniqueKeysWithValues: app.tasks.map { ($0.name, $0) })
        time = settings.time
        logger = settings.logger.labelled("celeriac.worker")
        slots = Slots(count: max(1, configuration.concurrency))
        limiting = Limiting(prefetch: configuration.effectivePrefetch, time: settings.time)
    }

    /// How much this worker has done so far.
    public var statistics: WorkerStatistics { counters.withLock { $0 } }

    /// The queues this worker consumes.
    public var queues: [QueueName] {
        configuration.queues.isEmpty ? [settings.defaultQueue] : configuration.queues
    }

    /// Works until it is told to stop.
    ///
    /// Cancelling stops it at once: running bodies are cancelled and their messages given back.
    ///
    /// - Throws: ``CeleriacError`` if the broker or the result backend refuses or cannot be reached within
    ///   ``WorkerConfiguration/startupTimeout``, if two tasks have one name, or if the subscription is lost for good.
    public func run() async throws(CeleriacError) {
        try app.validate()
        let drivers = try app.drivers()
        let prefetch = configuration.effectivePrefetch
        guard let consumer = try await start(drivers, prefetch: prefetch) else { return }
        emit(.ready)

        let result = await withTaskCancellationHandler {
            await work(consumer, lanes: prefetch, drivers: drivers)
        } onCancel: {
            stopNow()
        }
        try result.get()
    }

    /// Connects and subscribes, unless the worker is stopped before it could.
    private func start(_ drivers: Drivers, prefetch: Int) async throws(CeleriacError) -> (any MessageConsumer)? {
        let result = await withTaskGroup(of: Result<(any MessageConsumer)?, CeleriacError>.self) { group in
            group.addTask {
                do throws(CeleriacError) {
                    return .success(try await self.subscribe(drivers, prefetch: prefetch))
                } catch {
                    return error.code == .cancelled ? .success(nil) : .failure(error)
                }
            }
            group.addTask { [stop] in
                _ = await stop.wait(beyond: .running)
                return .success(nil)
            }
            let first = await group.next() ?? .success(nil)
            group.cancelAll()
            guard case .success(nil) = first else { return first }
            for await late in group {
                if case .success(let consumer?) = late { await consumer.stop() }
            }
            return first
        }
        return try result.get()
    }

    private func subscribe(_ drivers: Drivers, prefetch: Int) async throws(CeleriacError) -> any MessageConsumer {
        try await drivers.broker.open(within: configuration.startupTimeout)
        try await drivers.results.open(within: configuration.startupTimeout)
        await warn(of: drivers.results)
        if tasks.values.contains(where: \.isLimitedOverFleet) {
            try await drivers.limits.open(within: configuration.startupTimeout)
        }
        let declarations = queues.map { settings.declaration(of: $0) }
        for declaration in declarations {
            if let difference = try await drivers.broker.declare(declaration) {
                logger.warning(
                    "queue exists with other properties; using it as it stands",
                    metadata: [("queue", declaration.name.rawValue), ("difference", difference)]
                )
            }
        }
        return try await drivers.broker.consume(declarations, prefetch: prefetch)
    }

    /// Says once what may cost results later; it is no reason not to work.
    private func warn(of results: any ResultBackend) async {
        guard let results = results as? any Examinable else { return }
        for finding in await results.examine(within: .seconds(2), time: time) where finding.verdict != .ok {
            logger.warning(
                "the result backend needs attention",
                metadata: [
                    ("check", finding.check), ("found", finding.what), ("advice", finding.advice ?? ""),
                ]
            )
        }
    }

    /// Stops taking messages, lets running bodies finish within the grace period, gives back the rest, and ends
    /// ``run()``.
    public func shutDown() {
        stop.advance(to: .draining)
    }

    /// Ends ``run()`` at once: bodies are cancelled and their messages given back.
    public func stopNow() {
        stop.advance(to: .now)
    }

    private func work(
        _ consumer: any MessageConsumer,
        lanes: Int,
        drivers: Drivers
    ) async -> Result<Void, CeleriacError> {
        // Not a child: cancelling `run()` must reach the bodies in steps, and a cancelled supervisor could not wait.
        let supervisor = Task { await superviseStop(of: consumer) }
        let failure = await withTaskGroup(of: LaneEnd.self) { group in
            for _ in 0..<lanes { group.addTask { .ended(await self.lane(consumer, drivers)) } }
            group.addTask { [stop] in
                _ = await stop.wait(beyond: .now)
                return .timeIsUp
            }
            var failure: CeleriacError?
            var running = lanes
            while running > 0, let end = await group.next() {
                switch end {
                case .ended(let laneFailure?):
                    running -= 1
                    failure = failure ?? laneFailure
                    stop.advance(to: .draining)  // a subscription that is lost for good is lost for every lane
                case .ended(nil): running -= 1
                // Waits for a broker or a backend that is away end now, and their messages go back.
                case .timeIsUp: group.cancelAll()
                }
            }
            group.cancelAll()
            return failure
        }
        stop.advance(to: .ended)
        await supervisor.value
        return failure.map { .failure($0) } ?? .success(())
    }

    private enum LaneEnd: Sendable {
        case ended(CeleriacError?)
        case timeIsUp
    }

    private func lane(_ consumer: any MessageConsumer, _ drivers: Drivers) async -> CeleriacError? {
        do throws(CeleriacError) {
            // A lane that went on after the slots have closed would take back at once what it gives back.
            while stop.phase == .running, let delivery = try await consumer.next() { await handle(delivery, drivers) }
            return nil
        } catch {
            return error.code == .cancelled ? nil : error
        }
    }

    /// Drains in steps: no new messages and bodies, then no running bodies, then no mercy.
    private func superviseStop(of consumer: any MessageConsumer) async {
        guard let phase = await stop.wait(beyond: .running), phase < .ended else { return await consumer.stop() }
        emit(.stopping(running: bodies.count))
        slots.close()
        await withTaskGroup(of: Void.self) { group in
            // Beside the rest: a consumer that cannot be stopped, its broker being away, must not use up the grace period.
            group.addTask { await consumer.stop() }
            if phase == .draining { await pause(configuration.grace, beyond: .draining) }
            bodies.cancelAll()
            await pause(Self.cancellationGrace, beyond: .now)
            bodies.abandonAll()
            guard stop.phase < .ended else { return }
            stop.advance(to: .abandoned)
            group.cancelAll()
        }
    }

    /// Waits for a time, or until the stop is beyond a phase.
    func pause(_ duration: Duration, beyond phase: StopSignal.Phase) async {
        await withTaskGroup(of: Void.self) { race in
            race.addTask { [time] in _ = try? await time.sleep(for: duration) }
            race.addTask { [stop] in _ = await stop.wait(beyond: phase) }
            await race.next()
            race.cancelAll()
        }
    }

    func emit(_ event: WorkerEvent) {
        counters.withLock { counters in
            switch event {
            case .succeeded: counters.succeeded += 1
            case .failed: counters.failed += 1
            case .retried: counters.retried += 1
            case .deadLettered: counters.deadLettered += 1
            case .expired: counters.expired += 1
            case .skipped: counters.skipped += 1
            case .parked: counters.parked += 1
            case .givenBack: counters.givenBack += 1
            case .ready, .started, .stopping: break
            }
        }
        onEvent?(event)
    }
}

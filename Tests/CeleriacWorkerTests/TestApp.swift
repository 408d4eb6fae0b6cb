import CeleriacCore
import CeleriacWorker
import Synchronization

/// An application on memory drivers of its own.
func memoryApp(configure: (inout Configuration) -> Void = { _ in }) -> TaskApp {
    var configuration = Configuration()
    configure(&configuration)
    return TaskApp("test", configuration: configuration) { configuration in
        Drivers(
            broker: MemoryBroker(time: configuration.time),
            results: MemoryResultBackend(time: configuration.time),
            locks: MemoryLockStore(time: configuration.time),
            schedule: MemoryScheduleStore(time: configuration.time),
            limits: MemoryLimitStore(time: configuration.time)
        )
    }
}

/// Runs a worker while the body runs, then shuts it down and waits for its end.
@discardableResult
func withWorker<Result: Sendable>(
    _ app: TaskApp,
    _ configuration: WorkerConfiguration = WorkerConfiguration(concurrency: 4),
    events: EventLog = EventLog(),
    _ body: (Worker) async throws -> Result
) async throws -> (result: Result, statistics: WorkerStatistics) {
    let worker = Worker(app, configuration: configuration, onEvent: events.record)
    async let running: Void = worker.run()
    let result: Result
    do {
        result = try await body(worker)
    } catch {
        worker.stopNow()
        try await running
        throw error
    }
    worker.shutDown()
    try await running
    return (result, worker.statistics)
}

/// Lets others run; ends a wait whose test has run out of time.
func turn() async throws {
    try Task.checkCancellation()
    await Task.yield()
}

/// Takes the oldest message out of the default queue's dead-letter queue.
func takeDeadLetter(_ app: TaskApp) async throws -> Message? {
    guard let delivery = try await app.drivers().broker.get("celery.dlq") else { return nil }
    let message = delivery.message
    delivery.acknowledge()
    return message
}

/// Collects a worker's events and lets tests wait for one.
final class EventLog: Sendable {
    private struct State {
        var events: [WorkerEvent] = []
        var waiters: [(@Sendable (WorkerEvent) -> Bool, CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var events: [WorkerEvent] { state.withLock { $0.events } }

    func record(_ event: WorkerEvent) {
        let due = state.withLock { state in
            state.events.append(event)
            let due = state.waiters.filter { $0.0(event) }
            state.waiters.removeAll { $0.0(event) }
            return due
        }
        for (_, continuation) in due { continuation.resume() }
    }

    /// Waits for an event, past or future.
    func wait(for matches: @escaping @Sendable (WorkerEvent) -> Bool) async {
        await withCheckedContinuation { continuation in
            let happened = state.withLock { state in
                if state.events.contains(where: matches) { return true }
                state.waiters.append((matches, continuation))
                return false
            }
            if happened { continuation.resume() }
        }
    }
}

/// A value that tests and task bodies share.
final class Shared<Value: Sendable>: Sendable {
    private let state: Mutex<Value>

    init(_ value: Value) { state = Mutex(value) }

    var value: Value { state.withLock { $0 } }

    @discardableResult
    func update<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        state.withLock { value in
            var copy = value
            defer { value = copy }
            return body(&copy)
        }
    }
}

struct Boom: Error, CustomStringConvertible {
    var description = "it went boom"
}

import Celeriac
import Foundation

/// The program whose processes the fault and interoperation tests start, stop and kill.
///
/// Its environment: `FLEET_LOG`, the file that executions are noted in; `FLEET_QUEUE`, the default queue;
/// `FLEET_SCHEDULE_MS`, the distance between the slots of its schedule, which is empty without.
struct Fleet: TaskProgram {
    static let app: TaskApp = {
        var configuration = Configuration.fromEnvironment()
        if let queue = variable("FLEET_QUEUE") { configuration.defaultQueue = QueueName(queue) }
        return TaskApp("fleet", configuration: configuration)
    }()

    static let add = app.task("fleet.add", parameters: ["x", "y"]) { (x: Int, y: Int) in x + y }

    static let echo = app.task("fleet.echo", parameters: ["value"]) { (value: JSONValue) in value }

    static let fail = app.task("fleet.fail", parameters: ["message"]) { (message: String) async throws -> Int in
        throw FleetError(message: message)
    }

    /// Works for a while.
    static let work = app.task("fleet.work", parameters: ["key", "milliseconds"]) {
        (context: TaskContext, key: String, milliseconds: Int) async throws -> String in
        Journal.started(key, context)
        if milliseconds > 0 { try await Task.sleep(for: .milliseconds(milliseconds)) }
        Journal.finished(key)
        return key
    }

    /// Publishes a call, tells how far it is, and waits until there is a file.
    static let steps = app.task("fleet.steps", parameters: ["total", "path"]) {
        (context: TaskContext, total: Int, path: String) async throws -> Int in
        try await add.delay(total, 1)
        try await context.report(progress: TaskProgress(current: Double(total - 1), total: Double(total)))
        while !FileManager.default.fileExists(atPath: path) { try await Task.sleep(for: .milliseconds(20)) }
        return total
    }

    /// Fails with an error that Python knows.
    static let sell = app.task("fleet.sell", parameters: ["article"]) { (article: String) async throws -> Int in
        throw OutOfStock(article: article, left: 3)
    }

    /// Never ends, unless it is run again.
    static let hold = app.task("fleet.hold", parameters: ["key"]) {
        (context: TaskContext, key: String) async throws -> String in
        Journal.started(key, context)
        while !context.isRedelivered, context.attempt == 1 { try await Task.sleep(for: .seconds(3600)) }
        Journal.finished(key)
        return key
    }

    /// Fails so many times before it succeeds.
    static let flaky = app.task(
        "fleet.flaky",
        parameters: ["key", "failures"],
        options: TaskOptions(retry: .exponential(attempts: 4, initial: .seconds(2), jitter: false))
    ) { (context: TaskContext, key: String, failures: Int) async throws -> Int in
        Journal.started(key, context)
        guard context.attempt > failures else { throw FleetError(message: "attempt \(context.attempt)") }
        Journal.finished(key)
        return context.attempt
    }

    /// Runs once at a time for each key.
    static let once = app.task(
        "fleet.once",
        parameters: ["key", "fails"],
        options: TaskOptions(unique: .refuse)
    ) { (context: TaskContext, key: String, fails: Bool) async throws -> String in
        Journal.started(key, context)
        if fails { throw FleetError(message: key) }
        Journal.finished(key)
        return key
    }

    /// The tasks of `proj.py` that share the locks of `celery-once`; they wait until there is a file.
    static let celeryOnce = celeryOnceTask("proj.once", .celeryOnce())
    static let celeryOnceKeyed = celeryOnceTask("proj.once_keyed", .celeryOnce(keys: ["key"]))
    static let celeryOnceEarly = celeryOnceTask("proj.once_early", .celeryOnce(unlockBeforeRun: true))

    private static func celeryOnceTask(
        _ name: TaskName,
        _ policy: UniquePolicy
    ) -> TaskDefinition<String, JSONValue, String> {
        app.task(name, parameters: ["key", "path"], options: TaskOptions(unique: policy)) {
            (context: TaskContext, key: JSONValue, path: String) async throws -> String in
            Journal.started(context.id.rawValue, context)
            while !path.isEmpty, !FileManager.default.fileExists(atPath: path) {
                try await Task.sleep(for: .milliseconds(20))
            }
            Journal.finished(context.id.rawValue)
            return key.string ?? ""
        }
    }

    /// Runs with what others leave with it, one at a time.
    static let follow = app.task(
        "fleet.follow",
        parameters: ["key", "value", "milliseconds"],
        options: TaskOptions(unique: UniquePolicy(key: .fields("key"), onConflict: .replaceArguments))
    ) { (context: TaskContext, key: String, value: Int, milliseconds: Int) async throws -> Int in
        Journal.write("began", key, String(value), String(context.lockFence ?? 0))
        if milliseconds > 0 { try await Task.sleep(for: .milliseconds(milliseconds)) }
        Journal.write("ended", key, String(value))
        return value
    }

    /// Holds its lock until its worker is killed, and ends when it is run again.
    static let lease = app.task("fleet.lease", parameters: ["key"], options: TaskOptions(unique: .refuse)) {
        (context: TaskContext, key: String) async throws -> String in
        Journal.started(key, context)
        while !context.isRedelivered { try await Task.sleep(for: .seconds(3600)) }
        Journal.finished(key)
        return key
    }

    /// Limits of the test's own.
    private static let limits = LimitKey.shared(variable("FLEET_QUEUE") ?? "fleet")

    /// Begins so often, over all workers.
    static let rated = app.task(
        "fleet.rated",
        parameters: ["key"],
        options: TaskOptions(rateLimit: RateLimit("10/s", burst: 1, key: limits))
    ) { (context: TaskContext, key: String) -> String in
        Journal.started(key, context)
        Journal.finished(key)
        return key
    }

    /// Begins so often in any span of a length, over all workers.
    static let windowed = app.task(
        "fleet.windowed",
        parameters: ["key"],
        options: TaskOptions(
            rateLimit: RateLimit(Rate(10, per: .seconds(2)), algorithm: .slidingWindow, key: limits)
        )
    ) { (context: TaskContext, key: String) -> String in
        Journal.started(key, context)
        Journal.finished(key)
        return key
    }

    /// Begins once an hour, over all workers.
    static let hourly = app.task(
        "fleet.hourly",
        parameters: ["key"],
        options: TaskOptions(rateLimit: RateLimit("1/h", key: limits))
    ) { (context: TaskContext, key: String) -> String in
        Journal.started(key, context)
        return key
    }

    /// Runs twice at once, over all workers; without an end of its own until there is a file beside the journal.
    static let placed = app.task(
        "fleet.placed",
        parameters: ["key", "milliseconds"],
        options: TaskOptions(concurrencyLimit: ConcurrencyLimit(2, lease: .seconds(3), key: limits))
    ) { (context: TaskContext, key: String, milliseconds: Int) async throws -> String in
        Journal.started(key, context)
        if milliseconds > 0 { try await Task.sleep(for: .milliseconds(milliseconds)) }
        let file = (variable("FLEET_LOG") ?? "") + ".go"
        while milliseconds < 0, !FileManager.default.fileExists(atPath: file) {
            try await Task.sleep(for: .milliseconds(20))
        }
        Journal.finished(key)
        return key
    }

    /// What the schedule emits.
    static let tick = app.task("fleet.tick", parameters: ["entry", "slot"]) {
        (context: TaskContext, entry: String, slot: Int) in
        Journal.write("ticked", "\(entry)@\(slot)", context.id.rawValue)
    }

    static let tasks = Tasks {
        add; echo; fail; sell; work; steps; hold; flaky; once; tick
        follow; lease; celeryOnce; celeryOnceKeyed; celeryOnceEarly
        // Beside results by message nobody counts: a worker with limited tasks does not start.
        if app.configuration.resultBackendURL.scheme != "rpc" { rated; windowed; hourly; placed }
    }

    static let schedule = Schedule {
        if let milliseconds = variable("FLEET_SCHEDULE_MS").flatMap({ Int($0) }) {
            entry("every", .milliseconds(milliseconds), .all(maximum: 10_000))
            entry("latest", .milliseconds(milliseconds), .once)
        }
    }

    private static func entry(_ name: String, _ interval: Duration, _ misfire: MisfirePolicy) -> ScheduleEntry {
        ScheduleEntry(name, every: interval, misfire: misfire) { slot, id in
            let milliseconds = Int((slot.timeIntervalSince1970 * 1000).rounded())
            try await tick(name, milliseconds).apply(CallOptions(id: id))
            Journal.write("emitted", "\(name)@\(milliseconds)", id.rawValue)
        }
    }

    private static func variable(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
}

/// What the tasks fail with.
struct FleetError: Error, CustomStringConvertible {
    let message: String
    var description: String { message }
}

/// What Python's `proj.OutOfStock` is in Swift.
struct OutOfStock: TaskError {
    static let failureModule = "proj"
    let article: String
    let left: Int

    init(article: String, left: Int) { (self.article, self.left) = (article, left) }

    var failureArguments: [JSONValue] { [.string(article), .int(Int64(left))] }

    init?(failureArguments: [JSONValue]) {
        guard failureArguments.count == 2, let article = failureArguments[0].string,
            case .int(let left) = failureArguments[1]
        else { return nil }
        self.init(article: article, left: Int(left))
    }
}

import Celeriac
import Synchronization

/// Tells what happens in the bakery while it happens, and checks at the end that all of it did.
final class Show: Sendable {
    /// How often what happened.
    struct Tally {
        var executed = 0
        var retried = 0
        var refused = 0
        var failed = 0
        var bells = 0
        /// Tasks a second in the last scene with a progress line.
        var rate = 0
        var succeeded: [TaskName: Int] = [:]
        var isBroken = false
    }

    private let screen = Screen()
    private let state = Mutex(Tally())
    private let began = ContinuousClock.now

    var tally: Tally { state.withLock { $0 } }

    // MARK: What is told

    func say(_ text: String) { screen.write(text) }

    /// Announces what comes next, and leaves time to read it.
    func scene(_ title: String) async throws {
        screen.write("\n\(screen.bold("▸ \(title)"))")
        try await Task.sleep(for: .milliseconds(500))
    }

    /// Tells an outcome, and whether it is the one that was promised.
    func expect(_ text: @autoclosure () -> String, _ isKept: () -> Bool) {
        let text = text()
        let isKept = isKept()
        if !isKept { state.withLock { $0.isBroken = true } }
        screen.write(isKept ? screen.green("  ✓ \(text)") : screen.red("  ✗ \(text)"))
    }

    /// Tells that a call was refused because an equal one is under way.
    func refused(_ error: CeleriacError) {
        guard let conflict = error.conflict, conflict.remaining > .zero else { return screen.write("  \(error)") }
        state.withLock { $0.refused += 1 }
        screen.write(
            "  · refused: it runs as \(conflict.existing?.rawValue.prefix(8) ?? "?")…; its lock ends in \(conflict.remaining.rounded) at the latest"
        )
    }

    /// Shows how many tasks have succeeded, of so many, while a closure runs.
    func progress<Value: Sendable>(
        of task: TaskName,
        total: Int,
        gauge: (label: String, Gauge)? = nil,
        while body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let began = ContinuousClock.now
        let value = try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await body() }
            group.addTask { [self] in
                while (try? await Task.sleep(for: .milliseconds(screen.isLive ? 50 : 1000))) != nil {
                    let done = tally.succeeded[task, default: 0]
                    let rest = gauge.map { "   \($0.label) \($0.1.now)" } ?? ""
                    screen.show(progress: "\(bar(done, of: total)) \(done)/\(total)\(rest)")
                }
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        screen.endProgress()
        guard let value else { throw CancellationError() }
        let seconds = began.duration(to: .now) / .seconds(1)
        state.withLock { $0.rate = Int(Double(total) / seconds) }
        return value
    }

    private func bar(_ done: Int, of total: Int) -> String {
        let filled = 30 * done / total
        return "  " + String(repeating: "█", count: filled) + String(repeating: "░", count: 30 - filled)
    }

    /// The bell may be up to two seconds away.
    func waitForBell() async throws {
        try await scene("All the while, beat has rung a bell every two seconds")
        let deadline = ContinuousClock.now + .seconds(10)
        while tally.succeeded["bakery.ring"] == nil, .now < deadline {
            try await Task.sleep(for: .milliseconds(50))
        }
        expect("\(tally.bells) times by now") { tally.succeeded["bakery.ring"] != nil }
    }

    // MARK: What is seen

    func saw(_ event: WorkerEvent) {
        switch event {
        case .started: state.withLock { $0.executed += 1 }
        case .succeeded(let context, _): state.withLock { $0.succeeded[context.name, default: 0] += 1 }
        case .failed: state.withLock { $0.failed += 1 }
        case .retried(let context, let failure, let pause):
            state.withLock { $0.retried += 1 }
            screen.write("  · attempt \(context.attempt): \(failure); again in \(pause.rounded)")
        case .ready, .deadLettered, .expired, .skipped, .parked, .givenBack, .stopping: break
        }
    }

    func saw(_ event: BeatEvent) {
        guard case .sent = event else { return }
        state.withLock { $0.bells += 1 }
        screen.write(screen.dim("  ♪ the bell"))
    }

    // MARK: The end

    struct PromiseBroken: Error, CustomStringConvertible {
        let description = "not everything went as promised"
    }

    /// Sums up.
    ///
    /// - Throws: ``PromiseBroken`` if anything was missing.
    func finish() throws {
        let tally = tally
        let seconds = began.duration(to: .now) / .seconds(1)
        screen.write("\n\(screen.bold("▸ In \(Int(seconds.rounded())) seconds"))")
        let rows = [
            ("executed", tally.executed), ("retried", tally.retried), ("refused", tally.refused),
            ("failed", tally.failed), ("periodic", tally.bells), ("tasks/s", tally.rate),
        ]
        for (name, number) in rows {
            let text = String(number)
            screen.write("  \(name)\(String(repeating: " ", count: 18 - name.count - text.count))\(text)")
        }
        let isComplete = tally.retried == 2 && tally.refused == 1 && tally.failed == 1 && tally.bells > 0
        guard isComplete, !tally.isBroken else { throw PromiseBroken() }
    }
}

/// How much is in something: now, and at most so far.
final class Gauge: Sendable {
    private let level = Mutex((now: 0, most: 0))

    var now: Int { level.withLock { $0.now } }
    var most: Int { level.withLock { $0.most } }

    func add() {
        level.withLock { level in
            level.now += 1
            level.most = max(level.most, level.now)
        }
    }

    func remove() { level.withLock { $0.now -= 1 } }
}

extension Duration {
    /// In seconds with one decimal.
    fileprivate var rounded: String { "\((self / .seconds(1) * 10).rounded() / 10) s" }
}

import CeleriacCore
import CeleriacWorker
import FoundationEssentials
import TestSupport
import Testing

@Suite("Limits", .timeLimit(.minutes(1))) struct LimitTests {
    private let time = ManualTimeSource()

    private func app() -> TaskApp {
        let time = time
        return memoryApp { $0.time = time }
    }

    /// Lets time pass from event to event until a condition holds.
    private func pass(until what: String, _ condition: () async throws -> Bool) async throws {
        var quiet = 0
        try await eventually(what) {
            if try await condition() { return true }
            quiet += 1
            // Whatever is on its way arrives first.
            if quiet % 5 == 0, let next = time.untilFirstWake, next < .seconds(86_000) { time.advance(by: next) }
            return false
        }
    }

    /// What began, when.
    private struct Beginning: Sendable {
        let name: String
        let at: Date
        let attempt: Int
    }

    private func note(_ log: Shared<[Beginning]>, _ name: String, _ attempt: Int = 1) {
        let now = time.now
        log.update { $0.append(Beginning(name: name, at: now, attempt: attempt)) }
    }

    /// The most that began in any span of a length, its end not included.
    private func most(_ times: [Date], in seconds: Double) -> Int {
        times.map { start in times.count { $0 >= start && $0 < start.addingTimeInterval(seconds - 0.001) } }.max() ?? 0
    }

    @Test("Calls over a rate wait in the broker for their turn, each parked once, and are not charged an attempt")
    func rate() async throws {
        let app = app()
        let log = Shared<[Beginning]>([])
        let task = app.task("limited", options: .init(rateLimit: "1/m")) { (context: TaskContext, name: Int) in
            note(log, "\(name)", context.attempt)
        }
        let (_, statistics) = try await withWorker(app) { worker in
            for number in 0..<6 { try await task.delay(number) }
            try await eventually("all but one wait") { worker.statistics.parked == 5 }
            try await pass(until: "all have run") { worker.statistics.succeeded == 6 }
        }
        #expect(statistics.parked == 5)
        #expect(log.value.allSatisfy { $0.attempt == 1 })
        #expect(most(log.value.map(\.at), in: 59.9) == 1)
        let span = try #require(log.value.map(\.at).max()).timeIntervalSince(try #require(log.value.map(\.at).min()))
        #expect(span >= 299.9 && span < 320)
    }

    @Test("Other tasks of the same worker go on while one is over its limit")
    func others() async throws {
        let app = app()
        let limited = app.task("limited", options: .init(rateLimit: "1/h")) { 1 }
        let free = app.task("free") { 2 }
        try await withWorker(app, WorkerConfiguration(concurrency: 1, prefetch: 2)) { worker in
            for _ in 0..<20 { try await limited.delay() }
            #expect(try await free.delay().value(within: .seconds(10)) == 2)
            try await eventually("all but one wait") { worker.statistics.parked == 19 }
        }
    }

    @Test("A short wait is spent beside the slots, and not more than half of the deliveries wait so")
    func held() async throws {
        let app = app()
        let limited = app.task("limited", options: .init(rateLimit: .init("4/s", burst: 1))) { 1 }
        let free = app.task("free") { 2 }
        try await withWorker(app, WorkerConfiguration(concurrency: 1, prefetch: 4)) { worker in
            for _ in 0..<5 { try await limited.delay() }
            try await eventually("two are parked") { worker.statistics.parked == 2 }
            #expect(try await free.delay().value(within: .seconds(10)) == 2)
            try await pass(until: "all have run") { worker.statistics.succeeded == 6 }
        }
    }

    @Test("A call that expires while it waits is not run")
    func expires() async throws {
        let app = app()
        let limited = app.task("limited", options: .init(rateLimit: "1/h")) { 1 }
        let (_, statistics) = try await withWorker(app) { worker in
            try await limited.delay()
            try await eventually("the first has run") { worker.statistics.succeeded == 1 }
            let late = try await limited.apply(options: CallOptions(expires: .seconds(60)))
            try await pass(until: "the second has expired") { worker.statistics.expired == 1 }
            #expect(try await late.state() == .revoked)
            // It has left no place behind.
            try await limited.delay()
            let before = time.now
            try await pass(until: "the third has run") { worker.statistics.succeeded == 2 }
            #expect(time.now.timeIntervalSince(before) < 3610)
        }
        #expect(statistics.succeeded == 2)
    }

    @Test("A unique call keeps its lock while it waits")
    func unique() async throws {
        let app = app()
        let options = TaskOptions(unique: UniquePolicy(lease: .seconds(60)), rateLimit: "1/h")
        let limited = app.task("limited", options: options) { (_: Int) in }
        try await withWorker(app) { worker in
            try await limited.delay(1)
            try await eventually("the first has run") { worker.statistics.succeeded == 1 }
            try await limited.delay(2)
            try await eventually("the second waits") { worker.statistics.parked == 1 }
            time.advance(by: .seconds(1800))
            await #expect(throws: CeleriacError.self) { try await limited.delay(2) }
        }
    }

    @Test("A limit by an argument holds for each of its values")
    func keyed() async throws {
        let app = app()
        let limit = RateLimit("1/h", key: .argument("customer"))
        let task = app.task("limited", parameters: ["customer"], options: .init(rateLimit: limit)) { (_: String) in }
        let (_, statistics) = try await withWorker(app) { worker in
            for customer in ["a", "b", "c", "a", "b"] { try await task.delay(customer) }
            try await eventually("one of each has run") {
                worker.statistics.succeeded == 3 && worker.statistics.parked == 2
            }
        }
        #expect(statistics.succeeded == 3)
    }

    @Test("What a call costs is taken from its arguments")
    func cost() async throws {
        let app = app()
        let limit = RateLimit(Rate(10, per: .seconds(3600)), burst: 10, cost: .by { Double($0[0]?.int ?? 1) })
        let task = app.task("limited", options: .init(rateLimit: limit)) { (_: Int) in }
        try await withWorker(app, WorkerConfiguration(concurrency: 1, prefetch: 1)) { worker in
            for tokens in [6, 4, 3] { try await task.delay(tokens) }
            try await eventually("ten tokens are used") {
                worker.statistics.succeeded == 2 && worker.statistics.parked == 1
            }
        }
    }

    @Test("No more run at once than a concurrency limit says, and all run")
    func concurrency() async throws {
        let app = app()
        let running = Shared((now: 0, most: 0))
        let task = app.task("limited", options: .init(concurrencyLimit: 2)) { () async throws in
            running.update { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
            try await Task.sleep(for: .milliseconds(5))
            running.update { $0.now -= 1 }
        }
        let other = Worker(app, configuration: WorkerConfiguration(concurrency: 8))
        async let second: Void = other.run()
        try await withWorker(app, WorkerConfiguration(concurrency: 8)) { worker in
            for _ in 0..<30 { try await task.delay() }
            try await pass(until: "all have run") { worker.statistics.succeeded + other.statistics.succeeded == 30 }
        }
        other.shutDown()
        try await second
        #expect(running.value.most <= 2)
    }

    @Test("A limit for each worker holds without a store")
    func ownLimit() async throws {
        let store = AwayLimits()
        let app = store.app(time)
        let limit = ConcurrencyLimit(1, reach: .worker)
        let task = app.task("limited", options: .init(rateLimit: .init("1/s", reach: .worker), concurrencyLimit: limit))
        {
            1
        }
        store.isAway.update { $0 = true }
        try await withWorker(app) { worker in
            for _ in 0..<3 { try await task.delay() }
            try await pass(until: "all have run") { worker.statistics.succeeded == 3 }
        }
    }

    @Test("Nothing limited runs while the store does not answer; other tasks go on, and limited ones run later")
    func away() async throws {
        let store = AwayLimits()
        let app = store.app(time)
        let limited = app.task("limited", options: .init(rateLimit: "100/s")) { 1 }
        let free = app.task("free") { 2 }
        try await withWorker(app) { worker in
            store.isAway.update { $0 = true }
            try await limited.delay()
            try await eventually("the store has been asked") { worker.statistics.parked == 1 }
            for _ in 1..<10 { try await limited.delay() }
            #expect(try await free.delay().value(within: .seconds(10)) == 2)
            try await eventually("all wait") { worker.statistics.parked == 10 }
            try await eventually("the other task is counted") { worker.statistics.succeeded == 1 }
            #expect(store.questions.value == 1, "one asks for all")
            store.isAway.update { $0 = false }
            try await pass(until: "all have run") { worker.statistics.succeeded == 11 }
        }
    }

    @Test("A task that was told to come later pauses all calls under its limit, and is not charged")
    func retryAfter() async throws {
        let app = app()
        let log = Shared<[Beginning]>([])
        let isRefused = Shared(true)
        let task = app.task("limited", options: .init(rateLimit: .init("10/s", burst: 10))) {
            (context: TaskContext, name: String) in
            note(log, name, context.attempt)
            if isRefused.update({ refused in
                defer { refused = false }; return refused
            }) {
                throw TaskEnding.rateLimited(for: .seconds(120))
            }
        }
        let (_, statistics) = try await withWorker(app) { worker in
            let first = try await task.delay("first")
            try await eventually("the first waits") { worker.statistics.parked == 1 }
            try await task.delay("second")
            try await eventually("the second waits") { worker.statistics.parked == 2 }
            try await pass(until: "both have run") { worker.statistics.succeeded == 2 }
            _ = try await first.value(within: .seconds(10))
        }
        #expect(log.value.map(\.name) == ["first", "first", "second"])
        #expect(log.value.allSatisfy { $0.attempt == 1 })
        #expect(log.value[1].at.timeIntervalSince(log.value[0].at) >= 119)
        #expect(statistics.retried == 0 && statistics.failed == 0)
    }

    @Test("A task without a rate limit that was told to come later waits alone")
    func retryAfterAlone() async throws {
        let app = app()
        let refusals = Shared(1)
        let task = app.task("plain") { () throws in
            if refusals.update({
                $0 -= 1; return $0 >= 0
            }) {
                throw TaskEnding.rateLimited(for: .seconds(30))
            }
        }
        let (_, statistics) = try await withWorker(app) { worker in
            let handle = try await task.delay()
            try await pass(until: "it has run") { worker.statistics.succeeded == 1 }
            _ = try await handle.value(within: .seconds(10))
        }
        #expect(statistics.parked == 1)
    }
}

/// A limit store that may not answer.
final class AwayLimits: LimitStore {
    let isAway = Shared(false)
    let questions = Shared(0)
    private let store = Shared<MemoryLimitStore?>(nil)

    func app(_ time: any TimeSource) -> TaskApp {
        store.update { $0 = MemoryLimitStore(time: time) }
        var configuration = Configuration()
        configuration.time = time
        return TaskApp("test", configuration: configuration) { configuration in
            Drivers(
                broker: MemoryBroker(time: configuration.time),
                results: MemoryResultBackend(time: configuration.time),
                locks: MemoryLockStore(time: configuration.time),
                schedule: MemoryScheduleStore(time: configuration.time),
                limits: self
            )
        }
    }

    private func answering() throws(CeleriacError) -> MemoryLimitStore {
        if isAway.value { questions.update { $0 += 1 } }
        guard !isAway.value, let store = store.value else { throw CeleriacError(.unavailable, "away") }
        return store
    }

    func open(within timeout: Duration) async throws(CeleriacError) {}
    func take(_ request: RateRequest, within timeout: Duration) async throws(CeleriacError) -> RateDecision {
        try await answering().take(request, within: timeout)
    }
    func pause(_ request: RateRequest, for duration: Duration, within timeout: Duration)
        async throws(CeleriacError) -> RateDecision
    {
        try await answering().pause(request, for: duration, within: timeout)
    }
    func acquire(_ key: String, owner: String, count: Int, lease: Duration, within timeout: Duration)
        async throws(CeleriacError) -> PlaceDecision
    {
        try await answering().acquire(key, owner: owner, count: count, lease: lease, within: timeout)
    }
    func release(_ key: String, owner: String, within timeout: Duration) async throws(CeleriacError) -> Bool {
        try await answering().release(key, owner: owner, within: timeout)
    }
}

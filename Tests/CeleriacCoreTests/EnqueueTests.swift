import FoundationEssentials
import Synchronization
import Testing

@testable import CeleriacCore

/// A broker and a lock store that do what the test says, and note what is asked of them.
private final class ScriptedDrivers: Broker, LockStore {
    struct Published: Sendable {
        let message: Message
        let route: Route
        let delay: Duration?
        let timeout: Duration
    }

    private struct State {
        var published: [Published] = []
        var owners: [String: String] = [:]
        var calls: [String] = []
    }

    let address = "scripted://"
    private let state = Mutex(State())
    private let onPublish: @Sendable () async throws(CeleriacError) -> Void
    private let onAcquire: @Sendable () async throws(CeleriacError) -> Void

    init(
        onPublish: @escaping @Sendable () async throws(CeleriacError) -> Void = {},
        onAcquire: @escaping @Sendable () async throws(CeleriacError) -> Void = {}
    ) {
        self.onPublish = onPublish
        self.onAcquire = onAcquire
    }

    var published: [Published] { state.withLock { $0.published } }
    var owners: [String: String] { state.withLock { $0.owners } }

    func open(within timeout: Duration) async throws(CeleriacError) {}
    func declare(_ queue: QueueDeclaration) async throws(CeleriacError) -> String? { nil }
    func publish(
        _ message: Message,
        to route: Route,
        delay: Duration?,
        within timeout: Duration
    ) async throws(CeleriacError) {
        let call = Published(message: message, route: route, delay: delay, timeout: timeout)
        state.withLock { $0.published.append(call) }
        try await onPublish()
    }
    func consume(_ queues: [QueueDeclaration], prefetch: Int) async throws(CeleriacError) -> any MessageConsumer {
        throw CeleriacError(.unsupported, "not scripted")
    }
    func depth(of queue: QueueName) async throws(CeleriacError) -> Int? { nil }
    func get(_ queue: QueueName) async throws(CeleriacError) -> Delivery? { nil }
    func purge(_ queue: QueueName) async throws(CeleriacError) -> Int { 0 }
    func close(grace: Duration) async {}

    func acquire(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> LockOutcome {
        let holder = state.withLock { state in
            if let holder = state.owners[key], holder != owner { return String?.some(holder) }
            state.owners[key] = owner
            return nil
        }
        try await onAcquire()
        return holder.map { .held(by: $0, remaining: lease) } ?? .acquired(fence: 1)
    }
    func renew(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool { true }
    func release(_ key: String, owner: String) async throws(CeleriacError) -> Bool {
        // As a network driver does, which a cancelled task cannot use.
        guard !Task.isCancelled else { throw CeleriacError(.cancelled, "release") }
        return state.withLock { state in
            guard state.owners[key] == owner else { return false }
            state.owners[key] = nil
            return true
        }
    }

    func app(_ configure: (inout Configuration) -> Void = { _ in }) -> TaskApp {
        var configuration = Configuration()
        configure(&configuration)
        return TaskApp("test", configuration: configuration) { configuration in
            Drivers(
                broker: self,
                results: MemoryResultBackend(time: configuration.time),
                locks: self,
                schedule: MemoryScheduleStore(time: configuration.time)
            )
        }
    }
}

private struct FixedTime: TimeSource {
    let now = Date(timeIntervalSince1970: 1_800_000_000)
    func sleep(for duration: Duration) async throws(CancellationError) {}
}

@Suite("Sending a call") struct EnqueueTests {
    @Test("Options of the call come before the task's, and the task's before the application's")
    func precedence() async throws {
        let drivers = ScriptedDrivers()
        let app = drivers.app {
            $0.time = FixedTime()
            $0.defaultQueue = "default"
            $0.queues = [QueueDeclaration("call", maximumPriority: 9)]
            $0.publishTimeout = .seconds(7)
        }
        let plain = app.task("plain") { 1 }
        let tuned = app.task("tuned", options: .init(queue: "task", priority: 3, expires: .seconds(60))) { 1 }
        try await plain.delay()
        try await tuned.delay()
        try await tuned.apply(
            options: .init(
                id: "my-id",
                queue: "call",
                expires: .seconds(5),
                priority: 8,
                headers: ["mine": 1],
                publishTimeout: .seconds(2),
                ignoresResult: true,
                timeLimit: .seconds(9),
                shadow: "shown"
            )
        )
        let sent = drivers.published
        #expect(sent.map(\.route.routingKey) == ["default", "task", "call"])
        #expect(sent.map(\.message.priority) == [0, 3, 8])
        #expect(sent.map(\.message.expiration) == [nil, .seconds(60), .seconds(5)])
        #expect(sent.map(\.timeout) == [.seconds(7), .seconds(7), .seconds(2)])
        #expect(sent[2].route.queue?.maximumPriority == 9)
        let headers = sent[2].message.headers
        #expect(headers["id"] == "my-id")
        #expect(headers["expires"] == .string(WireTime.text(of: FixedTime().now.addingTimeInterval(5))))
        #expect(headers["ignore_result"] == true)
        #expect(headers["timelimit"] == [nil, 9])
        #expect(headers["shadow"] == "shown")
        #expect(headers["mine"] == 1)
        #expect(headers["root_id"] == "my-id")
        #expect(headers["parent_id"] == .some(.null))
        #expect(headers["argsrepr"] == "()")
        #expect(sent[2].message.replyTo?.isEmpty == false)
    }

    @Test("A countdown travels as an eta, with a delay only beyond a second and without an expiration then")
    func countdown() async throws {
        let drivers = ScriptedDrivers()
        let app = drivers.app { $0.time = FixedTime() }
        let task = app.task("t") { 1 }
        try await task.apply(options: .init(countdown: .seconds(1)))
        try await task.apply(options: .init(countdown: .seconds(2), expires: .seconds(5)))
        try await task.apply(options: .init(countdown: .seconds(2), eta: FixedTime().now.addingTimeInterval(30)))
        try await task.apply(options: .init(eta: .distantPast, expiresAt: .distantPast))
        #expect(drivers.published.map(\.delay) == [nil, .seconds(2), .seconds(30), nil])
        #expect(drivers.published.map(\.message.expiration) == [nil, nil, nil, .zero])
        #expect(drivers.published[0].message.headers["eta"] == "2027-01-15T08:00:01+00:00")
        #expect(drivers.published[2].message.headers["eta"] == "2027-01-15T08:00:30+00:00")
    }

    @Test("A call larger than the limit is not sent")
    func tooLarge() async throws {
        let drivers = ScriptedDrivers()
        let app = drivers.app { $0.maximumBodySize = 100 }
        let task = app.task("t", options: .init(unique: .refuse)) { (text: String) in text }
        let error = await #expect(throws: CeleriacError.self) {
            try await task.delay(String(repeating: "x", count: 100))
        }
        #expect(error?.code == .tooLarge)
        #expect(drivers.published.isEmpty)
        #expect(drivers.owners.isEmpty)
    }

    @Test("Frees the lock of a unique call that was surely not sent, and keeps that of one that may have been")
    func locks() async throws {
        for isIndeterminate in [false, true] {
            let drivers = ScriptedDrivers(onPublish: { () throws(CeleriacError) in
                throw CeleriacError(.timedOut, "no confirm", isIndeterminate: isIndeterminate)
            })
            let task = drivers.app().task("t", options: .init(unique: .refuse)) { (x: Int) in x }
            let error = await #expect(throws: CeleriacError.self) { try await task.delay(1) }
            #expect(error?.code == .timedOut)
            #expect(drivers.owners.count == (isIndeterminate ? 1 : 0))
        }
    }

    @Test("Frees the lock of a call that was cancelled before it was sent")
    func cancelled() async throws {
        let began = AsyncStream<Void>.makeStream()
        let drivers = ScriptedDrivers(onPublish: { () throws(CeleriacError) in
            began.continuation.yield()
            while !Task.isCancelled { await Task.yield() }
            throw CeleriacError(.cancelled, "waiting for a connection")
        })
        let task = drivers.app().task("t", options: .init(unique: .refuse)) { (x: Int) in x }
        let sending = Task { try await task.delay(1) }
        for await _ in began.stream { break }
        #expect(drivers.owners.count == 1)
        sending.cancel()
        await #expect(throws: CeleriacError.self) { try await sending.value }
        #expect(drivers.owners.isEmpty)
    }

    @Test("Frees a lock that was taken without the caller hearing of it, unless the id is the caller's")
    func lostAnswer() async throws {
        for id in [nil, "mine"] as [TaskID?] {
            let drivers = ScriptedDrivers(onAcquire: { () throws(CeleriacError) in
                throw CeleriacError(.connectionLost, "no answer", isIndeterminate: true)
            })
            let task = drivers.app().task("t", options: .init(unique: .refuse)) { 1 }
            await #expect(throws: CeleriacError.self) { try await task.apply(options: .init(id: id)) }
            #expect(drivers.owners.count == (id == nil ? 0 : 1))
            #expect(drivers.published.isEmpty)
        }
    }

    @Test("A second equal call is refused or given the first one's handle; the same id passes")
    func conflicts() async throws {
        let drivers = ScriptedDrivers()
        let task = drivers.app().task("t", options: .init(unique: .refuse)) { (x: [String: Int]) in x }
        let first = try await task.delay(["a": 1, "b": 2])
        let error = await #expect(throws: CeleriacError.self) { try await task.delay(["b": 2, "a": 1]) }
        #expect(error?.code == .alreadyQueued)
        #expect(error?.conflict?.existing == first.id)
        let second = try await task.apply(["a": 1, "b": 2], options: .init(unique: .returnExisting))
        #expect(second.id == first.id)
        #expect(second.isExisting)
        #expect(drivers.published.count == 1)
        let repeated = try await task.apply(["a": 1, "b": 2], options: .init(id: first.id))
        #expect(repeated.id == first.id)
        #expect(!repeated.isExisting)
        try await task.delay(["a": 1, "b": 3])
        #expect(drivers.published.count == 3)
    }

    @Test("A unique call's expiry is left to the worker")
    func lockHeaders() async throws {
        let drivers = ScriptedDrivers()
        let app = drivers.app { $0.time = FixedTime() }
        let task = app.task("t", options: .init(expires: .seconds(50), unique: .init(lease: .seconds(10)))) { 1 }
        try await task.apply(options: .init(countdown: .seconds(20)))
        let message = try #require(drivers.published.first?.message)
        #expect(UniqueLock(headers: message.headers)?.lease == .seconds(10))
        #expect(UniqueLock(headers: message.headers)?.key == "celeriac-unique:t:[]{}")
        #expect(message.expiration == nil)
    }

    @Test(
        "A lease from the wire is bounded",
        arguments: [.int(0), .int(.min), .int(.max), .double(.nan), "x", nil] as [HeaderValue]
    )
    func hostileLease(_ value: HeaderValue) throws {
        let lock = try #require(UniqueLock(headers: ["x-celeriac-unique": "k", "x-celeriac-unique-lease-ms": value]))
        #expect(lock.lease >= .seconds(1))
        #expect(lock.lease <= .seconds(86_400 * 366 * 10))
    }
}

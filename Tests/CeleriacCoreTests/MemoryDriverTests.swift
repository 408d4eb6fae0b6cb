import CeleriacCore
import FoundationEssentials
import TestSupport
import Testing

/// What only the drivers in memory can show: time that a test moves, and their limits.
@Suite("Drivers in memory and their clock", .timeLimit(.minutes(1)))
struct MemoryDriverTests {
    @Test("A hundred thousand delayed messages take one sleeping task")
    func manyDelays() async throws {
        let time = ManualTimeSource()
        let broker = MemoryBroker(time: time)
        let queue = uniqueQueue()
        for index in 0..<100_000 {
            try await broker.publish(.text("m"), to: Route(to: queue), delay: .seconds(100 + index % 100))
        }
        try await time.sleepers()
        #expect(time.sleeperCount == 1)
        #expect(try await broker.depth(of: queue.name) == 0)
        time.advance(by: .seconds(149))
        try await eventually("half are released") { try await broker.depth(of: queue.name) == 50_000 }
        try await eventually("the next are awaited") { time.untilFirstWake == .seconds(1) }
        #expect(time.sleeperCount == 1)
        await broker.close(grace: .zero)
        try await eventually("nobody sleeps") { time.sleeperCount == 0 }
    }

    @Test("A delay earlier than the others is not overslept")
    func earlierDelay() async throws {
        let time = ManualTimeSource()
        let broker = MemoryBroker(time: time)
        let queue = uniqueQueue()
        try await broker.publish(.text("late"), to: Route(to: queue), delay: .seconds(60))
        try await eventually("the late one is awaited") { time.untilFirstWake == .seconds(60) }
        try await broker.publish(.text("soon"), to: Route(to: queue), delay: .seconds(5))
        try await eventually("the early one is awaited") { time.untilFirstWake == .seconds(5) }
        time.advance(by: .seconds(5))
        #expect(try await broker.take(from: queue.name).text == "soon")
        await broker.close(grace: .zero)
    }

    @Test("A broker that nobody holds any more leaves no sleeping task")
    func abandonedBroker() async throws {
        let time = ManualTimeSource()
        do {
            let broker = MemoryBroker(time: time)
            try await broker.publish(.text("never"), to: Route(to: uniqueQueue()), delay: .seconds(60))
            try await time.sleepers()
        }
        try await eventually("nobody sleeps") { time.sleeperCount == 0 }
    }

    @Test("A consumer that nobody holds any more does not keep its messages")
    func abandonedConsumer() async throws {
        let broker = MemoryBroker()
        let queue = uniqueQueue()
        do {
            let consumer = try await broker.consume([queue], prefetch: 1)
            try await broker.publish("a", to: queue)
            _ = try await consumer.take()
        }
        let other = try await broker.consume([queue], prefetch: 1)
        #expect(try await other.texts(1) == ["a"])
    }

    @Test("A broker in memory refuses what goes beyond its limit, and says so")
    func full() async throws {
        let broker = MemoryBroker(maximumOctets: 10_000)
        let queue = uniqueQueue()
        let error = await #expect(throws: CeleriacError.self) {
            for _ in 0..<100 { try await broker.publish("a", to: queue) }
        }
        #expect(error?.code == .refused)
        #expect(error?.message.contains("octets held") == true)
        #expect(try await broker.purge(queue.name) > 0)
        try await broker.publish("fits again", to: queue)
    }

    @Test("Single messages and purges ask for a queue that exists")
    func missingQueue() async throws {
        let broker = MemoryBroker()
        let get = await #expect(throws: CeleriacError.self) { try await broker.take(from: "nowhere") }
        #expect(get?.code == .notFound)
        let purge = await #expect(throws: CeleriacError.self) { try await broker.purge("nowhere") }
        #expect(purge?.code == .notFound)
    }

    @Test("A wait for a result ends when its time is up, not before")
    func resultTimeLimit() async throws {
        let time = ManualTimeSource()
        let backend = MemoryResultBackend(time: time)
        let (slow, quick) = (uniqueTask(), uniqueTask())
        let slowWait = Task { try await backend.outcome(of: slow, within: .seconds(60)) }
        let quickWait = Task { try await backend.outcome(of: quick, within: .seconds(5)) }
        try await eventually("the shorter wait is timed") { time.untilFirstWake == .seconds(5) }
        time.advance(by: .seconds(5))
        let error = await #expect(throws: CeleriacError.self) { try await quickWait.value }
        #expect(error?.code == .timedOut)
        try await backend.store(.success(slow), ttl: .seconds(60), within: .seconds(1))
        #expect(try await slowWait.value.state == .success)
        await backend.close()
    }

    @Test("A result without a time limit to wait is told at once or not at all")
    func noWait() async throws {
        let backend = MemoryResultBackend()
        let task = uniqueTask()
        let error = await #expect(throws: CeleriacError.self) { try await backend.outcome(of: task, within: .zero) }
        #expect(error?.code == .timedOut)
        try await backend.store(.success(task), ttl: .seconds(60), within: .seconds(1))
        #expect(try await backend.outcome(of: task, within: .zero).state == .success)
    }

    @Test("Records end with their time to live and make room for others")
    func resultExpiry() async throws {
        let time = ManualTimeSource()
        let backend = MemoryResultBackend(maximumOctets: 10_000, time: time)
        let first = uniqueTask()
        try await backend.store(.success(first), ttl: .seconds(10), within: .seconds(1))
        let error = await #expect(throws: CeleriacError.self) {
            for _ in 0..<100 { try await backend.store(.success(uniqueTask()), ttl: .seconds(10), within: .seconds(1)) }
        }
        #expect(error?.code == .refused)
        time.advance(by: .seconds(9))
        #expect(try await backend.record(of: first) != nil)
        time.advance(by: .seconds(1))
        #expect(try await backend.record(of: first) == nil)
        #expect(try await backend.store(.success(uniqueTask()), ttl: .seconds(10), within: .seconds(1)))
    }

    @Test("A record stored again lives for its new time")
    func renewedRecord() async throws {
        let time = ManualTimeSource()
        let backend = MemoryResultBackend(time: time)
        let task = uniqueTask()
        try await backend.store(.started(task), ttl: .seconds(10), within: .seconds(1))
        time.advance(by: .seconds(8))
        try await backend.store(.started(task), ttl: .seconds(10), within: .seconds(1))
        time.advance(by: .seconds(8))
        try await backend.store(.started(uniqueTask()), ttl: .seconds(10), within: .seconds(1))
        #expect(try await backend.record(of: task) != nil)
    }

    @Test("Leases end by the clock alone")
    func leases() async throws {
        let time = ManualTimeSource()
        let locks = MemoryLockStore(time: time)
        guard case .acquired(let first) = try await locks.acquire("k", owner: "a", lease: .seconds(10)) else {
            Issue.record("a free lock was not given")
            return
        }
        time.advance(by: .seconds(6))
        #expect(try await locks.renew("k", owner: "a", lease: .seconds(10)))
        time.advance(by: .seconds(6))
        #expect(try await locks.acquire("k", owner: "b", lease: .seconds(10)) == .held(by: "a", remaining: .seconds(4)))
        time.advance(by: .seconds(4))
        #expect(try await locks.acquire("k", owner: "b", lease: .seconds(10)) == .acquired(fence: first + 1))
        for key in 0..<1000 { _ = try await locks.acquire("\(key)", owner: "a", lease: .seconds(1)) }
        #expect(try await locks.renew("k", owner: "b", lease: .seconds(10)))
    }

    @Test("A leader whose lease ended may claim nothing")
    func leadership() async throws {
        let time = ManualTimeSource()
        let store = MemoryScheduleStore(time: time)
        #expect(try await store.lead("s", as: "a", lease: .seconds(10)))
        time.advance(by: .seconds(10))
        #expect(try await store.claim(time.now, of: "e", in: "s", as: "a") == .notLeader)
        #expect(try await store.lead("s", as: "b", lease: .seconds(10)))
        #expect(try await store.claim(time.now, of: "e", in: "s", as: "b") == .granted)
    }

    @Test("Nobody is listened to any more once a loop over results was left, has ended or was cancelled")
    func noListenersLeft() async throws {
        let backend = MemoryResultBackend()
        let app = TaskApp("test", configuration: Configuration()) { _ in
            Drivers(broker: MemoryBroker(), results: backend, locks: MemoryLockStore(), schedule: MemoryScheduleStore())
        }
        let handles = (0..<1000).map { _ in app.handle(uniqueTask()) }
        for handle in handles {
            try await backend.store(.success(handle.id), ttl: .zero + .seconds(60), within: .seconds(20))
        }
        for try await _ in app.results(of: handles, within: .seconds(20)) { break }
        #expect(backend.listenedCount == 0)
        for try await _ in app.results(of: handles, within: .seconds(20)) {}
        #expect(backend.listenedCount == 0)

        let waiting = app.handle(uniqueTask())
        let wait = Task { for try await _ in app.results(of: [waiting], within: .seconds(20)) {} }
        try await eventually("somebody listens") { backend.listenedCount == 1 }
        wait.cancel()
        _ = await wait.result
        #expect(backend.listenedCount == 0)
    }
}

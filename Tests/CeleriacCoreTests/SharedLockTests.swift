import FoundationEssentials
import Synchronization
import TestSupport
import Testing

@testable import CeleriacCore

@Suite("Locks of programs", .timeLimit(.minutes(1))) struct SharedLockTests {
    private func app(_ time: any TimeSource = SystemTimeSource(), _ locks: (any LockStore)? = nil) -> TaskApp {
        TaskApp("test", configuration: Configuration(time: time)) { configuration in
            Drivers(
                broker: MemoryBroker(time: configuration.time),
                results: MemoryResultBackend(time: configuration.time),
                locks: locks ?? MemoryLockStore(time: configuration.time),
                schedule: MemoryScheduleStore(time: configuration.time)
            )
        }
    }

    /// A store that renews until the test has it stop, or fail.
    private final class Fickle: LockStore {
        enum Mood: Sendable { case good, gone, away }
        let mood = Mutex(Mood.good)
        let renewals = Atomic(0)
        private let store: MemoryLockStore

        init(_ time: any TimeSource) { store = MemoryLockStore(time: time) }

        func acquire(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> LockOutcome {
            try await store.acquire(key, owner: owner, lease: lease)
        }
        func renew(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
            renewals.add(1, ordering: .relaxed)
            switch mood.withLock({ $0 }) {
            case .good: return try await store.renew(key, owner: owner, lease: lease)
            case .gone: return false
            case .away: throw CeleriacError(.connectionLost, "away")
            }
        }
        func release(_ key: String, owner: String) async throws(CeleriacError) -> Bool {
            try await store.release(key, owner: owner)
        }
    }

    private final class Tally: Sendable {
        let inside = Atomic(0)
        let fences = Mutex<[UInt64]>([])
        let end = Mutex<Date?>(nil)
    }

    @Test("Many who want the lock have it one at a time, with growing fences")
    func exclusive() async throws {
        let app = app()
        let tally = Tally()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    try await app.lock("shared").withLock(within: .seconds(30)) { hold in
                        #expect(tally.inside.add(1, ordering: .sequentiallyConsistent).newValue == 1)
                        #expect(hold.isValid)
                        await Task.yield()
                        tally.fences.withLock { $0.append(hold.fence) }
                        tally.inside.subtract(1, ordering: .sequentiallyConsistent)
                    }
                }
            }
            try await group.waitForAll()
        }
        let all = tally.fences.withLock { $0 }
        #expect(all.count == 20 && all == all.sorted() && Set(all).count == 20)
    }

    @Test("Waiting ends in time, and is not begun with no time at all", arguments: [Duration.zero, .milliseconds(30)])
    func timeout(_ timeout: Duration) async throws {
        let app = app()
        try await app.lock("a").withLock(within: .zero) { _ in
            let error = await #expect(throws: CeleriacError.self) {
                try await app.lock("a").withLock(within: timeout) { _ in Issue.record("two have the lock") }
            }
            #expect(error?.code == .timedOut)
        }
        try await app.lock("a").withLock(within: .zero) { _ in }
    }

    @Test("The lock is free after an error and after cancellation")
    func freed() async throws {
        struct Boom: Error {}
        let app = app()
        await #expect(throws: Boom.self) { try await app.lock("a").withLock(within: .zero) { _ in throw Boom() } }
        let began = AsyncStream<Void>.makeStream()
        let work = Task {
            try await app.lock("a").withLock(within: .zero) { _ in
                began.continuation.yield()
                try await Task.sleep(for: .seconds(600))
            }
        }
        for await _ in began.stream { break }
        let waiter = Task { try await app.lock("a").withLock(within: .seconds(600)) { _ in } }
        waiter.cancel()
        let error = await #expect(throws: CeleriacError.self) { try await waiter.value }
        #expect(error?.code == .cancelled)
        work.cancel()
        await #expect(throws: CancellationError.self) { try await work.value }
        #expect(try await app.lock("a").withLock(within: .zero) { _ in 1 } == 1)
    }

    @Test("A lock that is lost cancels the body, and the caller hears of it")
    func lost() async throws {
        let time = ManualTimeSource()
        let store = Fickle(time)
        let work = Task { [app = app(time, store)] in
            try await app.lock("a", lease: .seconds(30)).withLock(within: .zero) { hold in
                _ = try? await Task.sleep(for: .seconds(600))
                #expect(!hold.isValid)
            }
        }
        try await advance(time) { store.renewals.load(ordering: .relaxed) > 0 }
        store.mood.withLock { $0 = .gone }
        let tally = Tally()
        async let watch: Void = {
            let error = await #expect(throws: CeleriacError.self) { try await work.value }
            #expect(error?.code == .lockLost)
            tally.end.withLock { $0 = time.now }
        }()
        try await advance(time) { tally.end.withLock { $0 != nil } }
        await watch
    }

    /// Moves the clock in small steps, letting others run in between.
    private func advance(_ time: ManualTimeSource, until condition: () -> Bool) async throws {
        try await eventually {
            if time.sleeperCount > 0 { time.advance(by: .milliseconds(500)) }
            return condition()
        }
    }

    @Test("A lock that cannot be renewed counts as lost before its lease ends")
    func unreachable() async throws {
        let time = ManualTimeSource()
        let store = Fickle(time)
        store.mood.withLock { $0 = .away }
        let work = Task { [app = app(time, store)] in
            try await app.lock("a", lease: .seconds(30)).withLock(within: .zero) { _ in
                _ = try? await Task.sleep(for: .seconds(600))
            }
        }
        try await time.sleepers(1)
        let begin = time.now
        let tally = Tally()
        async let watch: Void = {
            let error = await #expect(throws: CeleriacError.self) { try await work.value }
            #expect(error?.code == .lockLost)
            tally.end.withLock { $0 = time.now }
        }()
        try await advance(time) { tally.end.withLock { $0 != nil } }
        await watch
        #expect(try #require(tally.end.withLock { $0 }).timeIntervalSince(begin) > 10)
    }

    @Test("Waits grow, are spread, and never outlast the lease or the time given")
    func waits() {
        var wait = LockWait()
        let long = Duration.seconds(60)
        #expect(wait.next(remaining: long, left: long, random: 0) == .milliseconds(5))
        #expect(wait.next(remaining: long, left: long, random: 1) == .milliseconds(20))
        for _ in 0..<10 { _ = wait.next(remaining: long, left: long, random: 0.5) }
        #expect(wait.next(remaining: long, left: long, random: 1) == .milliseconds(500))
        #expect(wait.next(remaining: .milliseconds(3), left: long, random: 1) == .milliseconds(3))
        #expect(wait.next(remaining: .zero, left: long, random: 1) == .milliseconds(1))
        #expect(wait.next(remaining: long, left: .milliseconds(7), random: 1) == .milliseconds(7))
        #expect(wait.next(remaining: long, left: .zero, random: 1) == nil)
    }
}

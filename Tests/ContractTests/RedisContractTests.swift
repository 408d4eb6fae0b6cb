import CeleriacCore
import CeleriacRedis
import Redis
import TestSupport
import Testing

/// What its result backend can do.
private let abilities = ResultAbilities.all

@Suite(
    "Stores on Redis",
    .tags(.integration),
    .enabled(if: TestServer.redis != nil, "set REDIS_URL"),
    .timeLimit(.minutes(2))
)
struct RedisContractTests {
    private func stores() throws -> RedisStores {
        try RedisStores(ServerURL(TestServer.require(.redis)), clientName: "contract")
    }

    @Test("The result backend honours its contract", arguments: ResultBackendContract.within(abilities))
    func resultBackend(_ clause: ResultBackendContract) async throws {
        try await clause.verify { try stores().results }
    }

    @Test(
        "The result backend honours its contract with compressed results",
        arguments: ResultBackendContract.within(abilities)
    )
    func compressedResults(_ clause: ResultBackendContract) async throws {
        let url = try TestServer.require(.redis)
        try await clause.verify {
            try RedisStores(ServerURL(url), clientName: "contract", compression: .zlib(from: 0)).results
        }
    }

    @Test("The result backend has all abilities")
    func ableTo() throws {
        #expect(try stores().results.abilities == abilities)
        #expect(ResultBackendContract.beyond(abilities) == [.callsMadeElsewhere])
    }

    @Test("Listening takes one connection, and a loop that is cancelled leaves its channels")
    func channels() async throws {
        let url = try TestServer.require(.redis)
        let results = try RedisStores(ServerURL(url), clientName: uniqueName("listener")).results
        let client = RedisClient(RedisConfiguration(try RedisURL(url)))
        let app = TaskApp("contract", configuration: Configuration()) { _ in
            Drivers(broker: MemoryBroker(), results: results, locks: MemoryLockStore(), schedule: MemoryScheduleStore())
        }
        let handles = (0..<1000).map { _ in app.handle(uniqueTask()) }
        func listened() async throws -> Int {
            let names = handles.map { "celery-task-meta-\($0.id)" }
            let reply = try await client.send(RedisCommand("PUBSUB", arguments: ["NUMSUB"] + names))
            return reply.array?.compactMap(\.integer).reduce(0, +) ?? 0
        }
        let wait = Task { for try await _ in app.results(of: handles, within: .seconds(60)) {} }
        try await eventually("all are listened to") { try await listened() == 1000 }
        wait.cancel()
        _ = await wait.result
        try await eventually("none is listened to") { try await listened() == 0 }
        await client.close()
        await results.close()
    }

    @Test("The lock store honours its contract", arguments: LockStoreContract.allCases)
    func lockStore(_ clause: LockStoreContract) async throws {
        try await clause.verify { try stores().locks }
    }

    @Test("No lock has two owners, and fences grow, whatever happens to owners and answers")
    func lockHistories() async throws {
        let store = try stores().locks
        try await inParallel(300) { try await LockHistory(seed: $0).verify(store) }
    }

    @Test("No accepted call is lost by joining another, whatever crashes")
    func uniqueHistories() async throws {
        let store = try stores().locks
        try await inParallel(300) { try await UniqueHistory(seed: $0).verify(store) }
    }

    @Test("The limit store honours its contract", arguments: LimitStoreContract.allCases)
    func limitStore(_ clause: LimitStoreContract) async throws {
        try await clause.verify { try stores().limits }
    }

    @Test("No rate is exceeded and no turn lost, whatever calls come late, crash or ask again")
    func rateHistories() async throws {
        let store = try stores().limits
        try await inParallel(400) { seed in
            var history = RateHistory(seed: seed, clock: .real(), interval: .milliseconds(4))
            try await history.play(store)
        }
    }

    @Test("No place has two owners and none leaks, whatever runs crash or ask again")
    func placeHistories() async throws {
        let store = try stores().limits
        try await inParallel(400) { seed in
            var history = PlaceHistory(seed: seed, clock: .real(), lease: .milliseconds(30))
            try await history.play(store)
        }
    }

    /// Plays histories by seed, some at a time.
    private func inParallel(_ count: UInt64, _ play: @escaping @Sendable (UInt64) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seed in 0..<count {
                if seed >= 16 { try await group.next() }
                group.addTask { try await play(seed) }
            }
            try await group.waitForAll()
        }
    }

    @Test("Every key that a lock leaves behind has an end")
    func ends() async throws {
        let url = try TestServer.require(.redis)
        let client = RedisClient(RedisConfiguration(try RedisURL(url)))
        let store = try stores().locks
        let key = uniqueName("lock")
        _ = try await store.acquire(key, owner: "a", lease: .seconds(60))
        _ = try await store.reserve(key + ":1", owner: "a", lease: .seconds(60), offer: CallOffer(arguments: [1]))
        _ = try await store.confirm(key + ":1", owner: "a", lease: .seconds(60))
        _ = try await store.reserve(key + ":1", owner: "b", lease: .seconds(60), offer: CallOffer(arguments: [2]))
        _ = try await store.start(key + ":1", as: key + ":2", owner: "a", lease: .seconds(60))
        _ = try await store.acquire("qo_" + key, owner: "a", lease: .seconds(60))
        for name in [key, key + ":2", "qo_" + key, "celeriac-locks:fence"] {
            #expect(try #require(try await client.send(RedisCommand("PTTL", name)).integer) > 0, "\(name)")
        }
        #expect(try await client.send(RedisCommand("EXISTS", key + ":1")).integer == 0)
        await client.close()
    }

    @Test("A lock of celery-once is a string, held by whoever wrote it, and nothing else is taken for a lock")
    func foreign() async throws {
        let client = RedisClient(RedisConfiguration(try RedisURL(try TestServer.require(.redis))))
        let store = try stores().locks
        let key = uniqueName("qo_")
        _ = try await client.send(RedisCommand("SET", key, "token", "PX", 60_000))
        guard case .held("token", let remaining) = try await store.acquire(key, owner: "a", lease: .seconds(9)) else {
            Issue.record("took a lock that Python holds")
            return
        }
        #expect(remaining > .seconds(30))
        #expect(try await store.locks(matching: key, limit: 1).first?.owner == "token")
        #expect(try await store.release(key, owner: "a") == false)
        #expect(try await store.clear(key))
        #expect(try await store.acquire(key, owner: "a", lease: .seconds(9)) == .acquired(fence: 0))
        #expect(try await client.send(RedisCommand("GET", key)).string == "a")
        #expect(try await store.renew(key, owner: "a", lease: .seconds(90)))
        #expect(try #require(try await client.send(RedisCommand("PTTL", key)).integer) > 30_000)
        #expect(try await store.release(key, owner: "a"))
        let other = uniqueName("other")
        _ = try await client.send(RedisCommand("SET", other, "x", "PX", 60_000))
        #expect(try await store.locks(matching: other, limit: 1).isEmpty)
        #expect(try await store.clear(other) == false)
        await client.close()
    }

    @Test("Every key of a limit has a time to live")
    func limitKeysEnd() async throws {
        let store = try stores().limits
        let key = uniqueName("ttl")
        for algorithm in [RateLimit.Algorithm.tokenBucket, .slidingWindow] {
            for owner in ["a", "b", "c"] {
                let key = "\(key)-\(algorithm)"
                let request = RateRequest(key: key, rate: "1/m", algorithm: algorithm, owner: owner, run: "run")
                _ = try await store.take(request, within: .seconds(20))
                if owner == "c" { _ = try await store.pause(request, for: .seconds(5), within: .seconds(20)) }
            }
        }
        for owner in ["a", "b", "c"] {
            _ = try await store.acquire(key, owner: owner, count: 2, lease: .seconds(30), within: .seconds(20))
        }
        try await store.release(key, owner: "a", within: .seconds(20))
        let client = RedisClient(RedisConfiguration(try RedisURL(TestServer.require(.redis))))
        let keys = try await client.send(RedisCommand("KEYS", "celeriac-*:\(key)*")).array?.compactMap(\.string) ?? []
        #expect(keys.count == 2 + 6 + 3, "\(keys)")
        for key in keys {
            let remaining = try #require(try await client.send(RedisCommand("PTTL", key)).integer)
            #expect(remaining > 0 && remaining < 600_000, "\(key)")
        }
        await client.close()
    }

    @Test("The schedule store honours its contract", arguments: ScheduleStoreContract.allCases)
    func scheduleStore(_ clause: ScheduleStoreContract) async throws {
        try await clause.verify { try stores().schedule }
    }
}

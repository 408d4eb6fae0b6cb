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

    @Test("The limit store honours its contract", arguments: LimitStoreContract.allCases)
    func limitStore(_ clause: LimitStoreContract) async throws {
        try await clause.verify { try stores().limits }
    }

    @Test("The schedule store honours its contract", arguments: ScheduleStoreContract.allCases)
    func scheduleStore(_ clause: ScheduleStoreContract) async throws {
        try await clause.verify { try stores().schedule }
    }
}

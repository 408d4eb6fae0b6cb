import CeleriacCore
import CeleriacRedis
import TestSupport
import Testing

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

    @Test("The result backend honours its contract", arguments: ResultBackendContract.allCases)
    func resultBackend(_ clause: ResultBackendContract) async throws {
        try await clause.verify { try stores().results }
    }

    @Test("No result goes backwards, whatever runs, crashes and late writes a call has seen")
    func histories() async throws {
        let backend = try stores().results
        for seed in 0..<150 { try await ResultHistory(seed: UInt64(seed)).verify(backend) }
        await backend.close()
    }

    @Test("The lock store honours its contract", arguments: LockStoreContract.allCases)
    func lockStore(_ clause: LockStoreContract) async throws {
        try await clause.verify { try stores().locks }
    }

    @Test("The schedule store honours its contract", arguments: ScheduleStoreContract.allCases)
    func scheduleStore(_ clause: ScheduleStoreContract) async throws {
        try await clause.verify { try stores().schedule }
    }
}

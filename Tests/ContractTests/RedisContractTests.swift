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

    @Test("The lock store honours its contract", arguments: LockStoreContract.allCases)
    func lockStore(_ clause: LockStoreContract) async throws {
        try await clause.verify { try stores().locks }
    }

    @Test("The schedule store honours its contract", arguments: ScheduleStoreContract.allCases)
    func scheduleStore(_ clause: ScheduleStoreContract) async throws {
        try await clause.verify { try stores().schedule }
    }
}

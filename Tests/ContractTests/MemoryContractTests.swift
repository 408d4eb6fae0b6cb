import CeleriacCore
import TestSupport
import Testing

@Suite("Drivers in memory", .timeLimit(.minutes(1)))
struct MemoryContractTests {
    @Test("The broker honours its contract", arguments: BrokerContract.allCases)
    func broker(_ clause: BrokerContract) async throws {
        try await clause.verify { MemoryBroker() }
    }

    @Test("The result backend honours its contract", arguments: ResultBackendContract.allCases)
    func resultBackend(_ clause: ResultBackendContract) async throws {
        try await clause.verify { MemoryResultBackend() }
    }

    @Test("No result goes backwards, whatever runs, crashes and late writes a call has seen")
    func histories() async throws {
        let time = ManualTimeSource()
        let backend = MemoryResultBackend(time: time)
        for seed in 0..<3000 {
            try await ResultHistory(seed: UInt64(seed)).verify(backend) { time.advance(by: .seconds(61)) }
        }
        await backend.close()
    }

    @Test("The lock store honours its contract", arguments: LockStoreContract.allCases)
    func lockStore(_ clause: LockStoreContract) async throws {
        try await clause.verify { MemoryLockStore() }
    }

    @Test("No lock has two owners or outlasts its lease, and fences grow, whatever happens to owners and answers")
    func lockHistories() async throws {
        let time = ManualTimeSource()
        let store = MemoryLockStore(time: time)
        for seed in 0..<4000 {
            try await LockHistory(seed: UInt64(seed)).verify(store) { time.advance(by: $0) }
        }
    }

    @Test("No accepted call is lost by joining another, whatever crashes")
    func uniqueHistories() async throws {
        let time = ManualTimeSource()
        let store = MemoryLockStore(time: time)
        for seed in 0..<4000 {
            try await UniqueHistory(seed: UInt64(seed)).verify(store) { time.advance(by: .seconds(601)) }
        }
    }

    @Test("The schedule store honours its contract", arguments: ScheduleStoreContract.allCases)
    func scheduleStore(_ clause: ScheduleStoreContract) async throws {
        try await clause.verify { MemoryScheduleStore() }
    }
}

import CeleriacCore
import TestSupport
import Testing

/// What its result backend can do.
private let abilities: ResultAbilities = [.anyCall, .immediate]

@Suite("Drivers in memory", .timeLimit(.minutes(1)))
struct MemoryContractTests {
    @Test("The broker honours its contract", arguments: BrokerContract.allCases)
    func broker(_ clause: BrokerContract) async throws {
        try await clause.verify { MemoryBroker() }
    }

    @Test("The result backend honours its contract", arguments: ResultBackendContract.within(abilities))
    func resultBackend(_ clause: ResultBackendContract) async throws {
        try await clause.verify { MemoryResultBackend() }
    }

    @Test("The result backend serves one process")
    func ableTo() {
        #expect(MemoryResultBackend().abilities == abilities)
        #expect(ResultBackendContract.beyond(abilities) == [.otherProcesses, .callsMadeElsewhere])
    }

    @Test("The lock store honours its contract", arguments: LockStoreContract.allCases)
    func lockStore(_ clause: LockStoreContract) async throws {
        try await clause.verify { MemoryLockStore() }
    }

    @Test("No lock has two owners or outlasts its lease, and fences grow, whatever happens to owners and answers")
    func lockHistories() async throws {
        let time = ManualTimeSource()
        let store = MemoryLockStore(time: time)
        for seed in 0..<2000 {
            try await LockHistory(seed: UInt64(seed)).verify(store) { time.advance(by: $0) }
        }
    }

    @Test("No accepted call is lost by joining another, whatever crashes")
    func uniqueHistories() async throws {
        let time = ManualTimeSource()
        let store = MemoryLockStore(time: time)
        for seed in 0..<2000 {
            try await UniqueHistory(seed: UInt64(seed)).verify(store) { time.advance(by: .seconds(601)) }
        }
    }

    @Test("The limit store honours its contract", arguments: LimitStoreContract.allCases)
    func limitStore(_ clause: LimitStoreContract) async throws {
        try await clause.verify { MemoryLimitStore() }
    }

    @Test("No rate is exceeded and no turn lost, whatever calls come late, crash or ask again")
    func rateHistories() async throws {
        let time = ManualTimeSource()
        let store = MemoryLimitStore(time: time)
        for seed in 0..<3000 {
            var history = RateHistory(seed: UInt64(seed), clock: .manual(time), interval: .seconds(20))
            try await history.play(store)
        }
    }

    @Test("No place has two owners and none leaks, whatever runs crash or ask again")
    func placeHistories() async throws {
        let time = ManualTimeSource()
        let store = MemoryLimitStore(time: time)
        for seed in 0..<5000 {
            var history = PlaceHistory(seed: UInt64(seed), clock: .manual(time), lease: .seconds(30))
            try await history.play(store)
        }
    }

    @Test("The schedule store honours its contract", arguments: ScheduleStoreContract.allCases)
    func scheduleStore(_ clause: ScheduleStoreContract) async throws {
        try await clause.verify { MemoryScheduleStore() }
    }
}

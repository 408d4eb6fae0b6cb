import CeleriacCore
import FoundationEssentials
import Synchronization

/// One beat's way to the store, which a test can cut.
final class StoreLink: ScheduleStore {
    private let store: any ScheduleStore
    private let isCut = Mutex(false)

    init(_ store: any ScheduleStore) { self.store = store }

    func cut(_ isCut: Bool = true) { self.isCut.withLock { $0 = isCut } }

    private func pass() throws(CeleriacError) {
        if isCut.withLock({ $0 }) { throw CeleriacError(.unavailable, "the link is cut") }
    }

    func lead(_ schedule: String, as owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
        try pass()
        return try await store.lead(schedule, as: owner, lease: lease)
    }

    func resign(_ schedule: String, as owner: String) async throws(CeleriacError) {
        try pass()
        try await store.resign(schedule, as: owner)
    }

    func claim(
        _ slot: Date,
        of entry: String,
        in schedule: String,
        as owner: String
    ) async throws(CeleriacError) -> SlotClaim {
        try pass()
        return try await store.claim(slot, of: entry, in: schedule, as: owner)
    }

    func markSent(_ slot: Date, of entry: String, in schedule: String) async throws(CeleriacError) {
        try pass()
        try await store.markSent(slot, of: entry, in: schedule)
    }

    func lastSlot(
        of entry: String,
        in schedule: String
    ) async throws(CeleriacError) -> (slot: Date, isSent: Bool)? {
        try pass()
        return try await store.lastSlot(of: entry, in: schedule)
    }
}

/// What was emitted, by whom.
final class Emissions: Sendable {
    struct Emission: Hashable {
        let entry: String
        let slot: Date
        let id: TaskID
        let beat: String
    }

    private let all = Mutex<[Emission]>([])

    func record(_ entry: String, _ slot: Date, _ id: TaskID, by beat: String = "") {
        all.withLock { $0.append(Emission(entry: entry, slot: slot, id: id, beat: beat)) }
    }

    func of(_ entry: String) -> [Emission] { all.withLock { $0.filter { $0.entry == entry } } }
}

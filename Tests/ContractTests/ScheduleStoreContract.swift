import CeleriacCore
import FoundationEssentials
import TestSupport
import Testing

/// What every schedule store must do, whatever is behind it.
enum ScheduleStoreContract: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case oneLeader = "Lets one beat lead"
    case renewal = "Renews the leader's lease"
    case lapse = "Lets another lead when the lease ends"
    case resignation = "Lets another lead when the leader resigns"
    case foreignResignation = "Ignores that somebody else resigns"
    case claim = "Grants a slot once"
    case claimWithoutLead = "Grants nothing to those who do not lead"
    case forward = "Moves slots only forward"
    case sent = "Remembers that a slot was sent"
    case staleSent = "Marks no other slot than the claimed one"
    case lastSlot = "Tells the latest slot"
    case takeover = "Keeps slots when the leader changes"
    case apart = "Keeps entries and schedules apart"
    case concurrentClaims = "Grants a slot to one of many claims"

    var testDescription: String { rawValue }

    private static let minute = Duration.seconds(60)
    private static let first = Date(timeIntervalSince1970: 1_800_000_000)
    private static let second = Date(timeIntervalSince1970: 1_800_000_030)

    /// Checks the clause against a new store.
    func verify(_ make: () async throws -> any ScheduleStore) async throws {
        let store = try await make()
        let schedule = uniqueName("schedule")
        switch self {
        case .oneLeader, .renewal, .lapse, .resignation, .foreignResignation:
            try await checkLeading(store, schedule)
        case .claim, .claimWithoutLead, .forward, .sent, .staleSent, .lastSlot, .takeover, .apart, .concurrentClaims:
            try await checkClaiming(store, schedule)
        }
    }

    private func checkLeading(_ store: any ScheduleStore, _ schedule: String) async throws {
        switch self {
        case .renewal:
            #expect(try await store.lead(schedule, as: "a", lease: .seconds(5)))
            #expect(try await store.lead(schedule, as: "a", lease: Self.minute))
        case .lapse:
            #expect(try await store.lead(schedule, as: "a", lease: .milliseconds(100)))
            try await eventually("the lease has ended") {
                try await store.lead(schedule, as: "b", lease: Self.minute)
            }
            #expect(try await store.lead(schedule, as: "a", lease: Self.minute) == false)
        case .resignation:
            #expect(try await store.lead(schedule, as: "a", lease: Self.minute))
            try await store.resign(schedule, as: "a")
            #expect(try await store.lead(schedule, as: "b", lease: Self.minute))
        case .foreignResignation:
            #expect(try await store.lead(schedule, as: "a", lease: Self.minute))
            try await store.resign(schedule, as: "b")
            #expect(try await store.lead(schedule, as: "b", lease: Self.minute) == false)
        default:
            #expect(try await store.lead(schedule, as: "a", lease: Self.minute))
            #expect(try await store.lead(schedule, as: "b", lease: Self.minute) == false)
        }
    }

    private func checkClaiming(_ store: any ScheduleStore, _ schedule: String) async throws {
        let (first, second) = (Self.first, Self.second)
        func claim(_ slot: Date, of entry: String = "entry", as owner: String = "a") async throws -> SlotClaim {
            try await store.claim(slot, of: entry, in: schedule, as: owner)
        }
        if self != .claimWithoutLead { #expect(try await store.lead(schedule, as: "a", lease: Self.minute)) }
        switch self {
        case .claimWithoutLead:
            #expect(try await claim(first) == .notLeader)
            #expect(try await store.lead(schedule, as: "b", lease: Self.minute))
            #expect(try await claim(first) == .notLeader)
            #expect(try await store.lastSlot(of: "entry", in: schedule) == nil)
        case .forward:
            #expect(try await claim(second) == .granted)
            #expect(try await claim(first).isTaken)
            #expect(try await store.lastSlot(of: "entry", in: schedule)?.slot == second)
        case .sent:
            #expect(try await claim(first) == .granted)
            try await store.markSent(first, of: "entry", in: schedule)
            #expect(try await claim(first) == .taken(isSent: true))
            #expect(try await claim(second) == .granted)
            #expect(try await claim(second) == .taken(isSent: false))
        case .staleSent:
            #expect(try await claim(second) == .granted)
            try await store.markSent(first, of: "entry", in: schedule)
            #expect(try await claim(second) == .taken(isSent: false))
        case .lastSlot:
            #expect(try await store.lastSlot(of: "entry", in: schedule) == nil)
            _ = try await claim(first)
            var last = try #require(try await store.lastSlot(of: "entry", in: schedule))
            #expect(last.slot == first && !last.isSent)
            try await store.markSent(first, of: "entry", in: schedule)
            last = try #require(try await store.lastSlot(of: "entry", in: schedule))
            #expect(last.slot == first && last.isSent)
        case .takeover:
            #expect(try await claim(first) == .granted)
            try await store.resign(schedule, as: "a")
            #expect(try await store.lead(schedule, as: "b", lease: Self.minute))
            #expect(try await claim(second) == .notLeader)
            #expect(try await claim(first, as: "b") == .taken(isSent: false))
            #expect(try await claim(second, as: "b") == .granted)
        case .apart:
            let other = uniqueName("schedule")
            #expect(try await store.lead(other, as: "b", lease: Self.minute))
            #expect(try await claim(first) == .granted)
            #expect(try await claim(first, of: "another") == .granted)
            #expect(try await store.claim(first, of: "entry", in: other, as: "b") == .granted)
        case .concurrentClaims:
            let granted = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<20 {
                    group.addTask { try await store.claim(first, of: "entry", in: schedule, as: "a") == .granted }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(granted == 1)
        default:
            #expect(try await claim(first) == .granted)
            #expect(try await claim(first) == .taken(isSent: false))
        }
    }
}

extension SlotClaim {
    fileprivate var isTaken: Bool { if case .taken = self { true } else { false } }
}

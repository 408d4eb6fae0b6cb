import CeleriacCore
import TestSupport
import Testing

/// What every lock store must do, whatever is behind it.
enum LockStoreContract: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case free = "Gives a free lock"
    case held = "Tells who holds a lock, and how long at most"
    case reentrant = "Renews a lock that its owner acquires again"
    case release = "Frees a lock that its owner releases"
    case foreignRelease = "Keeps a lock that somebody else releases"
    case lease = "Frees a lock when its lease ends"
    case renew = "Prolongs a lease"
    case foreignRenew = "Renews for nobody but the owner"
    case fence = "Grows the fence with every change of owner"
    case contention = "Gives a lock to one of many"
    case independent = "Keeps keys apart"

    var testDescription: String { rawValue }

    /// Checks the clause against a new store.
    func verify(_ make: () async throws -> any LockStore) async throws {
        let store = try await make()
        let key = uniqueName("lock")
        let minute = Duration.seconds(60)
        switch self {
        case .free:
            #expect(try await store.acquire(key, owner: "a", lease: minute).fence != nil)
        case .held:
            _ = try await store.acquire(key, owner: "a", lease: minute)
            guard case .held(let owner, let remaining) = try await store.acquire(key, owner: "b", lease: minute) else {
                Issue.record("two owners have the lock")
                return
            }
            #expect(owner == "a")
            #expect(remaining > .zero && remaining <= minute)
        case .reentrant:
            let first = try await store.acquire(key, owner: "a", lease: minute)
            #expect(try await store.acquire(key, owner: "a", lease: minute) == first)
        case .release:
            _ = try await store.acquire(key, owner: "a", lease: minute)
            #expect(try await store.release(key, owner: "a"))
            #expect(try await store.release(key, owner: "a") == false)
            #expect(try await store.acquire(key, owner: "b", lease: minute).fence != nil)
        case .foreignRelease:
            _ = try await store.acquire(key, owner: "a", lease: minute)
            #expect(try await store.release(key, owner: "b") == false)
            #expect(try await store.acquire(key, owner: "b", lease: minute).fence == nil)
        case .lease:
            _ = try await store.acquire(key, owner: "a", lease: .milliseconds(100))
            try await eventually("the lease has ended") {
                try await store.acquire(key, owner: "b", lease: minute).fence != nil
            }
            #expect(try await store.renew(key, owner: "a", lease: minute) == false)
            #expect(try await store.release(key, owner: "a") == false)
        case .renew:
            _ = try await store.acquire(key, owner: "a", lease: .seconds(5))
            #expect(try await store.renew(key, owner: "a", lease: .seconds(600)))
            guard case .held(_, let remaining) = try await store.acquire(key, owner: "b", lease: minute) else {
                Issue.record("two owners have the lock")
                return
            }
            #expect(remaining > .seconds(60))
        case .foreignRenew:
            #expect(try await store.renew(key, owner: "a", lease: minute) == false)
            _ = try await store.acquire(key, owner: "a", lease: minute)
            #expect(try await store.renew(key, owner: "b", lease: minute) == false)
        case .fence:
            var last: UInt64 = 0
            for owner in ["a", "b", "a", "c"] {
                let fence = try #require(try await store.acquire(key, owner: owner, lease: minute).fence)
                #expect(fence > last)
                last = fence
                #expect(try await store.release(key, owner: owner))
            }
        case .contention:
            let winners = try await withThrowingTaskGroup(of: Bool.self) { group in
                for contender in 0..<50 {
                    group.addTask { try await store.acquire(key, owner: "\(contender)", lease: minute).fence != nil }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(winners == 1)
        case .independent:
            _ = try await store.acquire(key, owner: "a", lease: minute)
            #expect(try await store.acquire(uniqueName("lock"), owner: "b", lease: minute).fence != nil)
        }
    }
}

extension LockOutcome {
    fileprivate var fence: UInt64? { if case .acquired(let fence) = self { fence } else { nil } }
}

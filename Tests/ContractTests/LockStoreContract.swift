import CeleriacCore
import FoundationEssentials
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
    case neverShorter = "Never shortens a lease by renewing it"
    case listing = "Lists what is held: owner, age, remaining time and fence"
    case listingPattern = "Lists by pattern, in which only the star means something"
    case listingLimit = "Lists no more than asked for"
    case clearing = "Frees any lock when it is cleared"
    case unconfirmed = "Lets nobody join a call that is not known to be sent"
    case joining = "Keeps what joining calls offer: the newest arguments, the latest expiry"
    case reservingAgain = "Reserves again for its owner, and forgets no offer over it"
    case takeOver = "Gives an unconfirmed call's place to one that takes it over, a confirmed one's to nobody"
    case starting = "Starts a call with the offers, frees its place, and keeps equal calls from starting"
    case startingAgain = "Starts a call again with the same offers and the same fence"
    case startingUnplaced = "Starts a call whose place is lost or another's, and leaves that place alone"
    case debounce = "Puts a call off while others join it, no longer than the longest wait"

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
        case .neverShorter:
            _ = try await store.acquire(key, owner: "a", lease: .seconds(600))
            #expect(try await store.renew(key, owner: "a", lease: minute))
            _ = try await store.acquire(key, owner: "a", lease: minute)
            let held = try await store.locks(matching: key, limit: 1).first
            #expect(try #require(held?.remaining) > .seconds(500))
        case .listing, .listingPattern, .listingLimit, .clearing:
            try await verifyListing(store, key)
        case .unconfirmed, .joining, .reservingAgain, .takeOver:
            try await verifyReserving(store, key)
        case .starting, .startingAgain, .startingUnplaced, .debounce:
            try await verifyStarting(store, key)
        }
    }

    private func verifyListing(_ store: any LockStore, _ key: String) async throws {
        let minute = Duration.seconds(60)
        switch self {
        case .listing:
            let fence = try #require(try await store.acquire(key, owner: "a", lease: minute).fence)
            let lock = try #require(try await store.locks(matching: "\(key)*", limit: 10).first)
            #expect(lock.key == key)
            #expect(lock.owner == "a")
            #expect(lock.fence == fence)
            #expect(try #require(lock.remaining) > .seconds(30) && #require(lock.remaining) <= minute)
            #expect(try (Duration.zero..<minute).contains(#require(lock.age)))
            try await store.release(key, owner: "a")
            #expect(try await store.locks(matching: key, limit: 10).isEmpty)
        case .listingPattern:
            let keys = ["\(key):[1]", "\(key):1", "\(key):?", "\(key):a*b", "\(key):é"]
            for key in keys { _ = try await store.acquire(key, owner: "a", lease: minute) }
            func found(_ pattern: String) async throws -> [String] {
                try await store.locks(matching: pattern, limit: 100).map(\.key).sorted()
            }
            #expect(try await found("\(key)*") == keys.sorted())
            for exact in keys where !exact.contains("*") { #expect(try await found(exact) == [exact]) }
            #expect(try await found("\(key):a*b") == ["\(key):a*b"])
            #expect(try await found("*\(key):*") == keys.sorted())
            #expect(try await found("\(key):2").isEmpty)
            #expect(try await found("\(key)").isEmpty)
        case .listingLimit:
            for number in 0..<30 { _ = try await store.acquire("\(key):\(number)", owner: "a", lease: minute) }
            #expect(try await store.locks(matching: "\(key):*", limit: 7).count == 7)
            #expect(try await Set(store.locks(matching: "\(key):*", limit: 100).map(\.key)).count == 30)
        default:
            _ = try await store.acquire(key, owner: "a", lease: minute)
            #expect(try await store.clear(key))
            #expect(try await store.clear(key) == false)
            #expect(try await store.renew(key, owner: "a", lease: minute) == false)
            #expect(try await store.acquire(key, owner: "b", lease: minute).fence != nil)
        }
    }

    private func verifyReserving(_ store: any LockStore, _ key: String) async throws {
        let minute = Duration.seconds(60)
        let (soon, late) = (Date(timeIntervalSince1970: 4_000_000_000), Date(timeIntervalSince1970: 4_000_000_100))
        func reserve(_ owner: String, _ offer: CallOffer = CallOffer()) async throws -> ReserveOutcome {
            try await store.reserve(key, owner: owner, lease: minute, offer: offer)
        }
        #expect(try await reserve("a").isReserved)
        switch self {
        case .unconfirmed:
            guard case .unconfirmed(let owner, let remaining) = try await reserve("b") else {
                Issue.record("joined what may never be sent")
                return
            }
            #expect(owner == "a")
            #expect(remaining > .zero && remaining <= minute)
            #expect(try await store.confirm(key, owner: "b", lease: minute) == false)
            #expect(try await store.confirm(key, owner: "a", lease: .seconds(600)))
            guard case .joined("a", let later) = try await reserve("b") else {
                Issue.record("did not join")
                return
            }
            #expect(later > minute)
        case .joining:
            try await store.confirm(key, owner: "a", lease: minute)
            _ = try await reserve("b", CallOffer(arguments: [1], expires: late))
            _ = try await reserve("c", CallOffer(arguments: [0, 255, 10], expires: soon))
            _ = try await reserve("d", CallOffer(expires: soon))
            let first = try await store.start(key, as: key + ":running", owner: "a", lease: minute)
            #expect(first.offer == CallOffer(arguments: [0, 255, 10], expires: late))
            #expect(try await reserve("e").isReserved)
            try await store.confirm(key, owner: "e", lease: minute)
            _ = try await reserve("f", CallOffer(expires: late))
            _ = try await reserve("g")
            _ = try await reserve("h", CallOffer(expires: late))
            let second = try await store.start(key, as: key + ":other", owner: "e", lease: minute)
            #expect(second.offer == CallOffer())
        case .reservingAgain:
            guard case .reserved(let fence) = try await reserve("a") else {
                Issue.record("the owner cannot reserve again")
                return
            }
            try await store.confirm(key, owner: "a", lease: minute)
            _ = try await reserve("b", CallOffer(arguments: [7]))
            #expect(try await reserve("a") == .reserved(fence: fence))
            let started = try await store.start(key, as: key + ":running", owner: "a", lease: minute)
            #expect(started.offer?.arguments == [7])
        default:
            #expect(try await reserve("b", CallOffer(takesOver: true)).isReserved)
            #expect(try await store.release(key, owner: "a") == false)
            #expect(try await store.confirm(key, owner: "a", lease: minute) == false)
            try await store.confirm(key, owner: "b", lease: minute)
            guard case .joined("b", _) = try await reserve("c", CallOffer(takesOver: true)) else {
                Issue.record("took the place of a call that was sent")
                return
            }
        }
    }

    private func verifyStarting(_ store: any LockStore, _ key: String) async throws {
        let minute = Duration.seconds(60)
        let running = key + ":running"
        func start(_ owner: String) async throws -> StartOutcome {
            try await store.start(key, as: running, owner: owner, lease: minute)
        }
        func queue(_ owner: String, _ debounce: UniquePolicy.Debounce? = nil) async throws {
            let offer = CallOffer(arguments: Array(owner.utf8), debounce: debounce)
            #expect(try await store.reserve(key, owner: owner, lease: minute, offer: offer).isReserved)
            try await store.confirm(key, owner: owner, lease: minute)
        }
        func join(_ owner: String, _ debounce: UniquePolicy.Debounce? = nil) async throws {
            let offer = CallOffer(arguments: Array(owner.utf8), debounce: debounce)
            _ = try await store.reserve(key, owner: owner, lease: minute, offer: offer)
        }
        switch self {
        case .starting:
            try await queue("a")
            let first = try #require(try await start("a").fence)
            try await queue("b")
            guard case .busy("a", let remaining) = try await start("b") else {
                Issue.record("two equal calls run")
                return
            }
            #expect(remaining > .zero && remaining <= minute)
            try await join("c")
            #expect(try await store.release(running, owner: "b") == false)
            #expect(try await store.release(running, owner: "a"))
            let second = try await start("b")
            #expect(try #require(second.fence) > first)
            #expect(second.offer?.arguments == Array("c".utf8))
        case .startingAgain:
            try await queue("a")
            try await join("b")
            let first = try await start("a")
            try await queue("c")
            try await join("d")
            #expect(try await start("a") == first)
            #expect(first.offer?.arguments == Array("b".utf8))
            // The place of the next call is its own.
            #expect(try await store.release(key, owner: "c"))
        case .startingUnplaced:
            try await queue("a")
            try await join("b")
            let other = try await start("x")
            #expect(other.fence != nil)
            #expect(other.offer == nil)
            try await store.release(running, owner: "x")
            #expect(try await start("a").offer?.arguments == Array("b".utf8))
        default:
            let far = UniquePolicy.Debounce(wait: .seconds(600), maximumWait: .seconds(900))
            try await queue("a", far)
            guard case .early(let pause) = try await start("a") else {
                Issue.record("did not wait")
                return
            }
            #expect(pause > .seconds(500) && pause <= .seconds(600))
            // A lock that ended before its call may start would be no lock.
            let held = try #require(try await store.locks(matching: key, limit: 1).first)
            try await join("b", UniquePolicy.Debounce(wait: .seconds(899), maximumWait: .seconds(900)))
            guard case .early(let longest) = try await start("a") else {
                Issue.record("did not wait")
                return
            }
            #expect(longest > .seconds(800) && longest <= .seconds(900))
            let later = try #require(try await store.locks(matching: key, limit: 1).first)
            #expect(try #require(later.remaining) > longest)
            #expect(later.fence == held.fence)
            try await store.clear(key)
            let now = UniquePolicy.Debounce(wait: .milliseconds(1), maximumWait: .milliseconds(1))
            try await queue("c", now)
            try await eventually("the wait is over") { try await start("c").fence != nil }
        }
    }
}

extension LockOutcome {
    fileprivate var fence: UInt64? { if case .acquired(let fence) = self { fence } else { nil } }
}

extension ReserveOutcome {
    fileprivate var isReserved: Bool { if case .reserved = self { true } else { false } }
}

extension StartOutcome {
    fileprivate var fence: UInt64? { if case .started(let fence, _) = self { fence } else { nil } }
    fileprivate var offer: CallOffer? { if case .started(_, let offer) = self { offer } else { nil } }
}

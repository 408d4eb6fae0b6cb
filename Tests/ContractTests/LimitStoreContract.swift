import CeleriacCore
import TestSupport
import Testing

/// What every limit store must do, whatever is behind it.
enum LimitStoreContract: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case first = "Lets the first begin and gives the next a place in line"
    case burst = "Lets a burst begin at once"
    case line = "Gives each in line a turn of its own"
    case turn = "Lets one begin whose turn has come"
    case early = "Keeps the place of one who comes too early"
    case repeated = "Counts a repeated question once"
    case repeatedWait = "Keeps the place of one who asks again without it"
    case redelivered = "Counts another run of the same call"
    case patience = "Gives no place that comes too late"
    case cost = "Charges what a run costs"
    case heavy = "Lets one begin that costs more than a burst"
    case window = "Lets no more begin in a sliding window than the rate says"
    case windowCost = "Lets one begin that costs more than a window holds"
    case pause = "Lets nothing begin during a pause, and the one who asked for it first afterwards"
    case repeatedPause = "Gives one place for a repeated pause"
    case foreignPlace = "Takes a place of another store for none"
    case places = "Gives as many places as there are"
    case renewed = "Renews the place of its owner"
    case release = "Frees a place once"
    case foreignRelease = "Keeps a place that somebody else frees"
    case lease = "Frees a place when its lease ends"
    case forgotten = "Gives a place back to an owner whose lease has ended"
    case askAgain = "Tells those who find no place when to ask again, the later the more there are"
    case contention = "Gives no more places than there are to many at once"
    case independent = "Keeps keys apart"

    var testDescription: String { rawValue }

    /// Checks the clause against a new store.
    func verify(_ make: () async throws -> any LimitStore) async throws {
        let store = LimitTester(store: try await make())
        switch self {
        case .first, .burst, .line, .turn, .early, .repeated, .repeatedWait, .redelivered, .patience:
            try await verifyRate(store)
        case .cost, .heavy, .window, .windowCost, .pause, .repeatedPause, .foreignPlace, .independent:
            try await verifyMore(store)
        case .places, .renewed, .release, .foreignRelease, .lease, .forgotten, .askAgain, .contention:
            try await verifyPlaces(store)
        }
    }

    private func verifyRate(_ store: LimitTester) async throws {
        switch self {
        case .first:
            #expect(try await store.take("a") == .granted)
            let (wait, place) = try #require(try await store.take("b").waiting)
            #expect(wait > .seconds(3500) && wait <= .seconds(3600))
            #expect(place != nil)
        case .burst:
            for owner in ["a", "b", "c"] { #expect(try await store.take(owner, burst: 3) == .granted) }
            #expect(try await store.take("d", burst: 3) != .granted)
        case .line:
            _ = try await store.take("a")
            for number in 1...20 {
                let wait = try #require(try await store.take("\(number)").waiting).wait
                #expect(wait > .seconds(3600 * number - 100) && wait <= .seconds(3600 * number))
            }
        case .turn:
            let rate = Rate(20, per: .seconds(1))
            for owner in ["a", "b", "c", "d"] { try await store.begin(owner, rate) }
        case .early:
            _ = try await store.take("a")
            let first = try #require(try await store.take("b").waiting)
            _ = try await store.take("c")
            let again = try #require(try await store.take("b", run: "other", place: first.place).waiting)
            #expect(again.place == first.place)
            #expect(again.wait <= first.wait)
        case .repeated:
            for _ in 0..<5 { #expect(try await store.take("a", burst: 2) == .granted) }
            #expect(try await store.take("b", burst: 2) == .granted)
            #expect(try await store.take("c", burst: 2) != .granted)
        case .repeatedWait:
            _ = try await store.take("a")
            let first = try #require(try await store.take("b").waiting)
            for run in 0..<5 {
                #expect(try #require(try await store.take("b", run: "\(run)").waiting).place == first.place)
            }
            #expect(try #require(try await store.take("c").waiting).wait <= .seconds(7200))
        case .redelivered:
            #expect(try await store.take("a", run: "1", burst: 2) == .granted)
            #expect(try await store.take("a", run: "2", burst: 2) == .granted)
            #expect(try await store.take("a", run: "3", burst: 2) != .granted)
        case .patience:
            _ = try await store.take("a")
            let (wait, place) = try #require(try await store.take("b", patience: .seconds(60)).waiting)
            #expect(place == nil)
            #expect(wait > .seconds(3500))
            #expect(try #require(try await store.take("c").waiting).wait <= .seconds(3600))
        default: break
        }
    }

    private func verifyMore(_ store: LimitTester) async throws {
        switch self {
        case .cost:
            #expect(try await store.take("a", burst: 10, cost: 7.5) == .granted)
            #expect(try await store.take("b", burst: 10, cost: 2.5) == .granted)
            #expect(try #require(try await store.take("c", burst: 10, cost: 2).waiting).wait > .seconds(7100))
            #expect(try #require(try await store.take("d", burst: 10).waiting).wait > .seconds(10_700))
        case .heavy:
            #expect(try await store.take("a", burst: 2, cost: 50) == .granted)
            let wait = try #require(try await store.take("b", burst: 2).waiting).wait
            #expect(wait > .seconds(49 * 3600 - 100) && wait <= .seconds(49 * 3600))
        case .window:
            let rate = Rate(3, per: .seconds(3600))
            for owner in ["a", "b", "c"] {
                #expect(try await store.take(owner, rate, algorithm: .slidingWindow) == .granted)
            }
            let wait = try #require(try await store.take("d", rate, algorithm: .slidingWindow).waiting).wait
            #expect(wait >= .seconds(3600) && wait <= .seconds(3661))
            #expect(try await store.take("a", rate, algorithm: .slidingWindow) == .granted)
        case .windowCost:
            let rate = Rate(3, per: .seconds(3600))
            #expect(try await store.take("a", rate, algorithm: .slidingWindow, cost: 9) == .granted)
            #expect(try await store.take("b", rate, algorithm: .slidingWindow) != .granted)
        case .pause:
            #expect(try await store.take("a", burst: 5) == .granted)
            let own = try #require(try await store.pause("a", .seconds(600), burst: 5).waiting)
            #expect(own.wait > .seconds(590) && own.wait <= .seconds(600))
            let other = try #require(try await store.take("b", burst: 5).waiting)
            #expect(other.wait > own.wait)
        case .repeatedPause:
            let first = try #require(try await store.pause("a", .seconds(600)).waiting)
            let second = try #require(try await store.pause("a", .seconds(600)).waiting)
            #expect(first.place == second.place)
        case .foreignPlace:
            _ = try await store.take("a")
            for (number, place) in ["", "x", "a", "b-", "a9999999999999999", "b1e99", "nonsense"].enumerated() {
                let wait = try #require(try await store.take("\(number)", place: place).waiting).wait
                #expect(wait > .seconds(3600 * (number + 1) - 100))
            }
        case .independent:
            _ = try await store.take("a")
            let other = LimitTester(store: store.store)
            #expect(try await other.take("a") == .granted)
            _ = try await store.acquire("a", count: 1)
            #expect(try await other.acquire("b", count: 1) == .granted)
        default: break
        }
    }

    private func verifyPlaces(_ store: LimitTester) async throws {
        switch self {
        case .places:
            for owner in ["a", "b", "c"] { #expect(try await store.acquire(owner, count: 3) == .granted) }
            #expect(try await store.acquire("d", count: 3) != .granted)
            #expect(try await store.acquire("e", count: 4) == .granted)
        case .renewed:
            for _ in 0..<5 { #expect(try await store.acquire("a", count: 1) == .granted) }
            #expect(try await store.acquire("b", count: 1) != .granted)
        case .release:
            _ = try await store.acquire("a", count: 1)
            #expect(try await store.release("a"))
            #expect(try await store.release("a") == false)
            #expect(try await store.acquire("b", count: 1) == .granted)
        case .foreignRelease:
            _ = try await store.acquire("a", count: 1)
            #expect(try await store.release("b") == false)
            #expect(try await store.acquire("b", count: 1) != .granted)
        case .lease:
            _ = try await store.acquire("a", count: 1, lease: .milliseconds(100))
            try await eventually("the lease has ended") { try await store.acquire("b", count: 1) == .granted }
            #expect(try await store.release("a") == false)
            #expect(try await store.acquire("c", count: 1) != .granted)
        case .forgotten:
            _ = try await store.acquire("a", count: 2, lease: .milliseconds(100))
            try await eventually("the lease has ended") { try await store.acquire("b", count: 1) == .granted }
            #expect(try await store.acquire("a", count: 2) == .granted)
            #expect(try await store.acquire("c", count: 2) != .granted)
        case .askAgain:
            _ = try await store.acquire("a", count: 1)
            let first = try #require(try await store.acquire("0", count: 1).askAgain)
            #expect(first >= .seconds(2))
            var last = first
            for number in 1...20 { last = try #require(try await store.acquire("\(number)", count: 1).askAgain) }
            #expect(last > first)
            #expect(try #require(try await store.acquire("20", count: 1).askAgain) == last)
        case .contention:
            let winners = try await withThrowingTaskGroup(of: Bool.self) { group in
                for contender in 0..<50 {
                    group.addTask { try await store.acquire("\(contender)", count: 7) == .granted }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(winners == 7)
        default: break
        }
    }
}

/// Asks a store under a key of its own.
private struct LimitTester: Sendable {
    let store: any LimitStore
    private let key = uniqueName("limit")
    private let limit = Duration.seconds(20)

    init(store: any LimitStore) { self.store = store }

    func take(
        _ owner: String,
        _ rate: Rate = "1/h",
        run: String = "run",
        place: String? = nil,
        algorithm: RateLimit.Algorithm = .tokenBucket,
        burst: Double = 1,
        cost: Double = 1,
        patience: Duration? = nil
    ) async throws -> RateDecision {
        try await store.take(
            RateRequest(
                key: key,
                rate: rate,
                algorithm: algorithm,
                burst: burst,
                cost: cost,
                owner: owner,
                run: run,
                place: place,
                patience: patience
            ),
            within: limit
        )
    }

    /// Asks until the owner may begin.
    func begin(_ owner: String, _ rate: Rate) async throws {
        var place: String?
        try await eventually("\(owner)'s turn has come") {
            switch try await take(owner, rate, place: place) {
            case .granted: return true
            case .wait(_, let given):
                place = given
                return false
            }
        }
    }

    func pause(_ owner: String, _ duration: Duration, burst: Double = 1) async throws -> RateDecision {
        let request = RateRequest(key: key, rate: "1/h", burst: burst, owner: owner, run: "run")
        return try await store.pause(request, for: duration, within: limit)
    }

    func acquire(_ owner: String, count: Int, lease: Duration = .seconds(60)) async throws -> PlaceDecision {
        try await store.acquire(key, owner: owner, count: count, lease: lease, within: limit)
    }

    func release(_ owner: String) async throws -> Bool {
        try await store.release(key, owner: owner, within: limit)
    }
}

extension RateDecision {
    fileprivate var waiting: (wait: Duration, place: String?)? {
        if case .wait(let wait, let place) = self { (wait, place) } else { nil }
    }
}

extension PlaceDecision {
    fileprivate var askAgain: Duration? { if case .full(let askAgain) = self { askAgain } else { nil } }
}

/// How long to wait before connecting again, and when to give up.
///
/// Exponential backoff with full jitter: before each attempt a random time up to a ceiling that doubles until the cap,
/// so that a fleet of clients does not come back at once. A connection that lasted longer than the ceiling it had cost
/// begins at the base again.
public struct ReconnectPolicy: Hashable, Sendable {
    /// The ceiling of the first pause.
    public var base: Duration
    /// The ceiling of the longest pause.
    public var cap: Duration
    /// How many attempts in a row may fail; without a number, any.
    public var maximumAttempts: Int?
    /// How long attempts may go on failing; without a duration, for ever.
    public var maximumTime: Duration?
    /// Whether the first connection is tried for as long as later ones; else each host is tried once.
    public var retriesFirstConnect: Bool
    /// How many times within a minute an open connection may end for an error in what one side sent to the other.
    ///
    /// The broker's have a reply code such as 503 or 541; going down (320) is none. This side's are
    /// `.protocolViolation`. Once more, and it is given up with `.tooManyErrors`: connecting again mends no defect.
    /// Without a number, any.
    public var maximumConnectionErrors: Int?

    /// A policy; the defaults try for ever once a connection has come about.
    public init(
        base: Duration = .milliseconds(200),
        cap: Duration = .seconds(15),
        maximumAttempts: Int? = nil,
        maximumTime: Duration? = nil,
        retriesFirstConnect: Bool = false,
        maximumConnectionErrors: Int? = 5
    ) {
        self.base = base
        self.cap = cap
        self.maximumAttempts = maximumAttempts
        self.maximumTime = maximumTime
        self.retriesFirstConnect = retriesFirstConnect
        self.maximumConnectionErrors = maximumConnectionErrors
    }

    /// The longest pause after a number of failed attempts, counted from zero.
    public func ceiling(attempt: Int) -> Duration {
        min(cap, base * (1 << max(0, min(attempt, 16))))
    }

    /// The pause after a number of failed attempts, counted from zero; at least 20 ms, unless the base is shorter.
    public func delay(attempt: Int, using generator: inout some RandomNumberGenerator) -> Duration {
        let ceiling = ceiling(attempt: attempt)
        return max(min(base, .milliseconds(20)), ceiling * Double.random(in: 0...1, using: &generator))
    }
}

/// Counts the failures in a row of one thing that is tried again, and tells when.
struct Backoff: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// Failures since it last held.
    private(set) var failures = 0
    /// Not to be tried before.
    private(set) var notBefore: Instant?
    private var firstFailure: Instant?
    private var heldSince: Instant?

    func isDue(_ now: Instant) -> Bool { notBefore.map { $0 <= now } ?? true }

    mutating func postpone(until instant: Instant?) { notBefore = instant }

    mutating func succeeded(now: Instant) {
        heldSince = now
        notBefore = nil
    }

    /// Notes a failure, or the end of what had come about.
    ///
    /// - Parameter ways: How many ways there are to try; each is tried before the pause grows.
    mutating func failed(
        now: Instant,
        _ policy: ReconnectPolicy,
        ways: Int = 1,
        using generator: inout some RandomNumberGenerator
    ) {
        let round = failures / max(1, ways)
        // What comes about and ends at once has not succeeded: else a server that accepts and closes would be
        // connected to as fast as it can.
        if let heldSince, heldSince.duration(to: now) > policy.ceiling(attempt: round) {
            failures = 0
            firstFailure = now
            notBefore = now + policy.delay(attempt: 0, using: &generator)
        } else {
            failures += 1
            firstFailure = firstFailure ?? now
            notBefore = now + policy.delay(attempt: round, using: &generator)
        }
        heldSince = nil
    }

    /// Notes the end of what had come about: it is tried again at once if it had held, and after a pause if not.
    mutating func ended(now: Instant, _ policy: ReconnectPolicy, using generator: inout some RandomNumberGenerator) {
        guard let heldSince, heldSince.duration(to: now) <= policy.ceiling(attempt: failures) else {
            self = Backoff()
            return
        }
        failed(now: now, policy, using: &generator)
    }

    /// Whether the policy's limits are reached.
    func isExhausted(now: Instant, _ policy: ReconnectPolicy) -> Bool {
        if let limit = policy.maximumAttempts, failures >= limit { return true }
        guard let limit = policy.maximumTime, let firstFailure, failures > 0 else { return false }
        return firstFailure.duration(to: now) >= limit
    }
}

/// A generator that a seed determines (SplitMix64), so that decisions with chance in them can be tested.
struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// The hosts to connect to, in an order chosen once: after a failure, the next one's turn.
struct HostRotation: Sendable {
    private let order: [Int]
    private var position = 0
    private var refusals: [Int: AMQPError] = [:]

    /// - Parameter count: At least one.
    init(count: Int, using generator: inout some RandomNumberGenerator) {
        order = Array(0..<count).shuffled(using: &generator)
    }

    var count: Int { order.count }
    var current: Int { order[position] }

    mutating func connected() { refusals = [:] }

    /// Goes on to the next host that has not refused for good.
    mutating func advance() {
        for _ in order.indices {
            position = (position + 1) % order.count
            if refusals[current] == nil { return }
        }
    }

    /// Strikes the current host off; false if none is left.
    mutating func refused(_ error: AMQPError) -> Bool {
        refusals[current] = error
        return refusals.count < order.count
    }
}

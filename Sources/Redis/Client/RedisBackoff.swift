/// How long to wait before connecting again: exponential, with full jitter.
public struct RedisBackoff: Sendable {
    /// The upper end of the first wait.
    public var base: Duration
    /// The upper end of every later wait, at most.
    public var cap: Duration
    /// A number from 0 up to 1, for the jitter.
    public var random: @Sendable () -> Double

    /// Makes a policy.
    public init(
        base: Duration = .milliseconds(50),
        cap: Duration = .seconds(2),
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) }
    ) {
        self.base = base
        self.cap = cap
        self.random = random
    }

    /// The wait before an attempt.
    ///
    /// - Parameter attempt: How many attempts have failed since the last success; 0 does not wait.
    public func delay(attempt: Int) -> Duration {
        guard attempt > 0 else { return .zero }
        let upper = min(cap, base * (1 << min(attempt - 1, 20)))
        return upper * min(max(random(), 0), 1)
    }
}

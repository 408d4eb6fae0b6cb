internal import Glibc

/// Whether and when a failed task runs again.
public struct RetryPolicy: Sendable {
    /// How often the task may run in all, the first time included; at least 1.
    public var attempts: Int
    /// The pause after the first failure.
    public var initial: Duration
    /// By how much each pause is longer than the one before.
    public var factor: Double
    /// The longest pause.
    public var maximum: Duration
    /// Whether a pause is drawn at random between zero and its full length, so that tasks that failed together do not
    /// come back together.
    public var jitter: Bool
    /// Which errors are worth another attempt.
    public var shouldRetry: @Sendable (any Error) -> Bool

    /// A policy of all its parts.
    public init(
        attempts: Int,
        initial: Duration,
        factor: Double = 2,
        maximum: Duration = .seconds(600),
        jitter: Bool = true,
        shouldRetry: @escaping @Sendable (any Error) -> Bool = { _ in true }
    ) {
        self.attempts = max(1, attempts)
        self.initial = initial
        self.factor = factor
        self.maximum = maximum
        self.jitter = jitter
        self.shouldRetry = shouldRetry
    }

    /// A failed task stays failed.
    public static let none = RetryPolicy(attempts: 1, initial: .zero)

    /// Pauses that grow by a factor, with full jitter.
    public static func exponential(
        attempts: Int,
        initial: Duration = .seconds(1),
        factor: Double = 2,
        maximum: Duration = .seconds(600),
        jitter: Bool = true,
        shouldRetry: @escaping @Sendable (any Error) -> Bool = { _ in true }
    ) -> RetryPolicy {
        RetryPolicy(
            attempts: attempts,
            initial: initial,
            factor: factor,
            maximum: maximum,
            jitter: jitter,
            shouldRetry: shouldRetry
        )
    }

    /// Pauses of one length.
    public static func fixed(
        attempts: Int,
        delay: Duration,
        shouldRetry: @escaping @Sendable (any Error) -> Bool = { _ in true }
    ) -> RetryPolicy {
        RetryPolicy(
            attempts: attempts,
            initial: delay,
            factor: 1,
            maximum: delay,
            jitter: false,
            shouldRetry: shouldRetry
        )
    }

    /// The pause before the next attempt.
    ///
    /// - Parameter retries: How often the task has been retried before this failure.
    /// - Returns: `nil` when the attempts are used up.
    public func delay(afterRetries retries: Int, using generator: inout some RandomNumberGenerator) -> Duration? {
        guard retries < max(1, attempts) - 1 else { return nil }
        let grown = initial.inSeconds * pow(factor, Double(retries))
        // No pause at all times an infinite growth is no number.
        let seconds = grown.isNaN ? 0 : max(0, min(grown, maximum.inSeconds))
        return .seconds(jitter ? Double.random(in: 0...seconds, using: &generator) : seconds)
    }
}

/// How a task's body ends other than by returning a value or failing: throw one of these.
public enum TaskEnding: Error, Sendable {
    /// Run me again, after a pause of my choice or, with `nil`, of the retry policy's; counts as an attempt.
    ///
    /// When the attempts are used up the task fails with `cause`, or without one as `MaxRetriesExceededError`.
    case retry(after: Duration? = nil, cause: (any Error)? = nil)
    /// Do not run me again: recorded as a failure and kept in the dead-letter queue with the reason.
    case reject(reason: String)
    /// Done, but there is nothing to record: no result is stored.
    case ignore
    /// Something outside allows no more for now, such as an API that answers with `Retry-After`: let no call begin that
    /// shares this one's rate limit until the time has passed, and run me again then; counts as no attempt.
    ///
    /// Without a ``TaskOptions/rateLimit`` only this call waits.
    case rateLimited(for: Duration)
}

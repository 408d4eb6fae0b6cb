/// How often a task may begin, over all workers together.
///
/// ```swift
/// let send = app.task("mail.send", options: .init(rateLimit: "100/m")) { (address: String) in ... }
/// ```
///
/// A call over the limit is given a place in line and waits in the broker until its turn has come: it takes up no slot, no
/// memory of a worker's and no attempt, and other tasks go on.
public struct RateLimit: Sendable {
    /// What is counted.
    public enum Algorithm: Sendable, Hashable {
        /// Calls are spaced evenly, and after a pause up to ``RateLimit/burst`` may begin at once.
        ///
        /// Any period sees at most the rate's count and one burst. This is Celery's, whose burst is 1. A call that costs more
        /// than a burst begins when a whole burst could, and those after it wait the longer.
        case tokenBucket
        /// No period, wherever it begins, sees more than the rate's count.
        ///
        /// Time is counted in sixtieths of the period, always to the safe side: what has begun counts for up to a sixtieth
        /// longer than the period.
        case slidingWindow
    }

    /// How often.
    public var rate: Rate
    /// What is counted.
    public var algorithm: Algorithm
    /// How many may begin at once after a pause, with ``Algorithm/tokenBucket``; at least 1.
    ///
    /// What the rate yields in a tenth of a second if `nil`, so that fast rates are reached although no wait is exact.
    public var burst: Double?
    /// Which calls share the limit.
    public var key: LimitKey
    /// How much of the rate a call takes.
    public var cost: LimitCost
    /// Whether the limit holds for all workers together or for each alone.
    public var reach: LimitReach

    /// A limit; for all calls of the task over all workers unless said otherwise.
    public init(
        _ rate: Rate,
        burst: Double? = nil,
        algorithm: Algorithm = .tokenBucket,
        key: LimitKey = .task,
        cost: LimitCost = 1,
        reach: LimitReach = .fleet
    ) {
        self.rate = rate
        self.burst = burst
        self.algorithm = algorithm
        self.key = key
        self.cost = cost
        self.reach = reach
    }

    /// A limit in Celery's notation, for text from a configuration.
    ///
    /// - Throws: ``CeleriacError`` `.configuration`; see ``Rate/init(parsing:)``.
    public init(parsing text: String) throws(CeleriacError) {
        self.init(try Rate(parsing: text))
    }

    /// The burst in force.
    package var effectiveBurst: Double { max(1, burst ?? (0.1 / rate.interval).rounded(.up)) }
}

extension RateLimit: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
    /// A limit in Celery's notation, in source code.
    public init(stringLiteral text: String) { self.init(Rate(stringLiteral: text)) }
    /// So many per second.
    public init(integerLiteral count: Int) { self.init(Rate(integerLiteral: count)) }
}

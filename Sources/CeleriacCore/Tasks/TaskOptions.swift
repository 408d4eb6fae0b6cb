/// How the calls of one task are sent and run, unless a call says otherwise.
public struct TaskOptions: Sendable {
    /// The queue; the application's default queue if `nil`.
    public var queue: QueueName?
    /// Larger is more urgent, on queues with priorities.
    public var priority: UInt8?
    /// Whether and when a failed call runs again; the application's policy if `nil`.
    public var retry: RetryPolicy?
    /// After this a running call is cancelled.
    public var timeLimit: Duration?
    /// A call not started by then is not run.
    public var expires: Duration?
    /// Whether calls leave no result.
    public var ignoresResult: Bool
    /// Whether a failure is stored even if results are ignored.
    public var storesErrorsEvenIfIgnored: Bool
    /// How long results are kept; the application's setting if `nil`.
    public var resultTTL: Duration?
    /// How equal calls are kept from being queued side by side; they are not if `nil`.
    public var unique: UniquePolicy?
    /// Whether the record `STARTED` is written when a call begins.
    public var tracksStarted: Bool
    /// How often calls may begin.
    public var rateLimit: RateLimit?
    /// How many calls may run at once.
    public var concurrencyLimit: ConcurrencyLimit?

    /// Options; what is left out is the application's default.
    public init(
        queue: QueueName? = nil,
        priority: UInt8? = nil,
        retry: RetryPolicy? = nil,
        timeLimit: Duration? = nil,
        expires: Duration? = nil,
        ignoresResult: Bool = false,
        storesErrorsEvenIfIgnored: Bool = false,
        resultTTL: Duration? = nil,
        unique: UniquePolicy? = nil,
        tracksStarted: Bool = false,
        rateLimit: RateLimit? = nil,
        concurrencyLimit: ConcurrencyLimit? = nil
    ) {
        self.queue = queue
        self.priority = priority
        self.retry = retry
        self.timeLimit = timeLimit
        self.expires = expires
        self.ignoresResult = ignoresResult
        self.storesErrorsEvenIfIgnored = storesErrorsEvenIfIgnored
        self.resultTTL = resultTTL
        self.unique = unique
        self.tracksStarted = tracksStarted
        self.rateLimit = rateLimit
        self.concurrencyLimit = concurrencyLimit
    }
}

public import FoundationEssentials

/// How one call is sent; what is left out comes from the task, then from the application.
public struct CallOptions: Sendable {
    /// The call's id; a new UUID if `nil`.
    ///
    /// Sending twice with one id is how a caller repeats an indeterminate publish.
    public var id: TaskID?
    /// The queue.
    public var queue: QueueName?
    /// Start no earlier than this long from now.
    public var countdown: Duration?
    /// Start no earlier than this instant; wins over ``countdown``.
    public var eta: Date?
    /// Do not start later than this long from now.
    public var expires: Duration?
    /// Do not start later than this instant; wins over ``expires``.
    public var expiresAt: Date?
    /// Larger is more urgent, on queues with priorities.
    public var priority: UInt8?
    /// Headers of the caller's own, which the task sees in ``TaskContext/headers``.
    public var headers: MessageHeaders
    /// Whether and when this call runs again if it fails, in place of the task's policy.
    ///
    /// The policy's `shouldRetry` does not travel: which errors are worth another attempt is the task's to say.
    public var retry: RetryPolicy?
    /// How long sending is tried, reconnecting and repeating under the same id included.
    public var publishTimeout: Duration?
    /// Whether no result is wanted; `nil` leaves it to the task.
    public var ignoresResult: Bool?
    /// After this the running call is cancelled.
    public var timeLimit: Duration?
    /// The name to show in logs.
    public var shadow: String?
    /// How equal calls are kept from being queued side by side, in place of the task's policy.
    public var unique: UniquePolicy?

    /// Options of one call.
    public init(
        id: TaskID? = nil,
        queue: QueueName? = nil,
        countdown: Duration? = nil,
        eta: Date? = nil,
        expires: Duration? = nil,
        expiresAt: Date? = nil,
        priority: UInt8? = nil,
        headers: MessageHeaders = [:],
        retry: RetryPolicy? = nil,
        publishTimeout: Duration? = nil,
        ignoresResult: Bool? = nil,
        timeLimit: Duration? = nil,
        shadow: String? = nil,
        unique: UniquePolicy? = nil
    ) {
        self.id = id
        self.queue = queue
        self.countdown = countdown
        self.eta = eta
        self.expires = expires
        self.expiresAt = expiresAt
        self.priority = priority
        self.headers = headers
        self.retry = retry
        self.publishTimeout = publishTimeout
        self.ignoresResult = ignoresResult
        self.timeLimit = timeLimit
        self.shadow = shadow
        self.unique = unique
    }
}

public import CeleriacCore

/// What happens in a worker, for progress lines, logs and tests.
public enum WorkerEvent: Sendable {
    /// It consumes.
    case ready
    /// A body begins.
    case started(TaskContext)
    /// A task returned a value.
    case succeeded(TaskContext, runtime: Duration)
    /// A task failed for good.
    case failed(TaskContext, TaskFailure)
    /// A task failed and will run again.
    case retried(TaskContext, TaskFailure, after: Duration)
    /// A message went to the dead-letter queue.
    case deadLettered(TaskID?, TaskFailure, queue: QueueName)
    /// A message expired before it began.
    case expired(TaskID)
    /// A message came again whose task has succeeded already; it was acknowledged and not run.
    case skipped(TaskID)
    /// A message over a limit was put into the broker's keeping for a while, uncharged.
    case parked(TaskID, for: Duration)
    /// A message went back to its queue, uncharged.
    case givenBack(TaskID)
    /// It stops; so many bodies are still running.
    case stopping(running: Int)
}

/// How much a worker has done.
public struct WorkerStatistics: Sendable, Hashable {
    /// Tasks that returned a value.
    public var succeeded = 0
    /// Tasks that failed for good.
    public var failed = 0
    /// Failures that led to another attempt.
    public var retried = 0
    /// Messages put into a dead-letter queue.
    public var deadLettered = 0
    /// Messages that expired before they began.
    public var expired = 0
    /// Messages acknowledged because their tasks had succeeded already.
    public var skipped = 0
    /// Messages over a limit put into the broker's keeping, as often as that happened.
    public var parked = 0
    /// Messages given back to their queue.
    public var givenBack = 0

    /// Counts, for comparing.
    public init(
        succeeded: Int = 0,
        failed: Int = 0,
        retried: Int = 0,
        deadLettered: Int = 0,
        expired: Int = 0,
        skipped: Int = 0,
        parked: Int = 0,
        givenBack: Int = 0
    ) {
        self.succeeded = succeeded
        self.failed = failed
        self.retried = retried
        self.deadLettered = deadLettered
        self.expired = expired
        self.skipped = skipped
        self.parked = parked
        self.givenBack = givenBack
    }
}

public import CeleriacCore
internal import Glibc

/// How a worker works.
public struct WorkerConfiguration: Sendable {
    /// The queues to consume; the application's default queue if empty.
    public var queues: [QueueName]
    /// How many tasks run at once.
    public var concurrency: Int
    /// How many unacknowledged messages the broker may have out to this worker; four for each slot if `nil`.
    ///
    /// More hides the way to the broker and back behind work, which pays for short tasks; fewer spreads long tasks
    /// evenly over workers.
    public var prefetch: Int?
    /// How long running tasks may go on after the worker was told to stop; then they are cancelled and given back.
    public var grace: Duration
    /// How long the first connection is tried.
    public var startupTimeout: Duration
    /// How long storing a result is tried, with its message unacknowledged; then the message is given back.
    public var resultTimeout: Duration
    /// Whether a message that was delivered or sent before is acknowledged without running its task if that has already
    /// succeeded.
    ///
    /// Costs a look into the result backend for each message that comes again; does not apply to ignored results.
    public var skipsSucceeded: Bool
    /// The worker's name, unique in the fleet: `name@host`.
    public var nodeName: String

    /// Settings; 16 slots on the default queue unless said otherwise.
    public init(
        queues: [QueueName] = [],
        concurrency: Int = 16,
        prefetch: Int? = nil,
        grace: Duration = .seconds(30),
        startupTimeout: Duration = .seconds(30),
        resultTimeout: Duration = .seconds(60),
        skipsSucceeded: Bool = true,
        nodeName: String? = nil
    ) {
        self.queues = queues
        self.concurrency = concurrency
        self.prefetch = prefetch
        self.grace = grace
        self.startupTimeout = startupTimeout
        self.resultTimeout = resultTimeout
        self.skipsSucceeded = skipsSucceeded
        self.nodeName = nodeName ?? "celeriac-\(getpid())@\(TaskApp.hostName)"
    }

    /// The prefetch in force.
    var effectivePrefetch: Int { max(1, prefetch ?? 4 * concurrency) }
}

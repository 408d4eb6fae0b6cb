/// How many calls of a task may run at once, over all workers together.
///
/// ```swift
/// let export = app.task("reports.export", options: .init(concurrencyLimit: 2)) { (month: String) in ... }
/// ```
///
/// A running call holds a place under a lease that its worker renews; a worker that dies gives up its places when the
/// lease ends. A call that finds no place waits outside the slots, for longer pauses in the broker.
public struct ConcurrencyLimit: Sendable, ExpressibleByIntegerLiteral {
    /// How many at once; at least 1.
    public var count: Int
    /// For how long a crashed worker's place stays taken; at least a second, and renewed at a third while a call runs.
    public var lease: Duration
    /// Which calls share the limit.
    public var key: LimitKey
    /// Whether the limit holds for all workers together or for each alone.
    public var reach: LimitReach

    /// A limit; for all calls of the task over all workers unless said otherwise.
    public init(
        _ count: Int,
        lease: Duration = .seconds(30),
        key: LimitKey = .task,
        reach: LimitReach = .fleet
    ) {
        self.count = max(1, count)
        self.lease = max(.seconds(1), lease)
        self.key = key
        self.reach = reach
    }

    /// So many at once.
    public init(integerLiteral count: Int) { self.init(count) }
}

/// For whom a limit holds.
public enum LimitReach: Sendable, Hashable {
    /// All workers together, through the ``LimitStore``.
    case fleet
    /// Each worker alone, as Celery's rate limits do; needs no store.
    case worker
}

/// Keeps what became of tasks: the seam behind which Redis or memory does the work.
public protocol ResultBackend: Sendable {
    /// The backend's address for people, without credentials.
    var address: String { get }

    /// What the backend can do; all, unless it says otherwise.
    var abilities: ResultAbilities { get }

    /// Connects now, so that a wrong address or password shows before work begins.
    func open(within timeout: Duration) async throws(CeleriacError)

    /// Prepares for the result of a call that is about to be sent; announcing a call twice does no harm.
    ///
    /// - Parameter timeout: Until the backend is ready, connecting included.
    /// - Returns: The queue that the call is to name as its reply address; `nil` if the backend makes no use of one.
    /// - Throws: ``CeleriacError``; the call should not be sent then.
    func expect(_ task: TaskID, within timeout: Duration) async throws(CeleriacError) -> String?

    /// Stores a record and wakes those who wait for it.
    ///
    /// A stored success is never overwritten, a stored failure or revocation only by another end, and no record by one of
    /// an earlier run: records of one task may arrive out of order.
    ///
    /// - Parameters:
    ///   - ttl: How long the record is kept.
    ///   - timeout: For the whole call, reconnecting included; storing twice does no harm, so the driver repeats.
    /// - Returns: Whether it was stored; `false` if what was there stays.
    @discardableResult
    func store(_ record: TaskRecord, ttl: Duration, within timeout: Duration) async throws(CeleriacError) -> Bool

    /// The latest record of a task; `nil` if there is none (yet, or any more).
    ///
    /// - Throws: ``CeleriacError``; `.notFound` without ``ResultAbilities/anyCall``, for a call that this process has not
    ///   made or whose result is gone. ``outcome(of:within:)`` and ``listen(to:within:onEvent:)`` say so, too.
    func record(of task: TaskID) async throws(CeleriacError) -> TaskRecord?

    /// Waits until a task has ended.
    ///
    /// Subscribes first and looks afterwards, so that an outcome stored in between is not missed; likewise after a lost
    /// connection.
    ///
    /// - Throws: ``CeleriacError`` `.timedOut` when the task has not ended within `timeout`; `.cancelled`.
    func outcome(of task: TaskID, within timeout: Duration) async throws(CeleriacError) -> TaskRecord

    /// Tells of each record that is stored of some tasks, from now on.
    ///
    /// What is stored already is not told: look for it after this call has returned, so that nothing is missed.
    ///
    /// - Parameters:
    ///   - timeout: Until the driver listens to all of them, connecting included.
    ///   - onEvent: Called on a thread of the driver's; must be quick.
    /// - Returns: What keeps listening until it is dropped.
    func listen(
        to tasks: [TaskID],
        within timeout: Duration,
        onEvent: @escaping @Sendable (ResultEvent) -> Void
    ) async throws(CeleriacError) -> any ResultListening

    /// Deletes a task's record.
    func forget(_ task: TaskID) async throws(CeleriacError)

    /// Disconnects; waits in progress end with `.closed`.
    func close() async
}

extension ResultBackend {
    /// All.
    public var abilities: ResultAbilities { .all }

    /// Does nothing: what is stored is found by the task's id.
    public func expect(_ task: TaskID, within timeout: Duration) async throws(CeleriacError) -> String? { nil }
}

/// What a result backend tells those who listen.
public enum ResultEvent: Sendable {
    /// A record of the task was stored, or may have been while the driver was not connected: look.
    case stored(TaskID)
    /// The backend was closed; nothing more is told.
    case closed
}

/// A place among those whom a result backend tells of records; dropping it ends it.
public protocol ResultListening: AnyObject, Sendable {
    /// Listens no longer to one of the tasks.
    func leave(_ task: TaskID)
}

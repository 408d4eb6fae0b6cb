/// Keeps what became of tasks: the seam behind which Redis or memory does the work.
public protocol ResultBackend: Sendable {
    /// The backend's address for people, without credentials.
    var address: String { get }

    /// Connects now, so that a wrong address or password shows before work begins.
    func open(within timeout: Duration) async throws(CeleriacError)

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
    func record(of task: TaskID) async throws(CeleriacError) -> TaskRecord?

    /// Waits until a task has ended.
    ///
    /// Subscribes first and looks afterwards, so that an outcome stored in between is not missed; likewise after a lost
    /// connection.
    ///
    /// - Throws: ``CeleriacError`` `.timedOut` when the task has not ended within `timeout`; `.cancelled`.
    func outcome(of task: TaskID, within timeout: Duration) async throws(CeleriacError) -> TaskRecord

    /// Deletes a task's record.
    func forget(_ task: TaskID) async throws(CeleriacError)

    /// Disconnects; waits in progress end with `.closed`.
    func close() async
}

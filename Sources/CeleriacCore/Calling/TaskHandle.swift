/// A call that was sent, and the way to its result.
public struct TaskHandle<Output: Decodable & Sendable>: Sendable {
    /// The call's id; that of an equal call if this one was not sent, see ``disposition``.
    ///
    /// A call that was ignored in favour of a Python program's has an id of its own that nobody knows.
    public let id: TaskID
    /// What became of the call when it was made.
    public let disposition: CallDisposition
    let app: TaskApp

    /// Whether this is an earlier, equal call that a unique task gave in place of a new one.
    public var isExisting: Bool { disposition != .sent }

    package init(id: TaskID, disposition: CallDisposition = .sent, app: TaskApp) {
        self.id = id
        self.disposition = disposition
        self.app = app
    }

    /// Waits for the task's value.
    ///
    /// - Throws: ``TaskFailure`` if the task failed, was revoked or expired; ``CeleriacError`` `.timedOut` if it has not
    ///   ended in time, `.undecodable` if the value is of another type, `.cancelled`.
    public func value(within timeout: Duration) async throws -> Output {
        try await app.drivers().results.outcome(of: id, within: timeout).outcome()
    }

    /// Where the task stands.
    ///
    /// When nothing is stored, ``TaskState/pending``; with ``Configuration/tracksQueued``, which has every call recorded that
    /// is sent, ``TaskState/unknown``.
    public func state() async throws(CeleriacError) -> TaskState {
        try await record()?.state ?? (app.configuration.tracksQueued ? .unknown : .pending)
    }

    /// What is stored of the task.
    public func record() async throws(CeleriacError) -> TaskRecord? {
        try await app.drivers().results.record(of: id)
    }

    /// Deletes what is stored of the task.
    public func forget() async throws(CeleriacError) {
        try await app.drivers().results.forget(id)
    }
}

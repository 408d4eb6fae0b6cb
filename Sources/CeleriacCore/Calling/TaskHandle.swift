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
    /// - Throws: ``TaskFailure`` if the task failed, was revoked or expired, or the ``TaskError`` it failed with, if that is
    ///   registered; ``CeleriacError`` `.timedOut` if it has not ended in time, `.undecodable` if the value is of another
    ///   type, `.cancelled`; `.notFound` with results by message, if this process has not made the call.
    public func value(within timeout: Duration) async throws -> Output {
        try await app.drivers().results.outcome(of: id, within: timeout).outcome(knowing: app.errors)
    }

    /// Where the task stands.
    ///
    /// When nothing is stored, ``TaskState/pending``; with ``Configuration/tracksQueued``, which has every call recorded that
    /// is sent, ``TaskState/unknown``. Unknown are also, with results by message, calls that this process has not made.
    public func state() async throws(CeleriacError) -> TaskState {
        let results = try app.drivers().results
        let isKnown = !results.abilities.contains(.anyCall) || !app.configuration.tracksQueued
        do {
            return try await results.record(of: id)?.state ?? (isKnown ? .pending : .unknown)
        } catch {
            guard error.code == .notFound else { throw error }
            return .unknown
        }
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

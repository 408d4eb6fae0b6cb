/// Where a task stands, in Celery's words.
public struct TaskState: Hashable, Sendable, CustomStringConvertible {
    /// The word on the wire.
    public let rawValue: String

    /// A state of any name; tasks may have their own.
    public init(_ rawValue: String) { self.rawValue = rawValue }

    /// Nothing is stored: queued, or unknown, or its record has ended.
    public static let pending = TaskState("PENDING")
    /// It was sent and has not begun; written only with ``Configuration/tracksQueued``.
    public static let queued = TaskState("QUEUED")
    /// Nothing is stored although calls are recorded, or announced, when they are sent.
    ///
    /// It never was sent, or its record has ended or was forgotten; with results by message, it was not sent by this
    /// process. Only told, never stored.
    public static let unknown = TaskState("UNKNOWN")
    /// It runs and has told how far it is, by ``TaskContext/report(progress:)``.
    public static let progress = TaskState("PROGRESS")
    /// A worker began to run it.
    public static let started = TaskState("STARTED")
    /// It returned a value.
    public static let success = TaskState("SUCCESS")
    /// It failed for good.
    public static let failure = TaskState("FAILURE")
    /// It failed and will run again.
    public static let retry = TaskState("RETRY")
    /// It was revoked, or expired before it began.
    public static let revoked = TaskState("REVOKED")

    /// Whether nothing more will happen.
    public var isFinal: Bool { self == .success || self == .failure || self == .revoked }
    /// Whether the record's result is an error.
    public var isError: Bool { self == .failure || self == .retry || self == .revoked }

    /// Whether a running task may say it of itself: the other states are what becomes of a task.
    package var isOnTheWay: Bool {
        !rawValue.isEmpty && !isFinal && ![.pending, .queued, .unknown, .retry].contains(self)
    }

    /// The word on the wire.
    public var description: String { rawValue }
}

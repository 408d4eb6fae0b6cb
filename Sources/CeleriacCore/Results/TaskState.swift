/// Where a task stands, in Celery's words.
public struct TaskState: Hashable, Sendable, CustomStringConvertible {
    /// The word on the wire.
    public let rawValue: String

    /// A state of any name; tasks may have their own.
    public init(_ rawValue: String) { self.rawValue = rawValue }

    /// Nothing is stored: queued, or unknown, or its record has ended.
    public static let pending = TaskState("PENDING")
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

    /// The word on the wire.
    public var description: String { rawValue }
}

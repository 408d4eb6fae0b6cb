/// What went wrong between the application and its broker, result backend or lock store.
///
/// A task's own failure is another type, ``TaskFailure``.
public struct CeleriacError: Error, Sendable, CustomStringConvertible {
    /// The kinds of failure, an open set.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Raw: String {
            case connectionLost, timedOut, unroutable, refused, blocked, tooLarge, accessDenied, notFound
            case preconditionFailed, closed, cancelled, alreadyQueued, invalidPayload, undecodable, unavailable
            case configuration, unsupported, lockLost, internalError
        }
        private let raw: Raw

        /// The connection ended before the answer came; see ``CeleriacError/isIndeterminate``.
        public static let connectionLost = Code(raw: .connectionLost)
        /// The deadline passed before the answer came; see ``CeleriacError/isIndeterminate``.
        public static let timedOut = Code(raw: .timedOut)
        /// No queue takes a message with that route.
        public static let unroutable = Code(raw: .unroutable)
        /// The broker answered that it does not take the message.
        public static let refused = Code(raw: .refused)
        /// The broker stopped taking messages, for lack of memory or disk, until the deadline.
        public static let blocked = Code(raw: .blocked)
        /// The message or result is larger than the limit.
        public static let tooLarge = Code(raw: .tooLarge)
        /// Wrong credentials or missing permission.
        public static let accessDenied = Code(raw: .accessDenied)
        /// The virtual host, queue or exchange does not exist.
        public static let notFound = Code(raw: .notFound)
        /// A queue or exchange exists with other properties.
        public static let preconditionFailed = Code(raw: .preconditionFailed)
        /// The driver was closed by this process.
        public static let closed = Code(raw: .closed)
        /// The waiting task was cancelled.
        public static let cancelled = Code(raw: .cancelled)
        /// A unique task is queued or running already; see ``CeleriacError/conflict``.
        public static let alreadyQueued = Code(raw: .alreadyQueued)
        /// An argument or result cannot be encoded.
        public static let invalidPayload = Code(raw: .invalidPayload)
        /// Stored or received data is not what its reader expects.
        public static let undecodable = Code(raw: .undecodable)
        /// The server cannot be reached or cannot serve now.
        public static let unavailable = Code(raw: .unavailable)
        /// The application's settings contradict themselves or name something unknown.
        public static let configuration = Code(raw: .configuration)
        /// The peer asks for something this version does not do.
        public static let unsupported = Code(raw: .unsupported)
        /// A lock could not be kept while it was needed; see ``SharedLock``.
        public static let lockLost = Code(raw: .lockLost)
        /// The server ended one connection after the other for errors in what it was sent: a defect, of this library or
        /// of the server, that trying again does not mend.
        public static let internalError = Code(raw: .internalError)

        /// The code's name.
        public var description: String { raw.rawValue }
    }

    /// The call that holds the lock of a unique task.
    public struct Conflict: Hashable, Sendable {
        /// The call that has the lock; `nil` if it is a Python program's, which does not tell its id.
        public let existing: TaskID?
        /// When the lock ends by itself, unless renewed meanwhile.
        public let remaining: Duration
    }

    /// What kind of failure it is.
    public let code: Code
    /// What was attempted, where, and what came back.
    public let message: String
    /// Whether the attempt may have had its effect all the same, as with a publish whose confirm never came.
    public let isIndeterminate: Bool
    /// Who holds the lock, with code `.alreadyQueued`.
    public let conflict: Conflict?
    /// The driver's error, if it had one.
    public let underlying: (any Error)?

    /// An error.
    public init(
        _ code: Code,
        _ message: String,
        isIndeterminate: Bool = false,
        conflict: Conflict? = nil,
        underlying: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.isIndeterminate = isIndeterminate
        self.conflict = conflict
        self.underlying = underlying
    }

    /// Whether the server was at fault, not the attempt: the same may succeed a little later.
    package var isPassing: Bool { code == .unavailable || code == .connectionLost }

    /// The code and the message on one line.
    public var description: String { "\(code): \(message)" }
}

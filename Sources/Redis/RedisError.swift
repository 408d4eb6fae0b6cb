public import Transport

/// Why a Redis operation did not succeed.
public struct RedisError: Error, Sendable, CustomStringConvertible {
    /// The kinds of failure, an open set.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Raw: String {
            case cannotConnect, connectionLost, outcomeUnknown, timedOut, cancelled, closed, overloaded
            case authentication, notPermitted, invalidDatabase, invalidClientName, masterUnknown
            case command, loading, masterDown, readOnly, outOfMemory, noScript, busy, tooFewReplicas, notPersisting
            case clusterNotSupported, transactionAborted, protocolViolation, unexpectedReply, invalidURL, tlsFailed
            case outOfMemoryLocally
        }
        private let raw: Raw

        /// No connection could be opened.
        public static let cannotConnect = Code(raw: .cannotConnect)
        /// The connection ended with the command on its way; it may have run.
        public static let connectionLost = Code(raw: .connectionLost)
        /// The client lost the connection with the command on its way; it may have run and was not repeated.
        public static let outcomeUnknown = Code(raw: .outcomeUnknown)
        /// The command's deadline passed; ``RedisError/mayHaveExecuted`` says whether it had been sent.
        public static let timedOut = Code(raw: .timedOut)
        /// The waiting task was cancelled; a command already sent runs nevertheless.
        public static let cancelled = Code(raw: .cancelled)
        /// This side has been closed.
        public static let closed = Code(raw: .closed)
        /// Too many commands are waiting to be sent.
        public static let overloaded = Code(raw: .overloaded)
        /// Wrong or missing user and password.
        ///
        /// Permanent until the configuration changes.
        public static let authentication = Code(raw: .authentication)
        /// The user may not run this command, or not on this key or channel.
        public static let notPermitted = Code(raw: .notPermitted)
        /// The server has no database of that number.
        ///
        /// Permanent until the configuration changes.
        public static let invalidDatabase = Code(raw: .invalidDatabase)
        /// The server does not accept the client's name.
        ///
        /// Permanent until the configuration changes.
        public static let invalidClientName = Code(raw: .invalidClientName)
        /// No sentinel that answered knows a master of that name.
        public static let masterUnknown = Code(raw: .masterUnknown)
        /// The server refused the command; its words are the message.
        public static let command = Code(raw: .command)
        /// The server is reading its data set into memory.
        public static let loading = Code(raw: .loading)
        /// The replica has lost its master and serves no stale data.
        public static let masterDown = Code(raw: .masterDown)
        /// The server is a replica, or has become one.
        public static let readOnly = Code(raw: .readOnly)
        /// The server has reached its memory limit.
        public static let outOfMemory = Code(raw: .outOfMemory)
        /// The server does not have the script.
        public static let noScript = Code(raw: .noScript)
        /// The server is occupied by a script that runs too long.
        public static let busy = Code(raw: .busy)
        /// The server takes no writes while so few replicas are in touch with it.
        public static let tooFewReplicas = Code(raw: .tooFewReplicas)
        /// The server takes no writes because it cannot save them.
        public static let notPersisting = Code(raw: .notPersisting)
        /// The server is a node of a Redis Cluster, which this client does not speak with.
        public static let clusterNotSupported = Code(raw: .clusterNotSupported)
        /// A transaction did not run: a watched key changed, or a command was refused while queueing.
        public static let transactionAborted = Code(raw: .transactionAborted)
        /// The peer does not speak RESP 2, or exceeded a limit.
        public static let protocolViolation = Code(raw: .protocolViolation)
        /// A well-formed reply of a kind that the command does not have.
        public static let unexpectedReply = Code(raw: .unexpectedReply)
        /// The URL cannot be understood.
        public static let invalidURL = Code(raw: .invalidURL)
        /// TLS did not come about; ``RedisError/tlsFailure`` tells why.
        public static let tlsFailed = Code(raw: .tlsFailed)
        /// This process has no memory left for the command.
        public static let outOfMemoryLocally = Code(raw: .outOfMemoryLocally)

        /// The code's name.
        public var description: String { raw.rawValue }
    }

    /// What kind of failure it is.
    public let code: Code
    /// What was attempted, where, and what came back.
    ///
    /// Holds no credentials.
    public let message: String
    /// What caused it, if something else did.
    public let underlying: (any Error)?
    /// What went wrong with TLS, if that is the cause.
    public var tlsFailure: TLSFailure? { (underlying as? TransportError)?.tlsFailure }
    /// Whether the server may have run the command although no answer came.
    public let mayHaveExecuted: Bool

    package init(_ code: Code, _ message: String, underlying: (any Error)? = nil, mayHaveExecuted: Bool = false) {
        self.code = code
        self.message = message
        self.underlying = underlying
        self.mayHaveExecuted = mayHaveExecuted
    }

    /// The code and the message, and the cause where there is one.
    public var description: String {
        underlying.map { "\(code): \(message) (\($0))" } ?? "\(code): \(message)"
    }
}

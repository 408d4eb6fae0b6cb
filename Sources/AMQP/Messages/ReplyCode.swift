/// Why a broker closed a channel or a connection, or returned a message, as the standard numbers it.
///
/// - SeeAlso: AMQP 0-9-1 §1.2; 312 is RabbitMQ's name for what the standard leaves open.
public enum ReplyCode: UInt16, Hashable, Sendable, CaseIterable {
    /// All is well.
    case success = 200
    /// The body is larger than the peer takes.
    case contentTooLarge = 311
    /// No queue took a mandatory message.
    case noRoute = 312
    /// No consumer could take an immediate message.
    case noConsumers = 313
    /// An operator closed the connection, or the broker is stopping.
    case connectionForced = 320
    /// The virtual host does not exist.
    case invalidPath = 402
    /// The credentials or the permissions do not suffice.
    case accessRefused = 403
    /// The queue or exchange does not exist.
    case notFound = 404
    /// The queue belongs exclusively to another connection.
    case resourceLocked = 405
    /// What was asked contradicts what exists.
    case preconditionFailed = 406
    /// A frame could not be read.
    case frameError = 501
    /// A value in a frame was not allowed.
    case syntaxError = 502
    /// The method does not fit the moment, or names something the broker does not know.
    case commandInvalid = 503
    /// The channel was not open, or its number is not allowed.
    case channelError = 504
    /// The frame was not due.
    case unexpectedFrame = 505
    /// The broker has not the means, such as memory or files.
    case resourceError = 506
    /// The broker does not allow this at all.
    case notAllowed = 530
    /// The broker does not have this part of the standard.
    case notImplemented = 540
    /// The broker failed within.
    case internalError = 541

    /// What ends with an error of this code.
    public enum Severity: Hashable, Sendable {
        /// Nothing: it is no error.
        case none
        /// The channel, or only one message.
        case soft
        /// The connection.
        case hard
    }

    /// What the standard ends for it; RabbitMQ does the same, with few exceptions.
    public var severity: Severity {
        switch self {
        case .success: .none
        case .contentTooLarge, .noRoute, .noConsumers, .accessRefused, .notFound, .resourceLocked,
            .preconditionFailed:
            .soft
        case .connectionForced, .invalidPath, .frameError, .syntaxError, .commandInvalid, .channelError,
            .unexpectedFrame, .resourceError, .notAllowed, .notImplemented, .internalError:
            .hard
        }
    }
}

internal import AMQP
internal import CeleriacCore

extension CeleriacError {
    /// An AMQP error in the seam's words.
    init(_ error: AMQPError, attempting attempt: String, isIndeterminate: Bool? = nil) {
        let code: Code =
            switch error.code {
            case .invalidURI, .invalidArgument, .mechanismNotOffered: .configuration
            case .tlsFailed: error.isPermanent(hasLoggedIn: false) ? .configuration : .unavailable
            case .accessRefused: .accessDenied
            case .virtualHostRefused, .notFound: .notFound
            case .preconditionFailed, .resourceLocked: .preconditionFailed
            case .connectionLost, .connectionClosed, .heartbeatMissed, .channelClosed, .protocolViolation:
                .connectionLost
            case .closed: .closed
            case .cancelled: .cancelled
            case .timedOut: .timedOut
            case .nacked: .refused
            case .returned: .unroutable
            case .blocked: .blocked
            case .bodyTooLarge: .tooLarge
            case .tooManyErrors: .internalError
            default: .unavailable
            }
        self.init(
            code,
            "\(attempt): \(error.message)",
            isIndeterminate: isIndeterminate ?? error.isOutcomeUnknown,
            underlying: error
        )
    }
}

extension AMQPError {
    /// Whether the server closed a channel because of what was sent on it.
    var isRefusal: Bool {
        switch code {
        case .accessRefused, .notFound, .preconditionFailed, .resourceLocked: replyCode != nil
        case .bodyTooLarge: replyCode != nil
        default: false
        }
    }

    /// Whether it is the connection that ended.
    var isLossOfConnection: Bool {
        switch code {
        case .connectionLost, .connectionClosed, .heartbeatMissed, .protocolViolation: true
        default: false
        }
    }

    /// Whether the connection or channel ended under the call, so that another one may do.
    var isLoss: Bool {
        switch code {
        case .connectionLost, .connectionClosed, .heartbeatMissed, .channelClosed, .closed, .protocolViolation: true
        default: false
        }
    }

    /// The same, unless it is a wait for an answer of a broker that takes nothing: then it says so.
    ///
    /// A blocked broker reads no declaration either, while it tells only publishes why.
    func explained(by connection: AMQPConnection) -> AMQPError {
        guard code == .timedOut, !isOutcomeUnknown, let reason = connection.currentBlockedReason else { return self }
        return AMQPError(.blocked, "\(connection.peer) blocks publishers: \(reason)", underlying: self)
    }
}

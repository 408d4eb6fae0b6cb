/// An entity that the broker did not take back.
public struct RestoreFailure: Sendable {
    /// What was to be brought back.
    public let entity: RecoverableEntity
    /// What the broker said, or why it could not be asked.
    public let error: AMQPError
    /// How often it has failed since the connection came about, this time included; or, if the connection ended for an
    /// error meanwhile, on how many connections in a row: after the third, it is not tried again.
    public let attempts: Int
}

/// What becomes of a connection after a ``RestoreFailure``.
public enum RestoreDecision: Hashable, Sendable {
    /// Goes on without the entity until the next recovery.
    case skip
    /// Tries again after a pause; what does not depend on the entity goes on.
    case retry
    /// Closes the connection: without the entity it is of no use.
    case giveUp

    /// Retries what may mend itself and skips the rest.
    ///
    /// A queue can be locked by the connection that was lost, for as long as the broker has not noticed its end.
    public static func standard(_ failure: RestoreFailure) -> RestoreDecision {
        switch failure.error.code {
        case .resourceLocked, .timedOut, .channelLimit: failure.attempts < 15 ? .retry : .skip
        default: .skip
        }
    }
}

extension AMQPError {
    /// Whether connecting again cannot help: the address, the login or the virtual host is wrong.
    ///
    /// - Parameter hasLoggedIn: Whether this login has succeeded before: then a stream that ends in the middle of a
    ///   login is a fault of the network, and no refusal.
    package func isPermanent(hasLoggedIn: Bool) -> Bool {
        switch code {
        case .invalidURI, .invalidArgument, .mechanismNotOffered, .tooManyErrors: true
        // Where a broker has answered before, something else answers for it while it is away, such as a balancer's
        // HTTP.
        case .foreignProtocol: !hasLoggedIn
        case .tlsFailed: tlsFailure?.isPermanent ?? false
        case .accessRefused: replyCode != nil || underlying == nil || !hasLoggedIn
        // A limit of connections is refused with the same reply, and may be a dead connection's place.
        case .virtualHostRefused: !message.contains("limit")
        default: false
        }
    }

    /// Whether it is the connection that has ended.
    var endsConnection: Bool {
        switch code {
        case .connectionLost, .connectionClosed, .heartbeatMissed, .protocolViolation: true
        default: false
        }
    }

    /// Whether the connection or channel ended through no fault of the operation, so that it may be made again.
    var isInterruption: Bool {
        switch code {
        case .connectionLost, .heartbeatMissed: true
        // 320: an operator, or the broker going down.
        case .connectionClosed: replyCode == 320
        case .channelClosed: replyCode == nil
        default: false
        }
    }

    /// Whether one side ended the whole connection because of what the other one sent, or the broker because it failed
    /// over it (541).
    ///
    /// Noise on the line looks the same, but does not come again and again.
    var isConnectionError: Bool {
        switch code {
        // §1.2: 320 alone, an operator or the broker going down, is no error.
        case .connectionClosed: replyCode != 320
        case .protocolViolation: true
        default: false
        }
    }
}

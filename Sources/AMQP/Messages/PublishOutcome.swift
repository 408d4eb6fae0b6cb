/// A message that came back because no queue took it.
public struct ReturnedMessage: Hashable, Sendable {
    /// The reason's number, such as 312.
    public let replyNumber: UInt16
    /// The reason in the broker's words, such as `NO_ROUTE`.
    public let replyText: String
    /// The exchange that it was published to.
    public let exchange: String
    /// The routing key that it was published with.
    public let routingKey: String

    /// The reason, if the standard or RabbitMQ names it.
    public var code: ReplyCode? { ReplyCode(rawValue: replyNumber) }
}

/// How a publish ended.
public enum PublishOutcome: Sendable {
    /// The broker has taken responsibility for the message.
    case confirmed
    /// The broker refused it, as a full queue does whose overflow is to reject.
    case nacked
    /// It was mandatory and no queue took it.
    case returned(ReturnedMessage)
    /// It was not sent, or the broker cannot have taken it.
    case failed(AMQPError)
    /// It was sent, and whether it arrived is not known.
    case unknown(AMQPError)

    /// What a publish that returned or threw means.
    public init(_ result: Result<Void, AMQPError>) {
        switch result {
        case .success: self = .confirmed
        case .failure(let error) where error.code == .nacked: self = .nacked
        case .failure(let error):
            if let returned = error.returned {
                self = .returned(returned)
            } else {
                self = error.isOutcomeUnknown ? .unknown(error) : .failed(error)
            }
        }
    }
}

extension AMQPChannel {
    /// Publishes a message as ``publish(_:timeout:)->()`` does, and tells how it ended.
    public func outcome(ofPublishing message: AMQPMessage, timeout: Duration? = nil) async -> PublishOutcome {
        do throws(AMQPError) {
            try await publish(message, timeout: timeout)
            return .confirmed
        } catch {
            return PublishOutcome(.failure(error))
        }
    }
}

public import Transport

/// Why an operation on a connection, channel or consumer failed.
public struct AMQPError: Error, Sendable, CustomStringConvertible {
    /// The kinds of failure, an open set.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Raw: String {
            case invalidURI, tlsFailed, unreachable, timedOut, foreignProtocol, accessRefused, virtualHostRefused
            case mechanismNotOffered
            case connectionLost, connectionClosed, heartbeatMissed, closed, protocolViolation, channelClosed, notFound
            case resourceLocked, preconditionFailed, channelLimit, nacked, returned, blocked, bodyTooLarge
            case consumerCancelled, invalidArgument, cancelled, channelMode, remoteFailure
            case staleDelivery, recovering, unsupported, tooManyErrors
        }
        private let raw: Raw

        /// The URI cannot be understood.
        public static let invalidURI = Code(raw: .invalidURI)
        /// TLS did not come about; ``AMQPError/tlsFailure`` tells why.
        public static let tlsFailed = Code(raw: .tlsFailed)
        /// No TCP connection came about; the transport's error is the underlying one.
        public static let unreachable = Code(raw: .unreachable)
        /// The deadline passed.
        public static let timedOut = Code(raw: .timedOut)
        /// Something other than an AMQP 0-9-1 server answered.
        public static let foreignProtocol = Code(raw: .foreignProtocol)
        /// The credentials or the permissions do not suffice (403).
        public static let accessRefused = Code(raw: .accessRefused)
        /// The server offers none of the login mechanisms that were chosen.
        public static let mechanismNotOffered = Code(raw: .mechanismNotOffered)
        /// The virtual host is missing, or closed to this user (530).
        public static let virtualHostRefused = Code(raw: .virtualHostRefused)
        /// The TCP connection ended without a goodbye.
        public static let connectionLost = Code(raw: .connectionLost)
        /// The server closed the connection, with a reply code.
        public static let connectionClosed = Code(raw: .connectionClosed)
        /// The server was silent for two heartbeat intervals.
        public static let heartbeatMissed = Code(raw: .heartbeatMissed)
        /// This side closed the connection or the channel.
        public static let closed = Code(raw: .closed)
        /// The server sent what the protocol does not allow; the connection was closed for it.
        public static let protocolViolation = Code(raw: .protocolViolation)
        /// The server closed the channel for another reason than those with a code of their own; or this side did,
        /// because the broker owes it too many confirmations.
        public static let channelClosed = Code(raw: .channelClosed)
        /// No such queue or exchange (404).
        public static let notFound = Code(raw: .notFound)
        /// The queue belongs exclusively to another connection (405).
        public static let resourceLocked = Code(raw: .resourceLocked)
        /// What was asked contradicts what exists, such as a redeclaration with other arguments (406).
        public static let preconditionFailed = Code(raw: .preconditionFailed)
        /// All channels that were negotiated are in use.
        public static let channelLimit = Code(raw: .channelLimit)
        /// The broker took no responsibility for the message.
        public static let nacked = Code(raw: .nacked)
        /// The message was mandatory and no queue took it.
        public static let returned = Code(raw: .returned)
        /// The broker blocked publishers for longer than the deadline; the message was not sent.
        public static let blocked = Code(raw: .blocked)
        /// The body is larger than the local limit; nothing was sent.
        public static let bodyTooLarge = Code(raw: .bodyTooLarge)
        /// The broker ended the consumer, usually because its queue was deleted.
        public static let consumerCancelled = Code(raw: .consumerCancelled)
        /// An argument cannot be expressed on the wire, such as a name of more than 255 octets; nothing was sent.
        public static let invalidArgument = Code(raw: .invalidArgument)
        /// The channel confirms publishes and was asked for a transaction, or the reverse; nothing was sent.
        public static let channelMode = Code(raw: .channelMode)
        /// The waiting task was cancelled; only the wait ended.
        public static let cancelled = Code(raw: .cancelled)
        /// The server of a call failed and said so; ``AMQPError/rpcFailure`` is what it said.
        public static let remoteFailure = Code(raw: .remoteFailure)
        /// The delivery came over a channel that is gone, or another one: the broker delivers its message again.
        public static let staleDelivery = Code(raw: .staleDelivery)
        /// There is no connection now, and the call cannot wait for the next one.
        public static let recovering = Code(raw: .recovering)
        /// The server is another one, or an older one, than what was asked for needs.
        public static let unsupported = Code(raw: .unsupported)
        /// One connection after the other ended for errors in what one side sent to the other: a defect of either, which
        /// connecting again does not mend.
        public static let tooManyErrors = Code(raw: .tooManyErrors)

        /// The code's name.
        public var description: String { raw.rawValue }
    }

    /// What kind of failure it is.
    public var code: Code { details.code }
    /// What was attempted, where, and what the server answered; never a credential.
    public var message: String { details.message }
    /// The server's reply code, when a reply of the server is the cause.
    public var replyCode: UInt16? { details.replyCode }
    /// What the broker said, when it closed the channel or the connection.
    public var reply: ServerReply? { details.reply }
    /// What came back, when a mandatory message did.
    public var returned: ReturnedMessage? { details.returned }
    /// The cause in a lower layer, if there is one.
    public var underlying: (any Error)? { details.underlying }
    /// Whether a publish that failed with this may have reached the broker all the same.
    public var isOutcomeUnknown: Bool { details.isOutcomeUnknown }

    /// By reference, so that the result of each publish of a batch, which mostly has none, takes a word.
    private let details: Details

    private final class Details: Sendable {
        let code: Code
        let message: String
        let replyCode: UInt16?
        let reply: ServerReply?
        let returned: ReturnedMessage?
        let underlying: (any Error)?
        let isOutcomeUnknown: Bool

        init(
            _ code: Code,
            _ message: String,
            _ replyCode: UInt16?,
            _ reply: ServerReply?,
            _ returned: ReturnedMessage?,
            _ underlying: (any Error)?,
            _ isOutcomeUnknown: Bool
        ) {
            self.code = code
            self.message = message
            self.replyCode = replyCode
            self.reply = reply
            self.returned = returned
            self.underlying = underlying
            self.isOutcomeUnknown = isOutcomeUnknown
        }
    }

    package init(
        _ code: Code,
        _ message: String,
        replyCode: UInt16? = nil,
        underlying: (any Error)? = nil,
        isOutcomeUnknown: Bool = false,
        reply: ServerReply? = nil,
        returned: ReturnedMessage? = nil
    ) {
        details = Details(code, message, replyCode, reply, returned, underlying, isOutcomeUnknown)
    }

    /// What went wrong with TLS, if that is the cause.
    public var tlsFailure: TLSFailure? { (underlying as? TransportError)?.tlsFailure }

    /// The code and the message on one line.
    public var description: String { "\(code): \(message)" }

    static func stale(_ tag: DeliveryTag) -> AMQPError {
        let text = "delivery \(tag.number) did not come over this channel as it is now; the broker delivers it again"
        return AMQPError(.staleDelivery, text)
    }

    /// The same failure as seen by a publish that had been sent, or had not.
    func publishing(wasSent: Bool) -> AMQPError {
        AMQPError(
            code,
            message,
            replyCode: replyCode,
            underlying: underlying,
            isOutcomeUnknown: wasSent,
            reply: reply,
            returned: returned
        )
    }
}

extension AMQPError: Equatable {
    /// Whether both say the same; underlying errors are compared by their text.
    public static func == (left: AMQPError, right: AMQPError) -> Bool {
        left.code == right.code && left.message == right.message && left.replyCode == right.replyCode
            && left.isOutcomeUnknown == right.isOutcomeUnknown
            && left.underlying.map { "\($0)" } == right.underlying.map { "\($0)" }
    }
}

extension AMQPError {
    /// What a channel's `close` from the server means.
    init(channelClose close: Method.ChannelClose, channel: UInt16) {
        let code: Code =
            switch close.replyCode {
            case 403: .accessRefused
            case 404: .notFound
            case 405: .resourceLocked
            case 406: .preconditionFailed
            case 311: .bodyTooLarge
            default: .channelClosed
            }
        let reply = ServerReply(
            number: close.replyCode,
            text: close.replyText,
            classID: close.classID,
            methodID: close.methodID
        )
        let text = "the server closed channel \(channel): \(reply)"
        self.init(code, text, replyCode: close.replyCode, reply: reply)
    }

    /// What the return of a mandatory message means for its publish.
    init(returned message: AMQPMessage, _ replyCode: UInt16, _ replyText: String) {
        let returned = ReturnedMessage(
            replyNumber: replyCode,
            replyText: replyText,
            exchange: message.exchange,
            routingKey: message.routingKey
        )
        let address =
            message.exchange.isEmpty
            ? "there is no queue \"\(message.routingKey)\""
            : "exchange \"\(message.exchange)\" has no binding for it with routing key \"\(message.routingKey)\""
        let text = "no queue took the message: \(replyCode) \(replyText); \(address)"
        self.init(.returned, text, replyCode: replyCode, returned: returned)
    }

    /// Why no stream came about.
    init(connecting error: TransportError) {
        let code: Code =
            switch error.code {
            case .timedOut: .timedOut
            case .cancelled: .cancelled
            case .tlsFailed: .tlsFailed
            default: .unreachable
            }
        self.init(code, error.message, underlying: error)
    }

    /// What the end of a channel means to calls on it that are not to blame.
    func endingOthers(on channel: UInt16) -> AMQPError {
        // A body too large for this side has no reply code, and is nobody's fault but its consumer's.
        guard code == .bodyTooLarge || (replyCode != nil && code != .connectionClosed) else { return self }
        return AMQPError(.channelClosed, "channel \(channel) ended for another call: \(message)", underlying: self)
    }

    /// What the loss of the stream means on an open connection.
    init(lost reason: TransportError, peer: String) {
        self.init(.connectionLost, "lost the connection to \(peer): \(reason.message)", underlying: reason)
    }
}

/// The client's side of a connection: handshake, tuning, blocking, closing.
///
/// Decides; touches nothing.
package struct ConnectionStateMachine: Sendable {
    /// What the client brings to the handshake.
    package struct Login: Sendable {
        package var user: String
        package var password: String
        /// In order of preference.
        package var mechanisms: [AMQPLogin]
        package var virtualHost: String
        package var clientProperties: FieldTable
        /// Zero means no limit of our own.
        package var channelMax: UInt16
        package var frameMax: UInt32
        /// Seconds; zero turns heartbeats off.
        package var heartbeat: UInt16

        package init(
            user: String,
            password: String,
            mechanisms: [AMQPLogin] = [.plain, .amqplain],
            virtualHost: String,
            clientProperties: FieldTable = [:],
            channelMax: UInt16 = 2047,
            frameMax: UInt32 = 131_072,
            heartbeat: UInt16 = 20
        ) {
            self.user = user
            self.password = password
            self.mechanisms = mechanisms
            self.virtualHost = virtualHost
            self.clientProperties = clientProperties
            self.channelMax = channelMax
            self.frameMax = frameMax
            self.heartbeat = heartbeat
        }
    }

    /// What both sides agreed on.
    package struct Tuning: Hashable, Sendable {
        package var channelMax: UInt16
        package var frameMax: Int
        package var heartbeat: UInt16
    }

    package enum Action: Equatable, Sendable {
        case none
        case sendProtocolHeader
        case send(Method)
        /// The limits hold from now on; both methods are sent.
        case tuned(Tuning, send: [Method])
        case opened
        /// The oldest request for a new secret has been granted.
        case secretUpdated
        case blocked(String)
        case unblocked
        /// Everything on the connection fails with the error; the method, if any, is the last thing sent.
        case fail(AMQPError, send: Method?)
    }

    private enum State: Sendable {
        case idle
        case awaitingStart
        case awaitingTune
        case awaitingOpenOk
        case open
        case closing
        case closed
    }

    /// What a frame may be at most, whatever was asked for: half of what a stream keeps of a frame's beginning.
    private static let largestFrame: UInt32 = 8 << 20

    private var state = State.idle
    /// What the server told of itself.
    package private(set) var serverProperties: FieldTable = [:]
    private let login: Login
    private let peer: String
    private var mechanism: AMQPLogin?
    private var challenges = 0
    private var pendingSecrets = 0

    /// A login that takes longer than this is no login.
    private static let mostChallenges = 16

    package init(login: Login, peer: String) {
        self.login = login
        self.peer = peer
    }

    package var isOpen: Bool {
        if case .open = state { true } else { false }
    }

    /// Whether frames other than the answer to our `close` are still of interest.
    package var isClosing: Bool {
        switch state {
        case .closing, .closed: true
        case .idle, .awaitingStart, .awaitingTune, .awaitingOpenOk, .open: false
        }
    }

    /// Whether the server's first frame is still to come, in which place another protocol may answer.
    package var awaitsFirstFrame: Bool {
        if case .awaitingStart = state { true } else { false }
    }

    package mutating func connected() -> Action {
        guard case .idle = state else { return .none }
        state = .awaitingStart
        return .sendProtocolHeader
    }

    package mutating func received(_ method: Method) -> Action {
        switch (state, method) {
        case (.awaitingStart, .connectionStart(let start)):
            return answer(start)
        case (.awaitingTune, .connectionTune(let tune)):
            return answer(tune)
        case (.awaitingTune, .connectionSecure(let secure)):
            return answer(secure)
        case (.awaitingOpenOk, .connectionOpenOk):
            state = .open
            return .opened
        case (.open, .connectionBlocked(let blocked)):
            return .blocked(blocked.reason)
        case (.open, .connectionUnblocked):
            return .unblocked
        case (.open, .connectionUpdateSecretOk) where pendingSecrets > 0:
            pendingSecrets -= 1
            return .secretUpdated
        case (.awaitingStart, .connectionClose(let close)), (.awaitingTune, .connectionClose(let close)),
            (.awaitingOpenOk, .connectionClose(let close)), (.open, .connectionClose(let close)):
            let error = meaning(of: close)
            state = .closed
            return .fail(error, send: .connectionCloseOk)
        case (.closing, .connectionCloseOk):
            state = .closed
            return .fail(closedHere, send: nil)
        case (.closing, .connectionClose):
            // Both sides closed at once: each still answers the other (§1.4.2.8).
            state = .closed
            return .fail(closedHere, send: .connectionCloseOk)
        case (.closing, _), (.closed, _):
            return .none
        case (.idle, _), (.awaitingStart, _), (.awaitingTune, _), (.awaitingOpenOk, _), (.open, _):
            return refuse(.unexpectedMethod("\(method.name) is not allowed now"))
        }
    }

    /// An update-secret is on its way, and will be answered.
    package mutating func secretSent() {
        pendingSecrets += 1
    }

    /// The peer sent something that cannot be read or must not be.
    package mutating func failed(_ error: FrameError) -> Action {
        refuse(error)
    }

    package mutating func closeRequested() -> Action {
        switch state {
        case .open:
            state = .closing
            return .send(.connectionClose(.init(replyCode: 200, replyText: "goodbye", classID: 0, methodID: 0)))
        case .idle, .awaitingStart, .awaitingTune, .awaitingOpenOk:
            state = .closed
            return .fail(closedHere, send: nil)
        case .closing, .closed:
            return .none
        }
    }

    /// The stream ended, or was given up.
    package mutating func disconnected(_ error: AMQPError) -> Action {
        defer { state = .closed }
        // With TLS 1.3 a server can refuse the client's certificate only after the client has finished its handshake.
        let isTLS = error.tlsFailure != nil && error.tlsFailure != .truncated
        switch state {
        case .closed: return .none
        case .closing: return .fail(closedHere, send: nil)
        case .awaitingStart where isTLS, .awaitingTune where isTLS:
            return .fail(AMQPError(.tlsFailed, error.message, underlying: error.underlying), send: nil)
        case .awaitingTune where error.code == .connectionLost:
            // Servers before the authentication_failure_close capability answer bad credentials with silence.
            let text = "\(peer) closed the stream after the login as \"\(login.user)\": probably refused credentials"
            return .fail(AMQPError(.accessRefused, text, underlying: error.underlying), send: nil)
        case .idle, .awaitingStart, .awaitingTune, .awaitingOpenOk, .open:
            return .fail(error, send: nil)
        }
    }

    // MARK: Steps of the handshake

    private mutating func answer(_ start: Method.ConnectionStart) -> Action {
        guard start.versionMajor == 0, start.versionMinor == 9 else {
            return refuse(.foreignProtocol("AMQP \(start.versionMajor)-\(start.versionMinor)"))
        }
        serverProperties = start.serverProperties
        let offered = start.mechanisms.split(separator: " ").map(String.init)
        guard let mechanism = login.mechanisms.first(where: { offered.contains($0.mechanism) }) else {
            state = .closed
            let wanted = login.mechanisms.map(\.mechanism).joined(separator: " or ")
            let text = "\(peer) offers no login by \(wanted), only by: \(offered.joined(separator: " "))"
            return .fail(AMQPError(.mechanismNotOffered, text), send: nil)
        }
        self.mechanism = mechanism
        state = .awaitingTune
        return respond(to: nil) { [login] response in
            .connectionStartOk(
                .init(
                    clientProperties: login.clientProperties,
                    mechanism: mechanism.mechanism,
                    response: response,
                    locale: "en_US"
                )
            )
        }
    }

    private mutating func answer(_ secure: Method.ConnectionSecure) -> Action {
        challenges += 1
        guard challenges <= Self.mostChallenges else {
            return refuse(.unexpectedMethod("more than \(Self.mostChallenges) challenges"))
        }
        return respond(to: secure.challenge) { .connectionSecureOk(.init(response: $0)) }
    }

    private mutating func respond(to challenge: [UInt8]?, _ method: ([UInt8]) -> Method) -> Action {
        let name = mechanism?.mechanism ?? ""
        do {
            guard let response = try mechanism?.respond(login.user, login.password, challenge) else {
                return refuse(.unexpectedMethod("a challenge to which \(name) has no answer"))
            }
            return .send(method(response))
        } catch let error as AMQPError {
            state = .closed
            return .fail(error, send: nil)
        } catch {
            // What went wrong in a mechanism of the user's own may quote a secret.
            state = .closed
            let text = "no answer to \(peer) could be made by the login mechanism \(name)"
            return .fail(AMQPError(.accessRefused, text, underlying: error), send: nil)
        }
    }

    private mutating func answer(_ tune: Method.ConnectionTune) -> Action {
        let tuning = Tuning(
            channelMax: Self.lower(tune.channelMax, login.channelMax, ifUnlimited: .max),
            frameMax: Int(min(Self.largestFrame, Self.lower(tune.frameMax, login.frameMax, ifUnlimited: 1 << 20))),
            // A client that wants no heartbeats has the last word with its tune-ok.
            heartbeat: login.heartbeat == 0 ? 0 : Self.lower(tune.heartbeat, login.heartbeat, ifUnlimited: 0)
        )
        // §4.2.3: frame-min-size.
        guard tuning.frameMax >= 4096 else {
            return refuse(.unexpectedMethod("a frame-max of \(tuning.frameMax), less than the standard's 4096"))
        }
        state = .awaitingOpenOk
        let answer = Method.ConnectionTuneOk(
            channelMax: tuning.channelMax,
            frameMax: UInt32(tuning.frameMax),
            heartbeat: tuning.heartbeat
        )
        return .tuned(
            tuning,
            send: [.connectionTuneOk(answer), .connectionOpen(.init(virtualHost: login.virtualHost))]
        )
    }

    /// The lower of two limits of which zero means none.
    private static func lower<N: FixedWidthInteger>(_ left: N, _ right: N, ifUnlimited: N) -> N {
        switch (left, right) {
        case (0, 0): ifUnlimited
        case (0, _): right
        case (_, 0): left
        case (_, _): min(left, right)
        }
    }

    // MARK: Ends

    private var closedHere: AMQPError { AMQPError(.closed, "the connection to \(peer) was closed by this side") }

    private func meaning(of close: Method.ConnectionClose) -> AMQPError {
        let reply = ServerReply(
            number: close.replyCode,
            text: close.replyText,
            classID: close.classID,
            methodID: close.methodID
        )
        let text = "\(reply)"
        // RabbitMQ's answer does not tell this most common reason.
        let isUser = mechanism?.mechanism != AMQPLogin.external.mechanism
        let who = isUser ? "\"\(login.user)\"" : "the client certificate's user"
        let hint =
            isUser && login.user == "guest"
            ? "; brokers let the user guest in from loopback addresses only, by default" : ""
        return switch (state, close.replyCode) {
        case (.awaitingTune, 403), (.awaitingOpenOk, 403):
            AMQPError(
                .accessRefused,
                "\(peer) refused \(who): \(text)\(hint)",
                replyCode: close.replyCode,
                reply: reply
            )
        case (.awaitingOpenOk, 530), (.awaitingOpenOk, 404), (.awaitingOpenOk, 402):
            AMQPError(
                .virtualHostRefused,
                "\(peer) refused virtual host \"\(login.virtualHost)\": \(text)",
                replyCode: close.replyCode,
                reply: reply
            )
        default:
            AMQPError(
                .connectionClosed,
                "\(peer) closed the connection: \(text)",
                replyCode: close.replyCode,
                reply: reply
            )
        }
    }

    private mutating func refuse(_ error: FrameError) -> Action {
        defer { state = .closed }
        let code: AMQPError.Code = if case .foreignProtocol = error { .foreignProtocol } else { .protocolViolation }
        let failure = AMQPError(code, "\(peer): \(error)", replyCode: nil, underlying: error)
        switch state {
        case .closed: return .none
        case .closing: return .fail(closedHere, send: nil)
        case .idle, .awaitingStart: return .fail(failure, send: nil)
        case .awaitingTune, .awaitingOpenOk, .open:
            let close = Method.ConnectionClose(
                replyCode: error.replyCode,
                // A short string has 255 octets; a character cut in two grows by its replacement.
                replyText: String(decoding: "\(error)".utf8.prefix(240), as: UTF8.self),
                classID: 0,
                methodID: 0
            )
            return .fail(failure, send: .connectionClose(close))
        }
    }
}

extension ConnectionStateMachine.Login: CustomStringConvertible, CustomReflectable {
    package var description: String { "login as \(user)" }
    package var customMirror: Mirror { Mirror(self, children: ["user": user]) }
}

import Testing
import Transport

@testable import AMQP

@Suite("Logging in") struct LoginTests {
    private struct Leak: Error { let text = "canary" }

    private func machine(
        user: String = "user",
        password: String = "canary",
        _ mechanisms: [AMQPLogin],
        offered: String = "PLAIN AMQPLAIN EXTERNAL SPECIAL"
    ) -> (ConnectionStateMachine, ConnectionStateMachine.Action) {
        let login = ConnectionStateMachine.Login(
            user: user,
            password: password,
            mechanisms: mechanisms,
            virtualHost: "/"
        )
        var machine = ConnectionStateMachine(login: login, peer: "peer")
        _ = machine.connected()
        let action = machine.received(
            .connectionStart(.init(versionMajor: 0, versionMinor: 9, mechanisms: offered, locales: "en_US"))
        )
        return (machine, action)
    }

    private func startOk(_ action: ConnectionStateMachine.Action) -> Method.ConnectionStartOk? {
        if case .send(.connectionStartOk(let startOk)) = action { startOk } else { nil }
    }

    private func failure(_ action: ConnectionStateMachine.Action) -> AMQPError? {
        if case .fail(let error, _) = action { error } else { nil }
    }

    @Test("Each mechanism says what it must")
    func responses() {
        func response(_ login: AMQPLogin) -> [UInt8]? { startOk(machine([login]).1)?.response }
        #expect(response(.plain) == Array("\0user\0canary".utf8))
        #expect(response(.token("t")) == Array("\0user\0t".utf8))
        #expect(response(.external) == [])
        let table: [UInt8] =
            [5] + Array("LOGIN".utf8) + [UInt8(ascii: "S"), 0, 0, 0, 4] + Array("user".utf8)
            + [8] + Array("PASSWORD".utf8) + [UInt8(ascii: "S"), 0, 0, 0, 6] + Array("canary".utf8)
        #expect(response(.amqplain) == table)
    }

    @Test("The first mechanism that the server offers is taken")
    func choice() {
        let (_, action) = machine([.external, .amqplain, .plain], offered: "PLAIN AMQPLAIN")
        #expect(startOk(action)?.mechanism == "AMQPLAIN")
        let (_, refused) = machine([.external], offered: "PLAIN AMQPLAIN")
        #expect(failure(refused)?.code == .mechanismNotOffered)
        #expect(failure(refused)?.message == "peer offers no login by EXTERNAL, only by: PLAIN AMQPLAIN")
    }

    @Test("Challenges go to the mechanism, and an empty one gets the response again")
    func challenges() {
        let special = AMQPLogin.custom("SPECIAL") { challenge in (challenge ?? [0]) + [1] }
        var (machine, action) = machine([special])
        #expect(startOk(action)?.response == [0, 1])
        let answer = machine.received(.connectionSecure(.init(challenge: [7])))
        #expect(answer == .send(.connectionSecureOk(.init(response: [7, 1]))))

        var (plain, _) = self.machine([.plain])
        let again = plain.received(.connectionSecure(.init(challenge: [])))
        #expect(again == .send(.connectionSecureOk(.init(response: Array("\0user\0canary".utf8)))))
        #expect(failure(plain.received(.connectionSecure(.init(challenge: [1]))))?.code == .protocolViolation)
    }

    @Test("A server that challenges without end is left")
    func endless() {
        var (machine, _) = machine([.external])
        var actions: [ConnectionStateMachine.Action] = []
        for _ in 0..<20 { actions.append(machine.received(.connectionSecure(.init(challenge: [])))) }
        #expect(actions.contains { failure($0)?.code == .protocolViolation })
    }

    @Test("A mechanism that fails ends the login, without its words")
    func failing() {
        let (_, action) = machine([.custom("SPECIAL") { _ in throw Leak() }])
        let error = failure(action)
        #expect(error?.code == .accessRefused)
        #expect(error?.underlying is Leak)
        #expect(error.map { "\($0)".contains("canary") } == false)
        #expect(failure(machine(user: "a\0b", [.plain]).1)?.code == .invalidArgument)
    }

    @Test("Only guest is told of the loopback")
    func guest() {
        func refusal(_ user: String) -> String? {
            var (machine, _) = machine(user: user, [.plain])
            let close = Method.ConnectionClose(replyCode: 403, replyText: "ACCESS_REFUSED", classID: 0, methodID: 0)
            return failure(machine.received(.connectionClose(close)))?.message
        }
        #expect(refusal("guest")?.contains("loopback") == true)
        #expect(refusal("user")?.contains("loopback") == false)
    }

    @Test("A refusal of the client's certificate after the handshake is one of TLS")
    func lateRefusal() {
        for methods in [[], [startMethod]] {
            let login = ConnectionStateMachine.Login(user: "u", password: "canary", virtualHost: "/")
            var machine = ConnectionStateMachine(login: login, peer: "peer")
            _ = machine.connected()
            for method in methods { _ = machine.received(method) }
            let reason = TransportError(.clientCertificateRequired, "no certificate")
            let error = failure(machine.disconnected(AMQPError(lost: reason, peer: "peer")))
            #expect(error?.code == .tlsFailed)
            #expect(error?.tlsFailure == .clientCertificateRequired)
        }
    }

    private var startMethod: AMQP.Method {
        .connectionStart(.init(versionMajor: 0, versionMinor: 9, mechanisms: "PLAIN", locales: "en_US"))
    }

    @Test("Only an update of the secret that was asked for is granted")
    func updateSecret() {
        func open() -> ConnectionStateMachine {
            var (machine, _) = machine([.plain])
            _ = machine.received(.connectionTune(.init(channelMax: 0, frameMax: 0, heartbeat: 0)))
            _ = machine.received(.connectionOpenOk)
            return machine
        }
        var asked = open()
        asked.secretSent()
        #expect(asked.received(.connectionUpdateSecretOk) == .secretUpdated)
        #expect(failure(asked.received(.connectionUpdateSecretOk))?.code == .protocolViolation)
    }

    @Test("What logs somebody in is not printed")
    func masked() {
        let (_, action) = machine([.plain, .token("canary")])
        let secrets: [Any] = [
            action, AMQPLogin.token("canary"),
            Method.connectionUpdateSecret(.init(secret: Array("canary".utf8), reason: "r")),
            ConnectionStateMachine.Login(user: "u", password: "canary", virtualHost: "/"),
        ]
        let octets = Array("canary".utf8).map(String.init).joined(separator: ", ")
        for secret in secrets {
            var text = "\(secret) \(String(reflecting: secret))"
            dump(secret, to: &text)
            #expect(!text.contains("canary") && !text.contains(octets) && !text.contains("- 99\n"), "\(text)")
        }
    }

    @Test("A server's own protocol header is read although it closes at once", .timeLimit(.minutes(1)))
    func versionMismatch() async throws {
        let broker = FakeBroker { peer in
            // Unread input makes the kernel reset the connection behind the header.
            peer.send(Array("AMQP".utf8) + [0, 1, 0, 0])
        }
        let error = await #expect(throws: AMQPError.self) { _ = try await AMQPConnection.connect(to: broker.uri) }
        #expect(error?.code == .foreignProtocol)
        #expect(error?.message.contains("AMQP 1-0") == true)
    }
}

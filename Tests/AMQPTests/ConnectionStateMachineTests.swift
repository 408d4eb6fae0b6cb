import Testing
import Transport

@testable import AMQP

@Suite("Connection state machine") struct ConnectionStateMachineTests {
    private static let login = ConnectionStateMachine.Login(
        user: "guest",
        password: "canary",
        virtualHost: "/v",
        clientProperties: ["product": "test"]
    )
    private static let start = Method.connectionStart(
        .init(versionMajor: 0, versionMinor: 9, serverProperties: [:], mechanisms: "AMQPLAIN PLAIN", locales: "en_US")
    )
    private static let tune = Method.connectionTune(.init(channelMax: 2047, frameMax: 131_072, heartbeat: 60))
    private static let close = Method.connectionClose(
        .init(replyCode: 320, replyText: "CONNECTION_FORCED", classID: 0, methodID: 0)
    )

    /// A machine that has been through the handshake up to a method of the server.
    private func machine(after methods: [Method]) -> ConnectionStateMachine {
        var machine = ConnectionStateMachine(login: Self.login, peer: "peer")
        _ = machine.connected()
        for method in methods { _ = machine.received(method) }
        return machine
    }

    private func failure(_ action: ConnectionStateMachine.Action) -> AMQPError? {
        if case .fail(let error, _) = action { error } else { nil }
    }

    @Test("The handshake goes header, start, tune, open")
    func handshake() {
        var machine = ConnectionStateMachine(login: Self.login, peer: "peer")
        #expect(machine.connected() == .sendProtocolHeader)
        let response = [0] + Array("guest".utf8) + [0] + Array("canary".utf8)
        let startOk = Method.ConnectionStartOk(
            clientProperties: ["product": "test"],
            mechanism: "PLAIN",
            response: response,
            locale: "en_US"
        )
        #expect(machine.received(Self.start) == .send(.connectionStartOk(startOk)))
        let tuning = ConnectionStateMachine.Tuning(channelMax: 2047, frameMax: 131_072, heartbeat: 20)
        let answers: [Method] = [
            .connectionTuneOk(.init(channelMax: 2047, frameMax: 131_072, heartbeat: 20)),
            .connectionOpen(.init(virtualHost: "/v")),
        ]
        #expect(machine.received(Self.tune) == .tuned(tuning, send: answers))
        #expect(!machine.isOpen)
        #expect(machine.received(.connectionOpenOk) == .opened)
        #expect(machine.isOpen)
    }

    @Test(
        "The lower limit counts, and zero is no limit",
        arguments: [
            // server, client, agreed: channels, octets, seconds
            ((0, 0, 0), (0, 0, 20), (65_535, 1 << 20, 20)),
            ((100, 4096, 5), (2047, 131_072, 20), (100, 4096, 5)),
            ((2047, 131_072, 60), (10, 8192, 20), (10, 8192, 20)),
            ((2047, 131_072, 60), (0, 0, 0), (2047, 131_072, 0)),
            ((0, .max, 0), (0, 0, 1), (65_535, 8 << 20, 1)),
        ] as [((UInt16, UInt32, UInt16), (UInt16, UInt32, UInt16), (UInt16, Int, UInt16))]
    )
    func tuning(
        _ server: (UInt16, UInt32, UInt16),
        _ client: (UInt16, UInt32, UInt16),
        _ agreed: (UInt16, Int, UInt16)
    ) {
        var login = Self.login
        (login.channelMax, login.frameMax, login.heartbeat) = client
        var machine = ConnectionStateMachine(login: login, peer: "peer")
        _ = machine.connected()
        _ = machine.received(Self.start)
        let action = machine.received(
            .connectionTune(.init(channelMax: server.0, frameMax: server.1, heartbeat: server.2))
        )
        guard case .tuned(let tuning, _) = action else {
            Issue.record("\(action)")
            return
        }
        #expect(tuning == .init(channelMax: agreed.0, frameMax: agreed.1, heartbeat: agreed.2))
    }

    @Test("A frame-max below the standard's minimum is refused")
    func tinyFrames() {
        var machine = machine(after: [Self.start])
        let action = machine.received(.connectionTune(.init(channelMax: 1, frameMax: 100, heartbeat: 1)))
        #expect(failure(action)?.code == .protocolViolation)
    }

    @Test("A close of the server has a code for where it comes")
    func closedByServer() {
        func refusal(_ code: UInt16, after methods: [Method]) -> AMQPError? {
            var machine = machine(after: methods)
            let close = Method.ConnectionClose(replyCode: code, replyText: "TEXT", classID: 0, methodID: 0)
            let action = machine.received(.connectionClose(close))
            guard case .fail(let error, send: .connectionCloseOk) = action else { return nil }
            #expect(error.replyCode == code)
            #expect(error.message.contains("\(code) TEXT"))
            #expect(!"\(error)".contains("canary"))
            return error
        }
        #expect(refusal(403, after: [Self.start])?.code == .accessRefused)
        #expect(refusal(530, after: [Self.start, Self.tune])?.code == .virtualHostRefused)
        #expect(refusal(320, after: [Self.start, Self.tune, .connectionOpenOk])?.code == .connectionClosed)
    }

    @Test("Silence after the login means refused credentials")
    func silentRefusal() {
        var machine = machine(after: [Self.start])
        let lost = AMQPError(lost: TransportError(.closedByPeer, "closed"), peer: "peer")
        let error = failure(machine.disconnected(lost))
        #expect(error?.code == .accessRefused)
        #expect(error.map { "\($0)".contains("canary") } == false)
    }

    @Test("What a server does wrong is told to it in a text that fits the wire, whatever it is made of")
    func longReplyText() throws {
        var machine = machine(after: [Self.start, Self.tune, .connectionOpenOk])
        let action = machine.failed(.unexpectedFrame(String(repeating: "👩‍👩‍👧‍👦", count: 300)))
        guard case .fail(_, send: .connectionClose(let close)?) = action else {
            Issue.record("the connection is not closed: \(action)")
            return
        }
        #expect(close.replyText.utf8.count <= 255)
    }

    @Test("Closing is answered, and only the answer matters")
    func closing() {
        var machine = machine(after: [Self.start, Self.tune, .connectionOpenOk])
        guard case .send(.connectionClose(let close)) = machine.closeRequested() else {
            Issue.record("no close was sent")
            return
        }
        #expect(close.replyCode == 200)
        #expect(machine.isClosing)
        #expect(machine.received(.connectionBlocked(.init(reason: "x"))) == .none)
        #expect(failure(machine.received(.connectionCloseOk))?.code == .closed)
        #expect(machine.closeRequested() == .none)
        #expect(machine.received(.connectionCloseOk) == .none)
    }

    @Test("When both sides close at once, each is answered")
    func crossedClose() {
        var machine = machine(after: [Self.start, Self.tune, .connectionOpenOk])
        _ = machine.closeRequested()
        guard case .fail(let error, send: .connectionCloseOk) = machine.received(Self.close) else {
            Issue.record("the server's close was not answered")
            return
        }
        #expect(error.code == .closed)
    }

    @Test("Blocking is told with its reason")
    func blocking() {
        var machine = machine(after: [Self.start, Self.tune, .connectionOpenOk])
        #expect(machine.received(.connectionBlocked(.init(reason: "low on memory"))) == .blocked("low on memory"))
        #expect(machine.received(.connectionUnblocked) == .unblocked)
    }

    @Test("Every method in every state is either due or closes the connection with 503", arguments: MethodTests.all)
    func outOfPlace(_ method: Method) {
        let handshake: [Method] = [Self.start, Self.tune, .connectionOpenOk]
        let due = [
            ["connection.start"], ["connection.tune"], ["connection.open-ok"],
            ["connection.blocked", "connection.unblocked", "connection.update-secret-ok"],
        ]
        for length in 0...handshake.count {
            var machine = machine(after: Array(handshake.prefix(length)))
            #expect(!machine.isClosing)
            let action = machine.received(method)
            if method.name == "connection.close" {
                guard case .fail(_, send: .connectionCloseOk) = action else {
                    Issue.record("the close was not answered after \(length) steps")
                    continue
                }
            } else if !due[length].contains(method.name) {
                guard case .fail(let error, let answer) = action else {
                    Issue.record("\(method.name) was accepted after \(length) steps")
                    continue
                }
                #expect(error.code == .protocolViolation)
                // Before the server's first method nothing tells that it understands a close.
                guard length > 0 else {
                    #expect(answer == nil)
                    continue
                }
                guard case .connectionClose(let close)? = answer else {
                    Issue.record("no close was sent for \(method.name) after \(length) steps")
                    continue
                }
                #expect(close.replyCode == 503)
            }
            if case .fail = action {
                #expect(machine.isClosing)
                #expect(machine.received(method) == .none)
                #expect(machine.disconnected(AMQPError(.connectionLost, "x")) == .none)
            }
        }
        var closing = machine(after: handshake)
        _ = closing.closeRequested()
        let isGoodbye = ["connection.close", "connection.close-ok"].contains(method.name)
        #expect((failure(closing.received(method)) != nil) == isGoodbye)
        var idle = ConnectionStateMachine(login: Self.login, peer: "peer")
        #expect((failure(idle.received(method)) != nil))
    }
}

@Suite("Heartbeat") struct HeartbeatTests {
    private let start = ContinuousClock.now

    @Test("Sends when nothing else was sent")
    func sends() {
        var heartbeat = Heartbeat(interval: .seconds(10), now: start)
        #expect(heartbeat.nextTick(after: start) == start + .seconds(5))
        #expect(heartbeat.tick(now: start + .seconds(4)) == .none)
        #expect(heartbeat.tick(now: start + .seconds(5)) == .send)
        heartbeat.sent(now: start + .seconds(8))
        #expect(heartbeat.tick(now: start + .seconds(10)) == .none)
        #expect(heartbeat.tick(now: start + .seconds(13)) == .send)
    }

    @Test("Two silent intervals are death, any octet is life")
    func death() {
        var heartbeat = Heartbeat(interval: .seconds(10), now: start)
        #expect(heartbeat.tick(now: start + .seconds(19)) != .dead)
        heartbeat.received(now: start + .seconds(19))
        #expect(heartbeat.tick(now: start + .seconds(38)) != .dead)
        #expect(heartbeat.tick(now: start + .seconds(39)) == .dead)
    }

    @Test("It looks at the very end of the two intervals, not half an interval later")
    func punctual() {
        var heartbeat = Heartbeat(interval: .seconds(10), now: start)
        heartbeat.received(now: start + .seconds(3))
        #expect(heartbeat.nextTick(after: start + .seconds(15)) == start + .seconds(20))
        #expect(heartbeat.nextTick(after: start + .seconds(20)) == start + .seconds(23))
        #expect(heartbeat.tick(now: start + .seconds(23)) == .dead)
    }
}

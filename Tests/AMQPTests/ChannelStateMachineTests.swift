import Testing

@testable import AMQP

@Suite("Channel state machine") struct ChannelStateMachineTests {
    private let purge = Method.queuePurge(.init(queue: "q"))
    private let purged = Method.queuePurgeOk(.init(messageCount: 1))
    private let reason = AMQPError(.closed, "closed here")

    private func open() -> ChannelStateMachine {
        var machine = ChannelStateMachine(number: 1)
        #expect(machine.call(1, .channelOpen) == .send(.channelOpen))
        #expect(machine.received(.channelOpenOk) == .complete(1, with: .channelOpenOk))
        return machine
    }

    private func isClosed(_ action: ChannelStateMachine.Action, failing calls: [UInt64], _ code: AMQPError.Code) -> Bool
    {
        guard case .closed(let error, let failed, _, _) = action else { return false }
        return error.code == code && failed == calls
    }

    private func isViolation(_ action: ChannelStateMachine.Action) -> Bool {
        if case .violation = action { true } else { false }
    }

    @Test("Answers complete calls in order")
    func order() {
        var machine = open()
        let get = Method.basicGet(.init(queue: "q", noAck: false))
        let unbind = Method.exchangeUnbind(.init(destination: "d", source: "s", routingKey: "k"))
        #expect(machine.call(2, purge) == .send(purge))
        #expect(machine.call(3, get) == .send(get))
        #expect(machine.call(4, unbind) == .send(unbind))
        #expect(machine.received(purged) == .complete(2, with: purged))
        #expect(machine.received(.basicGetEmpty) == .complete(3, with: .basicGetEmpty))
        #expect(machine.received(.exchangeUnbindOk) == .complete(4, with: .exchangeUnbindOk))
    }

    @Test("An answer nobody asked for is a violation")
    func unasked() {
        var machine = open()
        #expect(isViolation(machine.received(purged)))
        _ = machine.call(2, purge)
        #expect(isViolation(machine.received(.queueBindOk)))
    }

    @Test(
        "A close of the server fails the pending calls with its code",
        arguments: [
            (403, .accessRefused), (404, .notFound), (405, .resourceLocked), (406, .preconditionFailed),
            (540, .channelClosed),
        ] as [(UInt16, AMQPError.Code)]
    )
    func closedByServer(_ replyCode: UInt16, _ code: AMQPError.Code) {
        var machine = open()
        _ = machine.call(2, purge)
        _ = machine.call(3, purge)
        let close = Method.ChannelClose(replyCode: replyCode, replyText: "TEXT", classID: 0, methodID: 0)
        let action = machine.received(.channelClose(close))
        #expect(isClosed(action, failing: [2, 3], code))
        guard case .closed(let error, _, _, send: .channelCloseOk) = action else {
            Issue.record("the close was not answered")
            return
        }
        #expect(error.replyCode == replyCode)
        #expect(error.message.contains("TEXT"))
        #expect(machine.call(4, purge) == .refuse(4, error))
    }

    @Test("While closing only the goodbye counts, and calls without an answer fail")
    func closing() {
        var machine = open()
        _ = machine.call(2, purge)
        guard case .send(.channelClose) = machine.close(3, because: reason) else {
            Issue.record("no close was sent")
            return
        }
        #expect(!machine.isOpen)
        #expect(machine.received(purged) == .none)
        #expect(machine.call(4, purge) == .refuse(4, reason))
        #expect(machine.close(5, because: reason) == .refuse(5, reason))
        #expect(isClosed(machine.received(.channelCloseOk), failing: [2, 3], .closed))
        #expect(machine.disconnected(reason) == .none)
    }

    @Test("When both sides close at once, both closes are answered before the number is free")
    func crossedClose() {
        var machine = open()
        _ = machine.close(2, because: reason)
        let close = Method.ChannelClose(replyCode: 404, replyText: "NOT_FOUND", classID: 0, methodID: 0)
        #expect(machine.received(.channelClose(close)) == .send(.channelCloseOk))
        #expect(isClosed(machine.received(.channelCloseOk), failing: [2], .closed))
    }

    @Test("A second close while closing is a violation: one that is repeated without end must not be answered")
    func closedTwice() {
        var machine = open()
        _ = machine.close(2, because: reason)
        let close = Method.channelClose(.init(replyCode: 404, replyText: "NOT_FOUND", classID: 0, methodID: 0))
        #expect(machine.received(close) == .send(.channelCloseOk))
        #expect(isViolation(machine.received(close)))
    }

    @Test("An answer that names another consumer than the call is a violation")
    func otherConsumer() {
        for (call, answer) in [
            (.basicConsume(.init(queue: "q", consumerTag: "a")), .basicConsumeOk(.init(consumerTag: "b"))),
            (.basicCancel(.init(consumerTag: "a")), .basicCancelOk(.init(consumerTag: "b"))),
        ] as [(AMQP.Method, AMQP.Method)] {
            var machine = open()
            _ = machine.call(2, call)
            #expect(isViolation(machine.received(answer)))
        }
        var machine = open()
        _ = machine.call(2, .basicConsume(.init(queue: "q", consumerTag: "")))
        let named = AMQP.Method.basicConsumeOk(.init(consumerTag: "chosen"))
        #expect(machine.received(named) == .complete(2, with: named))
    }

    /// What each state makes of each method of a server, by the reply code of the violation; `nil` if it is none.
    @Test(
        "Every method in every state is either due or a violation with the standard's code",
        arguments: MethodTests.all
    )
    func table(_ method: AMQP.Method) {
        func code(_ action: ChannelStateMachine.Action) -> UInt16? {
            if case .violation(let error) = action { error.replyCode } else { nil }
        }
        let always = ["channel.close", "channel.flow", "basic.cancel"]
        var idle = ChannelStateMachine(number: 1)
        #expect(code(idle.received(method)) == 504)
        var opening = ChannelStateMachine(number: 1)
        _ = opening.call(1, .channelOpen)
        let opens = ["channel.open-ok", "channel.close"].contains(method.name)
        #expect(code(opening.received(method)) == (opens ? nil : 504))
        var opened = open()
        #expect(code(opened.received(method)) == (always.contains(method.name) ? nil : 503))
        var closing = open()
        _ = closing.close(2, because: reason)
        #expect(code(closing.received(method)) == nil)
        var closed = open()
        _ = closed.disconnected(reason)
        #expect(code(closed.received(method)) == 504)
    }

    @Test("Flow and the cancelling of consumers come without being asked for")
    func unsolicited() {
        var machine = open()
        let flow = Method.channelFlow(.init(isActive: false))
        #expect(machine.received(flow) == .flow(isActive: false, send: .channelFlowOk(.init(isActive: false))))
        let cancel = Method.basicCancel(.init(consumerTag: "c", noWait: true))
        #expect(machine.received(cancel) == .consumerCancelled(tag: "c", send: nil))
        let asking = Method.basicCancel(.init(consumerTag: "c"))
        #expect(
            machine.received(asking)
                == .consumerCancelled(tag: "c", send: .basicCancelOk(.init(consumerTag: "c")))
        )
    }

    @Test("The end of the connection fails everything")
    func disconnected() {
        var machine = open()
        _ = machine.call(2, purge)
        #expect(isClosed(machine.disconnected(AMQPError(.connectionLost, "x")), failing: [2], .connectionLost))
    }

    @Test("No method in any state traps", arguments: MethodTests.all)
    func anyMethod(_ method: Method) {
        var idle = ChannelStateMachine(number: 1)
        #expect(isViolation(idle.received(method)))
        var opened = open()
        _ = opened.received(method)
        var closing = open()
        _ = closing.close(2, because: reason)
        _ = closing.received(method)
    }
}

@Suite("Content assembler") struct ContentAssemblerTests {
    private let carrier = ContentAssembler.Carrier.deliver(
        .init(consumerTag: "c", deliveryTag: 1, isRedelivered: false, exchange: "", routingKey: "q")
    )

    private func header(_ size: UInt64) -> [UInt8] {
        [0, 60, 0, 0] + withUnsafeBytes(of: size.bigEndian) { Array($0) } + [0, 0]
    }

    private func begun(limit: Int = 100) throws -> ContentAssembler {
        var assembler = ContentAssembler(maximumBodySize: limit)
        try assembler.begin(carrier)
        return assembler
    }

    @Test("Puts bodies of any number of frames together")
    func assembles() throws {
        for parts in [[], [[1, 2, 3]], [[1], [2], [3]], [[], [1, 2], [], [3]]] as [[[UInt8]]] {
            var assembler = try begun()
            let size = parts.joined().count
            var content = try header(UInt64(size)).withUnsafeBytes { try assembler.header($0) }
            for part in parts { content = try part.withUnsafeBytes { try assembler.body($0) } }
            #expect(content?.body == Array(parts.joined()))
            #expect(content?.carrier == carrier)
            #expect(assembler.isIdle)
        }
    }

    @Test("An announced body takes memory as it comes, not as it is announced")
    func announced() throws {
        var assembler = try begun(limit: .max)
        _ = try header(1 << 40).withUnsafeBytes { try assembler.header($0) }
        for _ in 0..<100_000 {
            let content = try ([1] as [UInt8]).withUnsafeBytes { try assembler.body($0) }
            #expect(content == nil)
        }
        #expect(assembler.reservedOctets < 1 << 20)
    }

    @Test("A body larger than the limit is refused by its announcement", arguments: [101, 1 << 62, UInt64(Int64.max)])
    func tooLarge(_ size: UInt64) throws {
        var assembler = try begun()
        #expect(throws: FrameError.bodyTooLarge(octets: size, limit: 100)) {
            _ = try header(size).withUnsafeBytes { try assembler.header($0) }
        }
    }

    @Test("A body that cannot be is a frame out of place", arguments: [1 << 63, UInt64.max])
    func impossible(_ size: UInt64) throws {
        var assembler = try begun(limit: .max)
        let error = #expect(throws: FrameError.self) {
            _ = try header(size).withUnsafeBytes { try assembler.header($0) }
        }
        #expect(error?.replyCode == 505)
    }

    @Test("Frames out of order are errors")
    func order() throws {
        var idle = ContentAssembler(maximumBodySize: 100)
        #expect(throws: FrameError.self) { _ = try header(1).withUnsafeBytes { try idle.header($0) } }
        #expect(throws: FrameError.self) { _ = try [1].withUnsafeBytes { try idle.body($0) } }
        var begun = try begun()
        #expect(throws: FrameError.self) { try begun.begin(carrier) }
        #expect(throws: FrameError.self) { _ = try [1].withUnsafeBytes { try begun.body($0) } }
    }

    @Test("More octets than announced are an error")
    func overlong() throws {
        var assembler = try begun()
        _ = try header(2).withUnsafeBytes { try assembler.header($0) }
        #expect(throws: FrameError.self) {
            _ = try ([1, 2, 3] as [UInt8]).withUnsafeBytes { try assembler.body($0) }
        }
    }
}

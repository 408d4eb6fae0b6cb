import Glibc
import Testing

@testable import AMQP

/// What malicious and sloppy servers can do to their clients: nothing but lose them.
@Suite("Hostile servers", .timeLimit(.minutes(1))) struct HostileServerTests {
    private let message = AMQPMessage(routingKey: "q", body: [1, 2, 3])

    private func code(_ body: () async throws -> Void) async -> AMQPError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? AMQPError)?.code
        }
    }

    @Test("Every caller hears of an attack, and the server is told what was wrong and no more", arguments: Attack.all)
    func attack(_ attack: Attack) async throws {
        let (answers, report) = AsyncStream<[AMQP.Method]>.makeStream()
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("basic.consume")
            peer.send(.basicQosOk, on: 1)
            peer.send(.basicConsumeOk(.init(consumerTag: "consumer-1")), on: 1)
            var missing: Set = ["basic.publish", "queue.purge"]
            while !missing.isEmpty, let (_, method) = peer.nextMethod() { missing.remove(method.name) }
            peer.send(attack.bytes)
            var answer: [AMQP.Method] = []
            while let (_, method) = peer.nextMethod() { answer.append(method) }
            report.yield(answer)
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        let consumer = try await channel.consume("q")
        async let published = code { try await channel.publish(message) }
        async let purged = code { try await channel.purgeQueue("q") }
        // Deliveries that came before the attack may be taken.
        async let consumed = code { while try await consumer.next() != nil {} }
        #expect(await connection.waitUntilClosed().code == .protocolViolation)
        #expect(await published == (attack.isConfirmed ? nil : .protocolViolation))
        #expect(await purged == .protocolViolation)
        #expect(await consumed == .protocolViolation)
        // One answer, whatever came: an attacker cannot make the client work.
        let answer = try #require(await answers.first { _ in true })
        #expect(answer.count == 1)
        let replyCode: UInt16? = if case .connectionClose(let close)? = answer.first { close.replyCode } else { nil }
        #expect(replyCode == attack.replyCode)
        #expect(await code { _ = try await connection.openChannel() } == .protocolViolation)
    }

    private static let brokenHandshakes: [([[UInt8]], AMQPError.Code)] = [
        ([Attack.frame(2, 1, [0])], .foreignProtocol),
        ([Attack.method(.channelOpenOk)], .protocolViolation),
        ([Attack.method(.connectionOpenOk, on: 0)], .protocolViolation),
        ([WireBytes.start, WireBytes.start], .protocolViolation),
        ([WireBytes.start, Attack.method(.connectionOpenOk, on: 0)], .protocolViolation),
        ([WireBytes.start, Attack.header(1)], .protocolViolation),
        ([WireBytes.start, tune(frameMax: 1)], .protocolViolation),
        ([WireBytes.start, tune(frameMax: 4095)], .protocolViolation),
        ([WireBytes.start, WireBytes.tune, WireBytes.tune], .protocolViolation),
        ([WireBytes.start, WireBytes.tune, Attack.method(.channelOpenOk)], .protocolViolation),
        ([FrameEncoder.protocolHeader], .foreignProtocol),
        ([[0x15, 3, 3, 0, 2, 2, 70]], .foreignProtocol),
        ([Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)], .foreignProtocol),
        ([Array("SSH-2.0-OpenSSH\r\n".utf8)], .foreignProtocol),
        ([Array(WireBytes.start.dropLast(5))], .connectionLost),
        ([], .connectionLost),
        ([Attack.method(close(320), on: 0)], .connectionClosed),
        ([WireBytes.start, Attack.method(close(403), on: 0)], .accessRefused),
        ([WireBytes.start, WireBytes.tune, Attack.method(close(530), on: 0)], .virtualHostRefused),
    ]

    @Test("A handshake that goes wrong is an error of the connect", arguments: brokenHandshakes)
    func handshake(_ parts: [[UInt8]], _ expected: AMQPError.Code) async throws {
        let broker = FakeBroker { peer in
            peer.readProtocolHeader()
            for part in parts { peer.send(part) }
            shutdown(peer.descriptor, Int32(SHUT_WR))
            peer.drain()
        }
        #expect(await code { _ = try await AMQPConnection.connect(to: broker.uri) } == expected)
    }

    private static func tune(frameMax: UInt32, channelMax: UInt16 = 0) -> [UInt8] {
        Attack.method(.connectionTune(.init(channelMax: channelMax, frameMax: frameMax, heartbeat: 0)), on: 0)
    }

    private static func close(_ replyCode: UInt16) -> AMQP.Method {
        .connectionClose(.init(replyCode: replyCode, replyText: "no", classID: 0, methodID: 0))
    }

    @Test("Limits from none to the smallest are agreed on", arguments: [0, 4096] as [UInt32], [0, 1] as [UInt16])
    func limits(_ frameMax: UInt32, _ channelMax: UInt16) async throws {
        let broker = FakeBroker { peer in
            peer.readProtocolHeader()
            peer.send(WireBytes.start)
            peer.expect("connection.start-ok")
            peer.send(Self.tune(frameMax: frameMax, channelMax: channelMax))
            peer.expect("connection.open")
            peer.send(.connectionOpenOk)
            peer.openChannel()
            peer.goodbye()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        _ = try await connection.openChannel()
        if channelMax == 1 { #expect(await code { _ = try await connection.openChannel() } == .channelLimit) }
        await connection.close()
    }

    @Test("A server that stops in the middle of a frame costs the deadline")
    func stopsInFrame() async throws {
        let broker = FakeBroker { peer in
            peer.readProtocolHeader()
            peer.send(Array(WireBytes.start.dropLast(5)))
            peer.drain()
        }
        var options = AMQPConnection.Options()
        options.connectTimeout = .milliseconds(50)
        #expect(await code { _ = try await AMQPConnection.connect(to: broker.uri, options: options) } == .timedOut)
    }

    /// A connection to a server that does something useless before it answers a call.
    private func goesOn(after useless: @escaping @Sendable (FakeBroker.Peer) -> Void) async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("queue.purge")
            useless(peer)
            peer.send(.queuePurgeOk(.init(messageCount: 7)), on: 1)
            peer.goodbye()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        #expect(try await channel.purgeQueue("q") == 7)
        await connection.close()
    }

    @Test("A flood of heartbeats, or of cancels for unknown consumers, changes nothing")
    func floods() async throws {
        let heartbeat: [UInt8] = [8, 0, 0, 0, 0, 0, 0, 0xCE]
        try await goesOn { $0.send(Array(repeatElement(heartbeat, count: 100_000).joined())) }
        let cancel = Attack.method(.basicCancel(.init(consumerTag: "nobody", noWait: true)))
        try await goesOn { $0.send(Array(repeatElement(cancel, count: 10_000).joined())) }
    }

    @Test("Octets that come one by one are put together")
    func dribble() async throws {
        let heartbeat: [UInt8] = [8, 0, 0, 0, 0, 0, 0, 0xCE]
        try await goesOn { peer in
            for _ in 0..<500 {
                for octet in heartbeat { peer.send([octet]) }
            }
        }
    }

    @Test("A body too large to accept closes its channel alone", arguments: [1 << 40, UInt64(Int64.max)])
    func hugeBody(_ size: UInt64) async throws {
        let (replyCodes, report) = AsyncStream<UInt16>.makeStream()
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("channel.open")
            peer.send(.channelOpenOk, on: 2)
            peer.expect("basic.get")
            peer.send(
                Attack.method(.basicGetOk(.init(deliveryTag: 1, exchange: "", routingKey: "q", messageCount: 0)))
                    + Attack.header(size) + Attack.body(1)
            )
            while let (_, method) = peer.nextMethod() {
                if case .channelClose(let close) = method {
                    report.yield(close.replyCode)
                    peer.send(.channelCloseOk, on: 1)
                } else if case .queuePurge = method {
                    peer.send(.queuePurgeOk(.init(messageCount: 7)), on: 2)
                } else if case .connectionClose = method {
                    peer.send(.connectionCloseOk)
                }
            }
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        let other = try await connection.openChannel()
        #expect(await code { _ = try await channel.get("q") } == .bodyTooLarge)
        var iterator = replyCodes.makeAsyncIterator()
        #expect(await iterator.next() == 311)
        #expect(try await other.purgeQueue("q") == 7)
        await connection.close()
    }

    @Test("Flow that stays off costs a publish its deadline, and nothing is sent")
    func flowOff() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.send(.channelFlow(.init(isActive: false)), on: 1)
            // The answer to the flow may come before the purge or after it.
            peer.expect("queue.purge")
            peer.send(.queuePurgeOk(.init(messageCount: 0)), on: 1)
            peer.goodbye()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        try await channel.purgeQueue("q")
        let error = await #expect(throws: AMQPError.self) {
            try await channel.publish(message, timeout: .milliseconds(50))
        }
        #expect(error?.code == .timedOut)
        #expect(error?.isOutcomeUnknown == false)
        await connection.close()
    }

    @Test("A server that calls for answers without end, and reads none, is left")
    func unreadAnswers() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            let flows = Array(repeatElement(Attack.method(.channelFlow(.init(isActive: true))), count: 10_000).joined())
            // Far more than the kernel keeps for both sides.
            for _ in 0..<200 { peer.send(flows) }
            peer.drain()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        #expect(await connection.waitUntilClosed().code == .protocolViolation)
        #expect(channel.closeReason?.code == .protocolViolation)
    }

    @Test("Deliveries past the prefetch hold the connection back, before anybody takes one, and none is lost")
    func pastPrefetch() async throws {
        let count = 20_000
        let size = 4000
        let (stops, report) = AsyncStream<Int>.makeStream()
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("basic.consume")
            peer.send(.basicQosOk, on: 1)
            peer.send(.basicConsumeOk(.init(consumerTag: "consumer-1")), on: 1)
            // A write that takes so long is one that the client keeps waiting.
            var patience = timeval(tv_sec: 1, tv_usec: 0)
            setsockopt(
                peer.descriptor,
                SOL_SOCKET,
                SO_SNDTIMEO,
                &patience,
                socklen_t(MemoryLayout<timeval>.size)
            )
            var hasStopped = false
            for tag in 1...UInt64(count) {
                var rest = (Attack.deliver(tag) + Attack.header(UInt64(size)) + Attack.body(size))[...]
                while !rest.isEmpty {
                    let sent = rest.withUnsafeBytes {
                        send(peer.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                    }
                    if sent > 0 {
                        rest = rest.dropFirst(sent)
                    } else if errno == EAGAIN {
                        if !hasStopped { report.yield(Int(tag)) }
                        hasStopped = true
                    } else {
                        return
                    }
                }
            }
            peer.goodbye()
        }
        var options = AMQPConnection.Options()
        options.inboxLimit = 10
        let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
        let channel = try await connection.openChannel()
        let consumer = try await channel.consume("q", prefetch: 1)
        var iterator = stops.makeAsyncIterator()
        let sent = try #require(await iterator.next())
        #expect(sent < count)
        // The limit, and what one read can bring beyond it.
        let early = consumer.takeAvailable()
        #expect(early.count >= 10 && early.count <= 10 + (512 << 10) / size)
        for _ in early.count..<count { #expect(try await consumer.next() != nil) }
        await connection.close()
    }

    @Test("A channel's number is free again after close-ok, and not before")
    func numbers() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            for number in 1...10 as ClosedRange<UInt16> {
                peer.expect("channel.open")
                peer.send(.channelOpenOk, on: number)
            }
            peer.expect("channel.close")
            peer.expect("queue.purge")
            peer.send(.channelCloseOk, on: 1)
            peer.send(.queuePurgeOk(.init(messageCount: 0)), on: 2)
            peer.openChannel()
            peer.goodbye()
        }
        var options = AMQPConnection.Options()
        options.closeTimeout = .milliseconds(50)
        let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
        var channels: [AMQPChannel] = []
        for _ in 0..<10 { channels.append(try await connection.openChannel()) }
        #expect(await code { _ = try await connection.openChannel() } == .channelLimit)
        await channels[0].close()
        #expect(await code { _ = try await connection.openChannel() } == .channelLimit)
        try await channels[1].purgeQueue("q")
        #expect(try await connection.openChannel().number == 1)
        await connection.close()
    }
}

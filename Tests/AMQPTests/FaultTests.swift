import Dispatch
import Synchronization
import Testing

@testable import AMQP

/// What happens to callers when the server misbehaves, told by a scripted one.
@Suite("Faults of the server", .timeLimit(.minutes(1))) struct FaultTests {
    private let message = AMQPMessage(routingKey: "q", body: [1, 2, 3])

    private func connectError(_ broker: FakeBroker, timeout: Duration = .seconds(20)) async -> AMQPError? {
        var options = AMQPConnection.Options()
        options.connectTimeout = timeout
        do {
            let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
            await connection.close()
            return nil
        } catch {
            #expect(!"\(error)".contains("canary"))
            return error
        }
    }

    @Test("Another protocol is named", arguments: ["HTTP/1.1 400 Bad Request\r\n\r\n", "AMQP\u{0}\u{1}\u{0}\u{0}"])
    func foreignProtocol(_ answer: String) async throws {
        let broker = FakeBroker { peer in
            peer.readProtocolHeader()
            peer.send(Array(answer.utf8))
        }
        let error = await connectError(broker)
        #expect(error?.code == .foreignProtocol)
        #expect(error?.message.contains("speaks \(answer.prefix(4))") == true)
    }

    @Test("Room in a full window is used though the broker keeps the confirmations of the others back")
    func keptConfirmations() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("confirm.select")
            peer.send(.confirmSelectOk, on: 1)
            for _ in 1...8 { peer.expect("basic.publish") }
            // Seven are still out.
            peer.send(.basicAck(.init(deliveryTag: 1, multiple: false)), on: 1)
            peer.expect("basic.publish")
            peer.send(.basicAck(.init(deliveryTag: 9, multiple: true)), on: 1)
            peer.goodbye()
        }
        var options = AMQPConnection.Options()
        options.publishWindow = 8
        let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
        let channel = try await connection.openChannel()
        for result in await channel.publish(Array(repeating: message, count: 9)) { try result.get() }
        await connection.close()
    }

    @Test("No more publishes than the window holds are sent before one is confirmed", arguments: [1, 8])
    func window(_ window: Int) async throws {
        let (full, report) = AsyncStream<Void>.makeStream()
        let (counts, count) = AsyncStream<Int>.makeStream()
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("confirm.select")
            peer.send(.confirmSelectOk, on: 1)
            for round in 1...3 as ClosedRange<UInt64> {
                for _ in 1...window { peer.expect("basic.publish") }
                report.yield()
                // Whatever else was sent stands before what the client is told to send now.
                var excess = 0
                while let (_, method) = peer.nextMethod(), method.name != "queue.purge" {
                    if method.name == "basic.publish" { excess += 1 }
                }
                count.yield(excess)
                peer.send(.queuePurgeOk(.init(messageCount: 0)), on: 1)
                peer.send(.basicAck(.init(deliveryTag: round * UInt64(window), multiple: true)), on: 1)
            }
            peer.goodbye()
        }
        var options = AMQPConnection.Options()
        options.publishWindow = window
        let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
        let channel = try await connection.openChannel()
        async let results = channel.publish(Array(repeating: message, count: 3 * window))
        var (rounds, excesses) = (full.makeAsyncIterator(), counts.makeAsyncIterator())
        for _ in 1...3 {
            await rounds.next()
            try await channel.purgeQueue("q")
            #expect(await excesses.next() == 0)
        }
        for result in await results { try result.get() }
        await connection.close()
    }

    @Test("A server that never answers costs the deadline, not for ever")
    func silence() async throws {
        let broker = FakeBroker { $0.drain() }
        #expect(await connectError(broker, timeout: .milliseconds(50))?.code == .timedOut)
    }

    @Test("A stream that ends after the login means refused credentials")
    func silentRefusal() async throws {
        let broker = FakeBroker { peer in
            peer.readProtocolHeader()
            peer.send(WireBytes.start)
            peer.expect("connection.start-ok")
        }
        #expect(await connectError(broker)?.code == .accessRefused)
    }

    @Test("A virtual host that does not fit the wire is an error of the connect, not a trap")
    func endlessVirtualHost() async throws {
        let broker = FakeBroker { peer in
            peer.readProtocolHeader()
            peer.send(WireBytes.start)
            peer.expect("connection.start-ok")
            peer.send(WireBytes.tune)
            peer.drain()
        }
        var uri = broker.uri
        uri.virtualHost = String(repeating: "v", count: 300)
        let error = await #expect(throws: AMQPError.self) { try await AMQPConnection.connect(to: uri) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("300 octets") == true)
    }

    @Test("Cancelling a connect ends it at once")
    func cancelledConnect() async throws {
        let broker = FakeBroker { $0.drain() }
        let error = await withTaskGroup(of: AMQPError?.self) { group in
            group.addTask { await connectError(broker) }
            group.cancelAll()
            return await group.next() ?? nil
        }
        #expect(error?.code == .cancelled)
    }

    @Test("Garbage in mid-stream fails everything with a protocol violation")
    func garbage() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("queue.purge")
            peer.send([42, 42, 42, 42, 42, 42, 42, 42])
            peer.drain()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        let error = await #expect(throws: AMQPError.self) { try await channel.purgeQueue("q") }
        #expect(error?.code == .protocolViolation)
        #expect(await connection.waitUntilClosed().code == .protocolViolation)
        let later = await #expect(throws: AMQPError.self) { try await connection.openChannel() }
        #expect(later?.code == .protocolViolation)
    }

    @Test(
        "Frames that are valid in themselves and out of place close the connection",
        arguments: [
            .basicAck(.init(deliveryTag: 9)), .queueBindOk, .connectionOpenOk, .channelOpenOk,
            .connectionTune(.init(channelMax: 0, frameMax: 0, heartbeat: 0)),
        ] as [AMQP.Method]
    )
    func outOfPlace(_ method: AMQP.Method) async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.send(method, on: 1)
            peer.drain()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        _ = try await connection.openChannel()
        #expect(await connection.waitUntilClosed().code == .protocolViolation)
    }

    @Test("A connection cut before the confirmation leaves the outcome unknown")
    func cut() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("basic.publish")
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        let error = await #expect(throws: AMQPError.self) { try await channel.publish(message) }
        #expect(error?.code == .connectionLost)
        #expect(error?.isOutcomeUnknown == true)
        let later = await #expect(throws: AMQPError.self) { try await channel.publish(message) }
        #expect(later?.code == .connectionLost)
        #expect(later?.isOutcomeUnknown == false)
    }

    @Test("A nack fails exactly the publish that it names")
    func nack() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("confirm.select")
            peer.send(.confirmSelectOk, on: 1)
            for _ in 0..<3 { peer.expect("basic.publish") }
            peer.send(.basicNack(.init(deliveryTag: 2, multiple: false)), on: 1)
            peer.send(.basicAck(.init(deliveryTag: 3, multiple: true)), on: 1)
            peer.goodbye()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        let results = await channel.publish([message, message, message])
        let codes = results.map { result -> AMQPError.Code? in
            if case .failure(let error) = result { error.code } else { nil }
        }
        #expect(codes == [nil, .nacked, nil])
        await connection.close()
    }

    @Test("A publish that is never confirmed ends at its deadline, outcome unknown")
    func unconfirmed() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.drain()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        let error = await #expect(throws: AMQPError.self) {
            try await channel.publish(message, timeout: .milliseconds(50))
        }
        #expect(error?.code == .timedOut)
        #expect(error?.isOutcomeUnknown == true)
    }

    @Test("A blocked broker is waited for up to the deadline, and nothing is sent")
    func blocked() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.send(.connectionBlocked(.init(reason: "low on memory")))
            peer.expect("queue.purge")
            peer.send(.connectionUnblocked)
            peer.send(.queuePurgeOk(.init(messageCount: 0)), on: 1)
            peer.expect("confirm.select")
            peer.send(.confirmSelectOk, on: 1)
            peer.expect("basic.publish")
            peer.send(.basicAck(.init(deliveryTag: 1)), on: 1)
            peer.goodbye()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let (reasons, continuation) = AsyncStream<String?>.makeStream()
        connection.onBlocked { continuation.yield($0) }
        let channel = try await connection.openChannel()
        var iterator = reasons.makeAsyncIterator()
        if connection.currentBlockedReason == nil { #expect(await iterator.next() == "low on memory") }
        let error = await #expect(throws: AMQPError.self) {
            try await channel.publish(message, timeout: .milliseconds(50))
        }
        #expect(error?.code == .blocked)
        #expect(error?.isOutcomeUnknown == false)
        #expect(error?.message.contains("low on memory") == true)
        try await channel.purgeQueue("q")
        try await channel.publish(message)
        #expect(connection.currentBlockedReason == nil)
        await connection.close()
    }

    @Test("A server that falls silent is given up after two heartbeat intervals, and its stream closed")
    func heartbeatMissed() async throws {
        let (streamEnds, reportEnd) = AsyncStream<Void>.makeStream()
        let broker = FakeBroker { peer in
            peer.handshake(heartbeat: 2)
            peer.drain()
            reportEnd.yield()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let opened = ContinuousClock.now
        let (ends, report) = AsyncStream<ContinuousClock.Instant>.makeStream()
        connection.onClose { _ in report.yield(.now) }
        #expect(await connection.waitUntilClosed().code == .heartbeatMissed)
        // Two intervals of silence, half a one between two looks at the clock, and half a one for a busy machine.
        let end = try #require(await ends.first { _ in true })
        #expect(end - opened <= .seconds(2) * 3)
        await streamEnds.first { _ in true }
    }

    @Test("What comes late for a channel that is closed is ignored, and another channel goes on")
    func closedChannel() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("channel.open")
            peer.send(.channelOpenOk, on: 2)
            peer.expect("channel.close")
            peer.send(.channelCloseOk, on: 1)
            peer.expect("queue.purge")
            let delivery = AMQP.Method.BasicDeliver(
                consumerTag: "mine",
                deliveryTag: 1,
                isRedelivered: false,
                exchange: "",
                routingKey: "q"
            )
            peer.send(Attack.method(.basicDeliver(delivery)) + Attack.header(1) + Attack.frame(3, 1, [1]))
            peer.send(.basicAck(.init(deliveryTag: 1)), on: 1)
            peer.send(.queuePurgeOk(.init(messageCount: 3)), on: 2)
            peer.goodbye()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        let other = try await connection.openChannel()
        await channel.close()
        #expect(try await other.purgeQueue("q") == 3)
        await connection.close()
        #expect(connection.closeReason?.code == .closed)
    }

    @Test("A close that is never answered ends all the same")
    func unansweredClose() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.drain()
        }
        var options = AMQPConnection.Options()
        options.closeTimeout = .milliseconds(50)
        let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
        await connection.close()
        #expect(connection.closeReason?.code == .closed)
    }

    @Test("A consumer waits for the end of an earlier one of its name whose start was not answered in time")
    func lateConsumer() async throws {
        let mayAnswer = DispatchSemaphore(value: 0)
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("basic.qos")
            peer.send(.basicQosOk, on: 1)
            peer.expect("basic.cancel")
            mayAnswer.wait()
            peer.send(.basicConsumeOk(.init(consumerTag: "mine")), on: 1)
            peer.send(.basicCancelOk(.init(consumerTag: "mine")), on: 1)
            peer.expect("basic.consume")
            peer.send(.basicConsumeOk(.init(consumerTag: "mine")), on: 1)
            peer.goodbye()
        }
        var options = AMQPConnection.Options()
        options.callTimeout = .seconds(2)
        let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
        let channel = try await connection.openChannel()
        let late = await #expect(throws: AMQPError.self) { _ = try await channel.consume("q", tag: "mine") }
        #expect(late?.code == .timedOut)
        // Immediate: it has come to the connection when the broker answers.
        let next = Task.immediate { try await channel.consume("q", tag: "mine") }
        mayAnswer.signal()
        #expect(try await next.value.tag == "mine")
        await connection.close()
    }

    @Test("A consumer that waits for the end of an earlier one of its name ends with their channel")
    func lateConsumerOnClosedChannel() async throws {
        let mayAnswer = DispatchSemaphore(value: 0)
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("basic.qos")
            peer.send(.basicQosOk, on: 1)
            peer.expect("basic.cancel")
            mayAnswer.wait()
            peer.send(.channelClose(.init(replyCode: 404, replyText: "NOT_FOUND", classID: 60, methodID: 20)), on: 1)
            peer.goodbye()
        }
        var options = AMQPConnection.Options()
        options.callTimeout = .seconds(2)
        let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
        let channel = try await connection.openChannel()
        _ = await #expect(throws: AMQPError.self) { _ = try await channel.consume("q", tag: "mine") }
        let next = Task.immediate { try await channel.consume("q", tag: "mine") }
        mayAnswer.signal()
        let error = await #expect(throws: AMQPError.self) { _ = try await next.value }
        #expect(error?.code == .channelClosed)
        await connection.close()
    }

    @Test("A call that is never answered ends at its deadline, or when its task is cancelled")
    func unansweredCall() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.drain()
        }
        var options = AMQPConnection.Options()
        options.callTimeout = .milliseconds(500)
        options.closeTimeout = .milliseconds(50)
        let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
        let channel = try await connection.openChannel()
        let late = await #expect(throws: AMQPError.self) { try await channel.purgeQueue("q") }
        #expect(late?.code == .timedOut)
        let cancelled = await withTaskGroup(of: AMQPError?.self) { group in
            group.addTask { await #expect(throws: AMQPError.self) { try await channel.publish(message) } }
            group.cancelAll()
            return await group.next() ?? nil
        }
        #expect(cancelled?.code == .cancelled)
        await connection.close()
    }
}

enum WireBytes {
    static let start = octets(
        .connectionStart(
            .init(versionMajor: 0, versionMinor: 9, serverProperties: [:], mechanisms: "PLAIN", locales: "en_US")
        )
    )
    static let tune = octets(.connectionTune(.init(channelMax: 2047, frameMax: 131_072, heartbeat: 60)))

    private static func octets(_ method: AMQP.Method) -> [UInt8] {
        var bytes: [UInt8] = []
        do {
            try FrameEncoder.method(method, channel: 0, into: &bytes)
        } catch {
            Issue.record("\(method.name) cannot be encoded: \(error)")
        }
        return bytes
    }
}

import Testing

@testable import AMQP

/// Whom a returned message is told to, when some are published with confirmations and others without.
@Suite("Returned messages", .timeLimit(.minutes(1))) struct ReturnTests {
    private let lost = AMQPMessage(routingKey: "missing", body: [1])
    private let kept = AMQPMessage(routingKey: "q", body: [2])

    private static func `return`(_ routingKey: String, _ body: UInt8) -> [UInt8] {
        let method = AMQP.Method.basicReturn(
            .init(replyCode: 312, replyText: "NO_ROUTE", exchange: "", routingKey: routingKey)
        )
        return Attack.method(method) + Attack.header(1) + Attack.frame(3, 1, [body])
    }

    private func connect(
        _ script: @escaping @Sendable (FakeBroker.Peer) -> Void
    ) async throws -> (AMQPConnection, AMQPChannel, AsyncStream<String>) {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            script(peer)
            peer.goodbye()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        let (returns, continuation) = AsyncStream<String>.makeStream()
        channel.onReturn { continuation.yield("\($0.routingKey) \($1.body)") }
        return (connection, channel, returns)
    }

    @Test("One published before publishes were confirmed goes to the callback", arguments: [true, false])
    func publishedBefore(_ comesBeforeAnswer: Bool) async throws {
        let (connection, channel, returns) = try await connect { peer in
            peer.expect("confirm.select")
            if comesBeforeAnswer { peer.send(Self.return("missing", 1)) }
            peer.send(.confirmSelectOk, on: 1)
            if !comesBeforeAnswer { peer.send(Self.return("missing", 1)) }
            peer.expect("basic.publish")
            peer.send(.basicAck(.init(deliveryTag: 1)), on: 1)
        }
        try await channel.publishUnconfirmed(lost)
        try await channel.publish(kept)
        var iterator = returns.makeAsyncIterator()
        #expect(await iterator.next() == "missing [1]")
        await connection.close()
    }

    @Test("Before the broker says that it confirms, a return is no confirmed publish's, though both are equal")
    func equalBefore() async throws {
        let (connection, channel, returns) = try await connect { peer in
            peer.expect("confirm.select")
            peer.send(Self.return("missing", 1))
            peer.send(.confirmSelectOk, on: 1)
            peer.expect("basic.publish")
            peer.send(.basicAck(.init(deliveryTag: 1)), on: 1)
        }
        try await channel.publishUnconfirmed(lost)
        try await channel.publish(lost)  // the queue has come into being meanwhile
        var iterator = returns.makeAsyncIterator()
        #expect(await iterator.next() == "missing [1]")
        await connection.close()
    }

    @Test("One published unconfirmed on a channel that confirms goes to the callback, a confirmed one to its caller")
    func publishedAmong() async throws {
        let (connection, channel, returns) = try await connect { peer in
            peer.expect("confirm.select")
            peer.send(.confirmSelectOk, on: 1)
            for _ in 0..<3 { peer.expect("basic.publish") }
            peer.send(Self.return("missing", 1))
            peer.send(Self.return("gone", 3))
            peer.send(.basicAck(.init(deliveryTag: 3, multiple: true)), on: 1)
        }
        try await channel.selectConfirms()
        try await channel.publishUnconfirmed(lost)
        let results = await channel.publish([kept, AMQPMessage(routingKey: "gone", body: [3])])
        try results[0].get()
        let error = #expect(throws: AMQPError.self) { try results[1].get() }
        #expect(error?.code == .returned)
        var iterator = returns.makeAsyncIterator()
        #expect(await iterator.next() == "missing [1]")
        await connection.close()
    }

    @Test("One published unconfirmed goes to the callback though others were given up", arguments: [true, false])
    func publishedBeforeSweep(_ isCancelled: Bool) async throws {
        let (seen, report) = AsyncStream<Void>.makeStream()
        let (connection, channel, returns) = try await connect { peer in
            peer.expect("confirm.select")
            peer.send(.confirmSelectOk, on: 1)
            while let (_, method) = peer.nextMethod() {
                guard case .basicPublish(let publish) = method else { continue }
                report.yield()
                if publish.routingKey == "last" { break }
            }
            peer.send(Self.return("missing", 1))
            peer.send(.basicAck(.init(deliveryTag: 0, multiple: true)), on: 1)
        }
        try await channel.selectConfirms()
        try await channel.publishUnconfirmed(lost)
        let other = Task { try await channel.publish(kept, timeout: isCancelled ? nil : .milliseconds(100)) }
        if isCancelled {
            var iterator = seen.makeAsyncIterator()
            for _ in 0..<2 { await iterator.next() }
            other.cancel()
        }
        let error = await #expect(throws: AMQPError.self) { try await other.value }
        #expect(error?.code == (isCancelled ? .cancelled : .timedOut))
        try await channel.publish(AMQPMessage(routingKey: "last", body: []))
        var told = returns.makeAsyncIterator()
        #expect(await told.next() == "missing [1]")
        await connection.close()
    }

    @Test("One published unconfirmed is given up at its deadline, should the broker never confirm it")
    func unconfirmedForever() async throws {
        let (connection, channel, _) = try await connect { peer in
            peer.expect("confirm.select")
            peer.send(.confirmSelectOk, on: 1)
        }
        try await channel.selectConfirms()
        try await channel.publishUnconfirmed(lost, timeout: .milliseconds(100))
        while await connection.outstandingPublishes > 0 { await Task.yield() }
        await connection.close()
    }
}

extension AMQPConnection {
    fileprivate var outstandingPublishes: Int { channels.values.reduce(0) { $0 + ($1.confirms?.outstanding ?? 0) } }
}

import Testing

@testable import AMQP

/// What a recovering connection does with a server that misbehaves, told by scripted ones.
@Suite("Recovering connection", .timeLimit(.minutes(1))) struct RecoveringConnectionTests {
    func options() -> RecoveringConnection.Options {
        var options = RecoveringConnection.Options()
        options.reconnect.cap = .milliseconds(50)
        options.closeTimeout = .zero
        options.connection.closeTimeout = .milliseconds(200)
        return options
    }

    @Test("Every observer is told when publishers are blocked, when they are not, and of the end")
    func blocked() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.send(.connectionBlocked(.init(reason: "low on memory")))
            peer.expect("queue.purge")
            peer.send(.queuePurgeOk(.init(messageCount: 0)), on: 1)
            peer.send(.connectionUnblocked)
            peer.goodbye()
        }
        let connection = try await RecoveringConnection.connect(to: [broker.uri], options: options())
        let observers = (0..<2).map { _ in
            let states = connection.states.makeAsyncIterator()
            return Task {
                var states = states
                var told: [RecoveringConnection.State] = []
                while let state = await states.next(isolation: nil) { told.append(state) }
                return told
            }
        }
        let channel = try await connection.openChannel()
        for await state in connection.states where state == .blocked(reason: "low on memory") { break }
        try await channel.purgeQueue("q")
        for await state in connection.states where state == .open { break }
        await connection.close()
        for observer in observers {
            let told = await observer.value
            #expect(told.prefix(3) == [.open, .blocked(reason: "low on memory"), .open])
            guard case .closed(let reason) = told.last else {
                Issue.record("\(told)")
                return
            }
            #expect(reason.code == .closed)
        }
        // Who comes late is told how it stands.
        var late: [RecoveringConnection.State] = []
        for await state in connection.states { late.append(state) }
        #expect(late == [connection.state])
    }

    static func startConsumer(_ peer: FakeBroker.Peer) {
        peer.expect("basic.qos")
        peer.send(.basicQosOk, on: 1)
        peer.expect("basic.consume")
        peer.send(.basicConsumeOk(.init(consumerTag: "mine")), on: 1)
    }

    @Test("A consume that dies with its connection leaves no consumer dangling: it ends, or it consumes")
    func lossWhileConsuming() async throws {
        let broker = FakeBroker(inTurn: [
            { peer in
                peer.handshake()
                peer.openChannel()
                Self.startConsumer(peer)
            },
            { peer in
                // Goes away in the middle of the recovery.
                peer.handshake()
                peer.openChannel()
                peer.expect("basic.consume")
            },
            { peer in
                peer.handshake()
                peer.openChannel()
                Self.startConsumer(peer)
                let delivery = AMQP.Method.BasicDeliver(
                    consumerTag: "mine",
                    deliveryTag: 1,
                    isRedelivered: false,
                    exchange: "",
                    routingKey: "q"
                )
                peer.send(.basicDeliver(delivery), on: 1)
                // The header of an empty body.
                peer.send([2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xCE])
                peer.drain()
            },
        ])
        let connection = try await RecoveringConnection.connect(to: [broker.uri], options: options())
        let consumer = try await connection.openChannel().consume("q", tag: "mine")
        let delivery = try await consumer.next()
        #expect(delivery?.routingKey == "q")
        await connection.close()
        #expect(try await consumer.next() == nil)
    }
}

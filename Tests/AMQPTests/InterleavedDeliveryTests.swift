import Testing

@testable import AMQP

/// What a server does that sends the frames of several channels in turns.
@Suite("Large deliveries beside small ones", .timeLimit(.minutes(1))) struct InterleavedDeliveryTests {
    @Test("Each small delivery between the frames of 100 MB is handed out, and settled, before the next frame comes")
    func interleaved() async throws {
        let turns = 100
        let chunk = Attack.body(4088)
        let octetsPerTurn = 256 * 4088
        let broker = FakeBroker { peer in
            peer.handshake()
            for channel in 1...2 as ClosedRange<UInt16> {
                peer.expect("channel.open")
                peer.send(.channelOpenOk, on: channel)
            }
            for channel in 1...2 as ClosedRange<UInt16> {
                peer.expect("basic.consume")
                peer.send(.basicQosOk, on: channel)
                peer.send(.basicConsumeOk(.init(consumerTag: "consumer-1")), on: channel)
            }
            let frames = Array(repeatElement(chunk, count: 256).joined())
            peer.send(Attack.deliver(1) + Attack.header(UInt64(turns * octetsPerTurn)))
            for turn in 1...UInt64(turns) {
                peer.send(frames)
                peer.send(Attack.deliver(turn, on: 2) + Attack.header(1, on: 2) + Attack.body(1, on: 2))
                // Whoever waits for the large message's end before handing out the small one waits for ever.
                peer.expect("basic.ack")
            }
            peer.goodbye()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let (large, small) = (try await connection.openChannel(), try await connection.openChannel())
        let largeConsumer = try await large.consume("large", prefetch: 1)
        let smallConsumer = try await small.consume("small", prefetch: 1)
        for turn in 1...turns {
            let delivery = try await #require(smallConsumer.next())
            if turn < turns { #expect(largeConsumer.takeAvailable().isEmpty) }
            try small.acknowledge(delivery.tag)
        }
        #expect(try await largeConsumer.next()?.body.count == turns * octetsPerTurn)
        await connection.close()
    }
}

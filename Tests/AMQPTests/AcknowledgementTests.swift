import Testing

@testable import AMQP

/// The frames in which acknowledgements leave.
@Suite("Acknowledgements on the wire", .timeLimit(.minutes(1))) struct AcknowledgementTests {
    private static func deliveries(_ tags: ClosedRange<UInt64>) -> [UInt8] {
        Array(tags.map { Attack.deliver($0) + Attack.header(1) + Attack.body(1) }.joined())
    }

    /// What arrives at a broker when deliveries 1 through 20 are acknowledged in one turn, but for the eleventh.
    private func frames(
        isTransactional: Bool = false,
        _ change: (inout AMQPConnection.Options) -> Void = { _ in }
    ) async throws -> [Method.BasicAck] {
        let (frames, report) = AsyncStream<[Method.BasicAck]>.makeStream()
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            if isTransactional {
                peer.expect("tx.select")
                peer.send(.txSelectOk, on: 1)
            }
            peer.expect("basic.consume")
            peer.send(.basicQosOk, on: 1)
            peer.send(.basicConsumeOk(.init(consumerTag: "consumer-1")), on: 1)
            peer.send(Self.deliveries(1...20))
            var acks: [Method.BasicAck] = []
            while let (_, method) = peer.nextMethod(), method.name != "channel.close" {
                if case .basicAck(let ack) = method { acks.append(ack) }
            }
            peer.send(.channelCloseOk, on: 1)
            report.yield(acks)
            peer.goodbye()
        }
        var options = AMQPConnection.Options()
        change(&options)
        let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
        let channel = try await connection.openChannel()
        if isTransactional { try await channel.selectTransactions() }
        let consumer = try await channel.consume("q")
        var tags: [DeliveryTag] = []
        for _ in 1...20 { tags.append(try #require(try await consumer.next()).tag) }
        tags.remove(at: 10)
        try await connection.acknowledge(tags, on: channel)
        await channel.close()
        await connection.close()
        var iterator = frames.makeAsyncIterator()
        return try #require(await iterator.next())
    }

    private let apart = (1...20 as ClosedRange<UInt64>).filter { $0 != 11 }

    @Test("By default contiguous ones share a frame, up to the first that is still on loan")
    func shared() async throws {
        let frames = try await frames()
        #expect(frames.map(\.deliveryTag) == Array(10...20).filter { $0 != 11 })
        #expect(frames.map(\.multiple) == [true] + Array(repeating: false, count: 9))
    }

    @Test("Without coalescing each has a frame of its own")
    func singly() async throws {
        let frames = try await frames { $0.coalescesAcknowledgements = false }
        #expect(frames.map(\.deliveryTag) == apart)
        #expect(!frames.contains { $0.multiple })
    }

    @Test("In a transaction each has a frame of its own")
    func transaction() async throws {
        let frames = try await frames(isTransactional: true)
        #expect(frames.map(\.deliveryTag) == apart)
        #expect(!frames.contains { $0.multiple })
    }

    @Test("The option reaches the connections of a logical one")
    func recovering() async throws {
        let (acks, report) = AsyncStream<[Method.BasicAck]>.makeStream()
        let broker = FakeBroker { peer in
            peer.handshake()
            // The logical connection may open a channel for its own use first.
            var found: [Method.BasicAck] = []
            while let (number, method) = peer.nextMethod() {
                switch method {
                case .channelOpen: peer.send(.channelOpenOk, on: number)
                case .basicQos: peer.send(.basicQosOk, on: number)
                case .basicConsume(let consume):
                    peer.send(.basicConsumeOk(.init(consumerTag: consume.consumerTag)), on: number)
                    for tag in 1...3 as ClosedRange<UInt64> {
                        peer.send(
                            Attack.deliver(tag, consumer: consume.consumerTag, on: number)
                                + Attack.header(1, on: number) + Attack.body(1, on: number)
                        )
                    }
                case .basicAck(let ack):
                    found.append(ack)
                    if ack.deliveryTag == 3 { report.yield(found) }
                case .basicCancel(let cancel):
                    peer.send(.basicCancelOk(.init(consumerTag: cancel.consumerTag)), on: number)
                case .channelClose: peer.send(.channelCloseOk, on: number)
                case .connectionClose: peer.send(.connectionCloseOk)
                default: break
                }
            }
        }
        var options = RecoveringConnection.Options()
        options.connection.coalescesAcknowledgements = false
        let connection = try await RecoveringConnection.connect(to: [broker.uri], options: options)
        let channel = try await connection.openChannel()
        let consumer = try await channel.consume("q")
        for _ in 1...3 { try channel.acknowledge(try #require(try await consumer.next()).tag) }
        var iterator = acks.makeAsyncIterator()
        #expect(await iterator.next()?.map(\.multiple) == [false, false, false])
        await connection.close()
    }
}

extension AMQPConnection {
    /// On the loop, so that it takes them together.
    fileprivate func acknowledge(_ tags: [DeliveryTag], on channel: AMQPChannel) throws(AMQPError) {
        for tag in tags { try channel.acknowledge(tag) }
    }
}

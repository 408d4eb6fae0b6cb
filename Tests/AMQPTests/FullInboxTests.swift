import Synchronization
import Testing

@testable import AMQP

/// A consumer that takes nothing while its connection has stopped reading for it: everything that ends it works.
@Suite("Full inboxes", .timeLimit(.minutes(1))) struct FullInboxTests {
    private static let limit = 10

    /// Deliveries and the answer to a cancel, in the order in which an honest broker sends them.
    private static func deliveries(_ tags: ClosedRange<UInt64>, of consumer: String = "consumer-1") -> [UInt8] {
        Array(tags.map { Attack.deliver($0, consumer: consumer) + Attack.header(1) + Attack.body(1) }.joined())
    }

    private func connect(
        _ script: @escaping @Sendable (FakeBroker.Peer) -> Void
    ) async throws -> (AMQPConnection, AMQPChannel) {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("basic.consume")
            peer.send(.basicQosOk, on: 1)
            script(peer)
        }
        var options = AMQPConnection.Options()
        options.inboxLimit = Self.limit
        // Nothing here may end by its deadline.
        options.callTimeout = .seconds(600)
        options.closeTimeout = .seconds(600)
        let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
        return (connection, try await connection.openChannel())
    }

    /// Tags that the client gives back until the last is among them, and the consumer was cancelled.
    private static func givenBack(
        to peer: FakeBroker.Peer,
        until last: UInt64,
        isCancelled: Bool = false
    ) -> [UInt64] {
        var tags: [UInt64] = []
        var isCancelled = isCancelled
        while tags.last != last || !isCancelled, let (_, method) = peer.nextMethod() {
            switch method {
            case .basicNack(let nack) where nack.requeue: tags.append(nack.deliveryTag)
            case .basicCancel: isCancelled = true
            default: break
            }
        }
        return tags
    }

    @Test("Cancelling succeeds though the inbox is full; what does not fit goes back, what has arrived can be taken")
    func cancel() async throws {
        let (tags, report) = AsyncStream<[UInt64]>.makeStream()
        let (connection, channel) = try await connect { peer in
            peer.send(.basicConsumeOk(.init(consumerTag: "consumer-1")), on: 1)
            // The last ones are in flight when the cancel arrives.
            peer.send(Self.deliveries(1...10))
            peer.expect("basic.cancel")
            peer.send(Self.deliveries(11...30))
            peer.send(.basicCancelOk(.init(consumerTag: "consumer-1")), on: 1)
            report.yield(Self.givenBack(to: peer, until: 30, isCancelled: true))
            peer.goodbye()
        }
        let consumer = try await channel.consume("q", prefetch: 0)
        while await connection.pausedInboxes == 0 { await Task.yield() }
        try await consumer.cancel()
        var iterator = tags.makeAsyncIterator()
        #expect(await iterator.next() == Array(11...30))
        for tag in 1...10 as ClosedRange<UInt64> { #expect(try await consumer.next()?.tag.number == tag) }
        #expect(try await consumer.next() == nil)
        #expect(await connection.pausedInboxes == 0)
        await connection.close()
    }

    @Test("A consumer that nobody refers to any more is cancelled, gives back what it has, and holds up nobody")
    func dropped() async throws {
        let (tags, report) = AsyncStream<[UInt64]>.makeStream()
        let (connection, channel) = try await connect { peer in
            peer.send(.basicConsumeOk(.init(consumerTag: "consumer-1")), on: 1)
            peer.send(Self.deliveries(1...20))
            let returned = Self.givenBack(to: peer, until: 20)
            peer.send(.basicCancelOk(.init(consumerTag: "consumer-1")), on: 1)
            report.yield(returned)
            peer.expect("queue.purge")
            peer.send(.queuePurgeOk(.init(messageCount: 7)), on: 1)
            peer.goodbye()
        }
        var consumer: AMQPConsumer? = try await channel.consume("q", prefetch: 0)
        while await connection.pausedInboxes == 0 { await Task.yield() }
        #expect(consumer?.tag == "consumer-1")
        consumer = nil
        var iterator = tags.makeAsyncIterator()
        #expect(await iterator.next() == Array(1...20))
        #expect(try await channel.purgeQueue("q") == 7)
        await connection.close()
    }

    @Test("Closing the connection is answered though an inbox is full")
    func close() async throws {
        let (ends, report) = AsyncStream<Bool>.makeStream()
        let (connection, channel) = try await connect { peer in
            peer.send(.basicConsumeOk(.init(consumerTag: "consumer-1")), on: 1)
            peer.send(Self.deliveries(1...10))
            peer.expect("connection.close")
            peer.send(Self.deliveries(11...2000))
            peer.send(.connectionCloseOk)
            // A client that did not read the answer would cut the connection only when its patience ends.
            peer.drain()
            report.yield(true)
        }
        let consumer = try await channel.consume("q", prefetch: 0)
        while await connection.pausedInboxes == 0 { await Task.yield() }
        await connection.close()
        var iterator = ends.makeAsyncIterator()
        #expect(await iterator.next() == true)
        #expect(try await consumer.next() == nil)
    }

    @Test("Deliveries that come for a consume that was given up go back")
    func abandonedConsume() async throws {
        let (tags, report) = AsyncStream<[UInt64]>.makeStream()
        let (begun, start) = AsyncStream<Void>.makeStream()
        let (connection, channel) = try await connect { peer in
            // The broker has begun to send, and its answer is late.
            peer.send(Self.deliveries(1...5))
            start.yield()
            let returned = Self.givenBack(to: peer, until: 5)
            peer.send(.basicConsumeOk(.init(consumerTag: "consumer-1")), on: 1)
            peer.send(Self.deliveries(6...7))
            let later = Self.givenBack(to: peer, until: 7, isCancelled: true)
            peer.send(.basicCancelOk(.init(consumerTag: "consumer-1")), on: 1)
            report.yield(returned + later)
            peer.goodbye()
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = try? await channel.consume("q", prefetch: 0) }
            var iterator = begun.makeAsyncIterator()
            await iterator.next()
            while await connection.arrivals(of: channel) < 5 { await Task.yield() }
            group.cancelAll()
        }
        var iterator = tags.makeAsyncIterator()
        #expect(await iterator.next() == Array(1...7))
        await connection.close()
    }
}

extension AMQPConnection {
    fileprivate func arrivals(of channel: AMQPChannel) -> Int { channels[channel.number]?.acks.outstanding ?? 0 }
}

/// What an inbox keeps before its connection stops reading.
@Suite("Limits of inboxes") struct InboxLimitTests {
    private func append(_ count: Int, octets: Int, to inbox: ConsumerInbox) -> ConsumerInbox.Appended {
        var arrived = DeliveryBuffer()
        for number in 0..<count { arrived.append(.sample(UInt64(number + 1), octets: octets)) }
        return inbox.append(&arrived)
    }

    @Test("Few large deliveries fill it, and it goes on when half of their octets are gone")
    func octets() {
        let resumed = Mutex(0)
        let inbox = ConsumerInbox(.init(deliveries: 1000, octets: 100)) { resumed.withLock { $0 += 1 } }
        #expect(append(3, octets: 30, to: inbox) == .stored)
        #expect(append(1, octets: 30, to: inbox) == .full)
        #expect(inbox.takeAvailable(2).count == 2)
        #expect(resumed.withLock { $0 } == 0)
        #expect(inbox.takeAvailable(1).count == 1)
        #expect(resumed.withLock { $0 } == 1)
    }

    @Test("What the prefetch allows may have any size; one more may not")
    func unweighed() {
        let inbox = ConsumerInbox(.init(deliveries: 1000, octets: 100, unweighed: 4)) {}
        #expect(append(4, octets: 1000, to: inbox) == .stored)
        #expect(append(1, octets: 0, to: inbox) == .full)
    }
}

import FaultProxySupport
import Synchronization
import Testing

@testable import AMQP

/// What callers of a recovering connection see when its connections and channels end.
@Suite(
    "Recovery",
    .tags(.integration),
    .enabled(if: TestBroker.url != nil, "set RABBITMQ_URL"),
    .timeLimit(.minutes(2))
)
struct RecoveryTests {
    private func options(
        _ change: (inout RecoveringConnection.Options) -> Void = { _ in }
    ) -> RecoveringConnection.Options {
        var options = RecoveringConnection.Options()
        options.reconnect.cap = .milliseconds(400)
        options.closeTimeout = .seconds(2)
        change(&options)
        return options
    }

    private func withRelay(
        _ change: (inout RecoveringConnection.Options) -> Void = { _ in },
        _ body: (RecoveringConnection, FaultProxy) async throws -> Void
    ) async throws {
        let relay = try TestBroker.relay()
        defer { relay.stop() }
        let connection = try await RecoveringConnection.connect(
            to: [TestBroker.uri(over: relay)],
            options: options(change)
        )
        do {
            try await body(connection, relay)
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    private func message(_ queue: String, _ text: String = "x") -> AMQPMessage {
        AMQPMessage(routingKey: queue, body: Array(text.utf8))
    }

    private func text(_ delivery: AMQPDelivery?) -> String? {
        delivery.map { String(decoding: $0.body, as: UTF8.self) }
    }

    /// Waits for a state, passing over others.
    private func wait(
        for connection: RecoveringConnection,
        _ isAwaited: (RecoveringConnection.State) -> Bool
    ) async {
        for await state in connection.states where isAwaited(state) { return }
        Issue.record("the connection is closed")
    }

    /// Cuts all links and waits until everything is back.
    private func cut(_ relay: FaultProxy, _ connection: RecoveringConnection) async {
        let lost = connection.live
        relay.apply(.cut(.finish))
        while !Task.isCancelled {
            // Asked once: between two questions the lost one may end, and nothing is not the lost one either.
            if let live = connection.live, live !== lost { return }
            try? await Task.sleep(for: .milliseconds(1))
        }
    }

    @Test("A consumer's sequence goes on over lost connections; what it held comes again, and its old tag is refused")
    func consuming() async throws {
        try await withRelay { connection, relay in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(TestBroker.uniqueName("again"), arguments: ["x-expires": 60_000])
                .name
            let consumer = try await channel.consume(queue, prefetch: 10, tag: "mine")
            for round in 0..<3 {
                try await channel.publish(message(queue, "\(round)"))
                let held = try #require(try await consumer.next())
                #expect(text(held) == "\(round)")
                await cut(relay, connection)
                let again = try #require(try await consumer.next())
                #expect(text(again) == "\(round)")
                #expect(again.isRedelivered)
                #expect(await failure { try channel.acknowledge(held.tag) }?.code == .staleDelivery)
                #expect(await failure { try channel.nack(held.tag, requeue: true) }?.code == .staleDelivery)
                try channel.acknowledge(again.tag)
            }
            try await consumer.cancel()
            #expect(try await consumer.next() == nil)
            #expect(try await channel.declareQueue(queue, passive: true).consumerCount == 0)
            try await channel.deleteQueue(queue)
        }
    }

    @Test("A message that is too large for this side ends its consumer with the reason, and not the channel")
    func tooLarge() async throws {
        try await withRelay {
            $0.connection.maximumBodySize = 1000
            $0.consumerAttempts = 3
        } _: { connection, _ in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(durable: false, exclusive: true).name
            let consumer = try await channel.consume(queue)
            // Over another channel: the consumer's ends before it could tell of a confirmation.
            let other = try await connection.openChannel()
            try await other.publish(message(queue, String(repeating: "x", count: 1001)))
            let error = await failure { _ = try await consumer.next() }
            #expect(error?.code == .bodyTooLarge)
            #expect(error?.message.contains("1001") == true)
            #expect(try await channel.purgeQueue(queue) == 1)
            try await channel.publish(message(queue))
            let next = try await channel.consume(queue)
            #expect(text(try await next.next()) == "x")
        }
    }

    @Test("Returns of what is published without confirmation reach the callback also after a recovery")
    func returns() async throws {
        try await withRelay { connection, relay in
            let channel = try await connection.openChannel()
            let (returned, continuation) = AsyncStream<String>.makeStream()
            channel.onReturn { _, message in continuation.yield(String(decoding: message.body, as: UTF8.self)) }
            var texts = returned.makeAsyncIterator()
            for round in 0..<2 {
                try await channel.publishUnconfirmed(message(TestBroker.uniqueName("missing"), "\(round)"))
                #expect(await texts.next() == "\(round)")
                await cut(relay, connection)
            }
        }
    }

    @Test("A queue that the server names is named anew; its bindings and consumers follow")
    func serverNamed() async throws {
        try await withRelay { connection, relay in
            let channel = try await connection.openChannel()
            let exchange = TestBroker.uniqueName("source")
            // Were it to go with its last queue, the broker might delete it under the new binding: it may notice the end of
            // the lost connection, and delete the old queue, only after the exchange was declared again.
            try await channel.declareExchange(exchange, type: "fanout", durable: false)
            let queue = try await channel.declareQueue(durable: false, exclusive: true).name
            try await channel.bindQueue(queue, to: exchange, routingKey: "k")
            let consumer = try await channel.consume(queue)
            for round in 0..<2 {
                await cut(relay, connection)
                #expect(connection.currentName(ofQueue: queue) != queue)
                let message = AMQPMessage(exchange: exchange, routingKey: "k", body: Array("\(round)".utf8))
                try await channel.publish(message)
                let delivery = try #require(try await consumer.next())
                #expect(text(delivery) == "\(round)")
                try channel.acknowledge(delivery.tag)
            }
            // Named as at the beginning.
            #expect(try await channel.purgeQueue(queue) == 0)
            try await channel.deleteExchange(exchange)
        }
    }

    @Test("Queues and exchanges that went with the connection come back, with their bindings; deleted ones do not")
    func topology() async throws {
        try await withRelay { connection, relay in
            let channel = try await connection.openChannel()
            let names = ["a", "b", "gone"].map { TestBroker.uniqueName($0) }
            let exclusive = TestBroker.uniqueName("exclusive")
            for name in names { try await channel.declareExchange(name, type: "topic", durable: false) }
            try await channel.bindExchange(names[1], to: names[0], routingKey: "#")
            _ = try await channel.declareQueue(exclusive, durable: false, exclusive: true)
            try await channel.bindQueue(exclusive, to: names[1], routingKey: "#")
            try await channel.deleteExchange(names[2])
            // As a broker that forgets them does when it starts again.
            try await TestBroker.withConnection { other in
                let other = try await other.openChannel()
                for name in names { try await other.deleteExchange(name) }
            }
            await cut(relay, connection)
            try await channel.publish(AMQPMessage(exchange: names[0], routingKey: "k", body: [1]))
            let delivery = try #require(try await channel.get(exclusive))
            try channel.acknowledge(delivery.tag)
            let missing = await failure { try await channel.declareExchange(names[2], passive: true) }
            #expect(missing?.code == .notFound)
            for name in names { try await channel.deleteExchange(name) }
        }
    }

    @Test("Publishes wait out an outage, and arrive once")
    func outage() async throws {
        try await withRelay { connection, relay in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(
                TestBroker.uniqueName("outage"),
                arguments: ["x-expires": 60_000]
            )
            .name
            relay.setArrivals(.reset)
            relay.apply(.cut(.finish))
            await wait(for: connection) { if case .recovering = $0 { true } else { false } }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<50 { group.addTask { try await channel.publish(message(queue, "\(number)")) } }
                group.addTask {
                    let results = await channel.publish((50..<60).map { message(queue, "\($0)") })
                    for result in results { try result.get() }
                }
                group.addTask {
                    await wait(for: connection) {
                        if case .recovering(let attempt, _, _) = $0 { attempt > 2 } else { false }
                    }
                    relay.setArrivals(.accept)
                }
                try await group.waitForAll()
            }
            #expect(try await channel.purgeQueue(queue) == 60)
            try await channel.deleteQueue(queue)
        }
    }

    @Test("Confirmed publishes under cuts are all there; those sent again may be there twice")
    func republish() async throws {
        try await withRelay {
            $0.whenLost = .republish
        } _: { connection, relay in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(TestBroker.uniqueName("load"), arguments: ["x-expires": 60_000])
                .name
            let count = 3000
            try await withThrowingTaskGroup(of: Void.self) { group in
                for lane in 0..<20 {
                    group.addTask {
                        for number in stride(from: lane, to: count, by: 20) {
                            try await channel.publish(message(queue, "\(number)"))
                        }
                    }
                }
                group.addTask {
                    for _ in 0..<4 { await cut(relay, connection) }
                }
                try await group.waitForAll()
            }
            var seen: Set<String> = []
            let consumer = try await channel.consume(queue, prefetch: 500)
            while seen.count < count, let delivery = try await consumer.next() {
                seen.insert(String(decoding: delivery.body, as: UTF8.self))
                try channel.acknowledge(delivery.tag)
            }
            #expect(seen.count == count)
            try await channel.deleteQueue(queue)
        }
    }

    @Test("A consumer outlives the deletion of its queue, which is declared again; or ends, if so wanted")
    func deletedQueue() async throws {
        try await withRelay { connection, _ in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(TestBroker.uniqueName("deleted"), durable: false).name
            let going = try await channel.consume(queue)
            let ending = try await channel.consume(queue, whenCancelled: .end)
            try await TestBroker.withConnection { other in
                _ = try await other.openChannel().deleteQueue(queue)
            }
            #expect(await failure { _ = try await ending.next() }?.code == .consumerCancelled)
            // It arrives once the queue is there again.
            let waiting = Task { try await going.next() }
            var isRouted = false
            while !isRouted {
                isRouted = (try? await channel.publish(message(queue, "after"))) != nil
            }
            let delivery = try #require(try await waiting.value)
            #expect(text(delivery) == "after")
            try channel.acknowledge(delivery.tag)
            // Deleted by this side, it stays away.
            try await channel.deleteQueue(queue)
            #expect(await failure { _ = try await going.next() }?.code == .consumerCancelled)
            #expect(await failure { _ = try await channel.declareQueue(queue, passive: true) }?.code == .notFound)
        }
    }

    @Test("A consumer whose queue stays away ends with the reason")
    func missingQueue() async throws {
        let queue = TestBroker.uniqueName("away")
        try await withRelay {
            $0.consumerAttempts = 3
        } _: { connection, _ in
            let channel = try await connection.openChannel()
            try await TestBroker.withConnection { other in
                let other = try await other.openChannel()
                _ = try await other.declareQueue(queue, durable: false)
                let consumer = try await channel.consume(queue)
                try await other.deleteQueue(queue)
                #expect(await failure { _ = try await consumer.next() }?.code == .notFound)
            }
            #expect(connection.state == .open)
        }
    }

    @Test("A wrong password is not tried again")
    func refused() async throws {
        var uri = try TestBroker.uri()
        uri.password = "wrong"
        let retrying = options { $0.reconnect.retriesFirstConnect = true }
        let error = await failure { _ = try await RecoveringConnection.connect(to: [uri], options: retrying) }
        #expect(error?.code == .accessRefused)
    }
}

import Testing

@testable import AMQP

@Suite(
    "Connecting to RabbitMQ",
    .tags(.integration),
    .enabled(if: TestBroker.url != nil, "set RABBITMQ_URL"),
    .timeLimit(.minutes(1))
)
struct ConnectingTests {
    private func error(_ change: (inout AMQPURI) -> Void) async throws -> AMQPError? {
        var uri = try TestBroker.uri()
        change(&uri)
        return await failure { await (try AMQPConnection.connect(to: uri)).close() }
    }

    @Test("A wrong password is refused access, and never shown")
    func wrongPassword() async throws {
        let error = try await error { $0.password = "canary" }
        #expect(error?.code == .accessRefused)
        #expect(error?.replyCode == 403)
        #expect(error.map { "\($0)".contains("canary") } == false)
    }

    @Test("A missing virtual host has a code of its own")
    func missingVirtualHost() async throws {
        let error = try await error { $0.virtualHost = "no-such-host" }
        #expect(error?.code == .virtualHostRefused)
        #expect(error?.replyCode == 530)
    }

    @Test("A port where nobody listens is unreachable")
    func refusedPort() async throws {
        let error = try await error { $0.port = 1 }
        #expect(error?.code == .unreachable)
        #expect(error?.underlying != nil)
    }

    @Test("Closing tells everybody, and everything afterwards fails with it")
    func close() async throws {
        let connection = try await TestBroker.connect { $0.name = "close" }
        let channel = try await connection.openChannel()
        let queue = try await channel.declareQueue(durable: false, exclusive: true).name
        let consumer = try await channel.consume(queue)
        let (ends, continuation) = AsyncStream<AMQPError>.makeStream()
        connection.onClose { continuation.yield($0) }
        async let closed = connection.waitUntilClosed()
        async let end = consumer.next()
        await connection.close()
        #expect(await closed.code == .closed)
        #expect(try await end == nil)
        var iterator = ends.makeAsyncIterator()
        #expect(await iterator.next()?.code == .closed)
        #expect(await failure { _ = try await connection.openChannel() }?.code == .closed)
        #expect(await failure { try await channel.setPrefetch(1) }?.code == .closed)
        await connection.close()
    }

    @Test("Channels stand and fall alone")
    func channelsApart() async throws {
        try await TestBroker.withConnection { connection in
            let first = try await connection.openChannel()
            let second = try await connection.openChannel()
            let queue = try await second.declareQueue(durable: false, exclusive: true).name
            let consumer = try await second.consume(queue)
            let missing = TestBroker.uniqueName("missing")
            // Answered before the channel is closed or failed with it: either way it must end.
            async let pending: Void? = try? first.setPrefetch(10)
            let error = await failure { _ = try await first.declareQueue(missing, passive: true) }
            #expect(error?.code == .notFound)
            #expect(error?.replyCode == 404)
            #expect(error?.message.contains(missing) == true)
            _ = await pending
            #expect(first.closeReason?.code == .notFound)
            try await second.publish(AMQPMessage(routingKey: queue, body: [1]))
            #expect(try await consumer.required().body == [1])
        }
    }

    @Test("A queue declared anew with other arguments is refused, with both values")
    func inequivalent() async throws {
        try await TestBroker.withQueue { channel, queue in
            let error = await failure {
                _ = try await channel.declareQueue(
                    queue,
                    durable: false,
                    exclusive: true,
                    arguments: ["x-message-ttl": 1000]
                )
            }
            #expect(error?.code == .preconditionFailed)
            #expect(error?.message.contains("x-message-ttl") == true)
        }
    }

    @Test("Another connection's exclusive queue is locked")
    func locked() async throws {
        try await TestBroker.withQueue { _, queue in
            try await TestBroker.withConnection { connection in
                let channel = try await connection.openChannel()
                let error = await failure { _ = try await channel.consume(queue) }
                #expect(error?.code == .resourceLocked)
            }
        }
    }

    @Test("Channel numbers are limited, and free again after closing")
    func channelLimit() async throws {
        try await TestBroker.withConnection {
            $0.channelMax = 3
        } _: { connection in
            for _ in 0..<3 {
                let channels = [
                    try await connection.openChannel(), try await connection.openChannel(),
                    try await connection.openChannel(),
                ]
                #expect(await failure { _ = try await connection.openChannel() }?.code == .channelLimit)
                for channel in channels { await channel.close() }
            }
        }
    }

    @Test("A channel lasts as long as its scope")
    func scope() async throws {
        try await TestBroker.withConnection { connection in
            let channel = try await connection.withChannel { channel in
                #expect(channel.closeReason == nil)
                return channel
            }
            #expect(channel.closeReason?.code == .closed)
        }
    }

    @Test("Heartbeats keep an idle connection alive")
    func heartbeats() async throws {
        try await TestBroker.withConnection {
            $0.heartbeat = .seconds(1)
        } _: { connection in
            // The message takes three intervals, in which nothing else is said.
            let channel = try await connection.openChannel()
            let deadQueue = try await channel.declareQueue(durable: false, exclusive: true).name
            let waiting = try await channel.declareQueue(
                durable: false,
                exclusive: true,
                arguments: [
                    "x-message-ttl": 3000, "x-dead-letter-exchange": "",
                    "x-dead-letter-routing-key": .string(deadQueue),
                ]
            ).name
            try await channel.publish(AMQPMessage(routingKey: waiting, body: [7]))
            let consumer = try await channel.consume(deadQueue)
            #expect(try await consumer.required().body == [7])
            #expect(connection.closeReason == nil)
        }
    }

    @Test("Exchanges, bindings and purging do what they say")
    func topology() async throws {
        try await TestBroker.withQueue { channel, queue in
            let source = TestBroker.uniqueName("source")
            let target = TestBroker.uniqueName("target")
            try await channel.declareExchange(source, type: "topic", durable: false, autoDelete: true)
            try await channel.declareExchange(target, type: "fanout", durable: false, autoDelete: true)
            try await channel.bindExchange(target, to: source, routingKey: "a.#")
            try await channel.bindQueue(queue, to: target, routingKey: "")
            try await channel.publish(AMQPMessage(exchange: source, routingKey: "a.b", body: []))
            #expect(try await channel.purgeQueue(queue) == 1)
            try await channel.unbindQueue(queue, from: target, routingKey: "")
            let error = await failure {
                try await channel.publish(AMQPMessage(exchange: source, routingKey: "a.b", body: []))
            }
            #expect(error?.code == .returned || error?.code == .notFound)
        }
    }

    @Test("Unbinding and deleting exchanges is answered")
    func exchanges() async throws {
        try await TestBroker.withQueue { channel, queue in
            let source = TestBroker.uniqueName("source")
            let target = TestBroker.uniqueName("target")
            try await channel.declareExchange(source, durable: false)
            try await channel.declareExchange(target, durable: false)
            try await channel.bindExchange(target, to: source, routingKey: "k")
            try await channel.unbindExchange(target, from: source, routingKey: "k")
            try await channel.deleteExchange(source)
            try await channel.deleteExchange(target)
            #expect(try await channel.deleteQueue(queue) == 0)
        }
    }
}

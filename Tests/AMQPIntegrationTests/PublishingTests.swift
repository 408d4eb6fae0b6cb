import FaultProxySupport
import Testing

@testable import AMQP

@Suite(
    "Publishing to RabbitMQ",
    .tags(.integration),
    .enabled(if: TestBroker.url != nil, "set RABBITMQ_URL"),
    .timeLimit(.minutes(1))
)
struct PublishingTests {
    @Test("A confirmed message is in its queue")
    func confirmed() async throws {
        try await TestBroker.withQueue { channel, queue in
            try await channel.publish(AMQPMessage(routingKey: queue, body: [1]))
            #expect(try await channel.declareQueue(queue, passive: true).messageCount == 1)
        }
    }

    @Test("Many tasks publish at once, more than the window holds")
    func concurrent() async throws {
        try await TestBroker.withConnection {
            $0.publishWindow = 16
        } _: { connection in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(durable: false, exclusive: true).name
            try await withThrowingTaskGroup { group in
                for number in 0..<500 {
                    group.addTask {
                        try await channel.publish(AMQPMessage(routingKey: queue, body: [UInt8(number & 255)]))
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await channel.declareQueue(queue, passive: true).messageCount == 500)
        }
    }

    @Test("A window of ten thousand is filled, and not a publish more, while no confirmation comes")
    func largeWindow() async throws {
        let relay = try TestBroker.relay()
        defer { relay.stop() }
        var options = AMQPConnection.Options()
        options.publishWindow = 10_000
        let connection = try await AMQPConnection.connect(to: TestBroker.uri(over: relay), options: options)
        let channel = try await connection.openChannel()
        let queue = try await channel.declareQueue(durable: false, exclusive: true).name
        try await channel.selectConfirms()
        relay.apply(.stopReading, to: [.fromServer])
        async let results = channel.publish(
            (0..<10_100).map { AMQPMessage(routingKey: queue, body: [UInt8($0 & 255)]) }
        )
        while await connection.unconfirmed(on: channel) < 10_000 { await Task.yield() }
        #expect(await connection.waiting(on: channel) > 0)
        // Whatever could be sent has been.
        await connection.nextTurn()
        #expect(await connection.unconfirmed(on: channel) == 10_000)
        relay.heal()
        for result in await results { try result.get() }
        #expect(try await channel.declareQueue(queue, passive: true).messageCount == 10_100)
        await connection.close()
    }

    @Test("A batch tells each message's fate in order")
    func batch() async throws {
        try await TestBroker.withQueue { channel, queue in
            let keys = [queue, "nowhere-a", queue, "nowhere-b", queue]
            let results = await channel.publish(keys.map { AMQPMessage(routingKey: $0, body: [1]) })
            let codes = results.map { result -> AMQPError.Code? in
                if case .failure(let error) = result { error.code } else { nil }
            }
            #expect(codes == [nil, .returned, nil, .returned, nil])
        }
    }

    @Test("Of a batch, what can be sent arrives in order, whatever stands between it", arguments: [3, 50, 1000])
    func mixedBatch(_ window: Int) async throws {
        try await TestBroker.withConnection {
            $0.publishWindow = window
            $0.maximumPublishSize = 1 << 20
        } _: { connection in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(durable: false, exclusive: true).name
            var unencodable = BasicProperties()
            unencodable.messageID = String(repeating: "x", count: 256)
            var messages: [AMQPMessage] = []
            var expected: [AMQPError.Code?] = []
            for number in 0..<400 {
                var message = AMQPMessage(routingKey: queue, body: [UInt8(number & 255)])
                switch number % 50 {
                case 7: message.properties = unencodable
                case 13: message.body += [UInt8](repeating: 1, count: 5_000)
                case 19: message.body += [UInt8](repeating: 1, count: 300_000)
                case 23: message.body += [UInt8](repeating: 1, count: 1 << 20)
                case 29, 30: message.routingKey = "nowhere"
                case 41: message.body = []
                default: break
                }
                messages.append(message)
                expected.append([7: .invalidArgument, 23: .bodyTooLarge, 29: .returned, 30: .returned][number % 50])
            }
            let results = await channel.publish(messages)
            let codes = results.map { result -> AMQPError.Code? in
                if case .failure(let error) = result { error.code } else { nil }
            }
            #expect(codes == expected)
            let consumer = try await channel.consume(queue, noAck: true)
            for (message, code) in zip(messages, expected) where code == nil {
                #expect(try await consumer.next()?.body == message.body)
            }
        }
    }

    @Test("A mandatory message that no queue takes comes back with the reason")
    func returned() async throws {
        try await TestBroker.withQueue { channel, queue in
            let error = await failure {
                try await channel.publish(AMQPMessage(routingKey: TestBroker.uniqueName("nowhere"), body: []))
            }
            #expect(error?.code == .returned)
            #expect(error?.replyCode == 312)
            #expect(error?.message.contains("NO_ROUTE") == true)
            // The channel goes on, and a message that need not be routed is simply confirmed.
            try await channel.publish(AMQPMessage(routingKey: "nowhere", body: [], isMandatory: false))
            try await channel.publish(AMQPMessage(routingKey: queue, body: []))
        }
    }

    @Test("A queue that refuses messages nacks them")
    func nacked() async throws {
        try await TestBroker.withConnection { connection in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(
                durable: false,
                exclusive: true,
                arguments: ["x-max-length": 1, "x-overflow": "reject-publish"]
            )
            try await channel.publish(AMQPMessage(routingKey: queue.name, body: [1]))
            let error = await failure { try await channel.publish(AMQPMessage(routingKey: queue.name, body: [2])) }
            #expect(error?.code == .nacked)
        }
    }

    @Test("Publishing to an exchange that is missing closes the channel, with the outcome unknown")
    func missingExchange() async throws {
        try await TestBroker.withQueue { channel, queue in
            let message = AMQPMessage(exchange: TestBroker.uniqueName("missing"), routingKey: "", body: [])
            let error = await failure { try await channel.publish(message) }
            #expect(error?.code == .notFound)
            #expect(error?.isOutcomeUnknown == true)
            let later = await failure { try await channel.publish(message) }
            #expect(later?.code == .notFound)
            #expect(later?.isOutcomeUnknown == false)
        }
    }

    @Test("Bodies of any size arrive whole", arguments: [0, 1, 4088, 4089, 131_064, 131_065, 1_000_000])
    func bodySizes(_ size: Int) async throws {
        let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        for frameMax in [4096, 131_072] as [UInt32] {
            try await TestBroker.withConnection {
                $0.frameMax = frameMax
            } _: { connection in
                let channel = try await connection.openChannel()
                let queue = try await channel.declareQueue(durable: false, exclusive: true).name
                try await channel.publish(AMQPMessage(routingKey: queue, body: body))
                #expect(try await channel.get(queue, noAck: true)?.body == body)
            }
        }
    }

    @Test("A body over the local limit is refused before it is sent")
    func tooLarge() async throws {
        try await TestBroker.withConnection {
            $0.maximumPublishSize = 10
        } _: { connection in
            let channel = try await connection.openChannel()
            let error = await failure {
                try await channel.publish(AMQPMessage(routingKey: "q", body: Array(repeating: 0, count: 11)))
            }
            #expect(error?.code == .bodyTooLarge)
            #expect(channel.closeReason == nil)
        }
    }

    @Test("What the wire cannot express is refused, and the channel goes on")
    func invalidArguments() async throws {
        try await TestBroker.withQueue { channel, queue in
            let long = String(repeating: "x", count: 256)
            let message = AMQPMessage(routingKey: long, body: [])
            #expect(await failure { try await channel.publish(message) }?.code == .invalidArgument)
            #expect(await failure { _ = try await channel.declareQueue(long) }?.code == .invalidArgument)
            var properties = BasicProperties()
            properties.headers = ["big": .string(String(repeating: "x", count: 200_000))]
            let heavy = AMQPMessage(routingKey: queue, properties: properties, body: [])
            #expect(await failure { try await channel.publish(heavy) }?.code == .invalidArgument)
            try await channel.publish(AMQPMessage(routingKey: queue, body: []))
        }
    }

    @Test("Unconfirmed publishes arrive, too")
    func unconfirmed() async throws {
        try await TestBroker.withQueue { channel, queue in
            for number in 0..<10 as Range<UInt8> {
                try await channel.publishUnconfirmed(AMQPMessage(routingKey: queue, body: [number]))
            }
            let consumer = try await channel.consume(queue, noAck: true)
            for number in 0..<10 as Range<UInt8> { #expect(try await consumer.required().body == [number]) }
        }
    }

    @Test("Properties and headers arrive as they were sent")
    func properties() async throws {
        try await TestBroker.withQueue { channel, queue in
            var properties = BasicProperties()
            properties.contentType = "application/json"
            properties.contentEncoding = "utf-8"
            properties.deliveryMode = 2
            properties.priority = 3
            properties.correlationID = "correlation"
            properties.replyTo = "reply"
            properties.messageID = "message"
            properties.timestamp = 1_700_000_000
            properties.type = "type"
            properties.appID = "app"
            properties.headers = [
                "task": "add", "retries": 0, "eta": .void, "ratio": 0.5, "flag": true, "id": .int64(1 << 40),
                "limits": [.void, 3], "nested": ["a": ["b": "é"]], "raw": .octets([0, 255]), "when": .timestamp(1),
            ]
            try await channel.publish(AMQPMessage(routingKey: queue, properties: properties, body: [1]))
            let delivery = try #require(try await channel.get(queue))
            #expect(delivery.properties == properties)
            #expect(delivery.routingKey == queue)
            #expect(!delivery.isRedelivered)
        }
    }
}

extension AMQPConnection {
    fileprivate func unconfirmed(on channel: AMQPChannel) -> Int {
        channels[channel.number]?.confirms?.outstanding ?? 0
    }

    fileprivate func waiting(on channel: AMQPChannel) -> Int { channels[channel.number]?.waiting.submissionCount ?? 0 }

    fileprivate func nextTurn() async {
        await withCheckedContinuation { continuation in loop.execute { continuation.resume() } }
    }
}

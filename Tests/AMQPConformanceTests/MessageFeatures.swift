import Testing

@testable import AMQP

enum MessageFeatures {
    static let all = [
        Feature("Properties", "all fourteen arrive as they were sent", properties),
        Feature("Field values", "of every type of RabbitMQ's dialect arrive as they were sent, nested as well", values),
        Feature("Bodies", "of any size arrive whole, around the limit of a frame as well", bodies),
        Feature("Body limit", "a body over the local limit is refused before it is sent", limit),
        Feature("Typed properties", "durations, delivery mode and headers are read and written as such", typed),
        Feature("Redelivery", "is marked, after a requeue and after a lost connection", redelivered),
    ]

    static func properties(_ lab: Lab) async throws {
        let sent = BasicProperties(
            contentType: "application/json",
            contentEncoding: "utf-8",
            headers: ["task": "add"],
            isPersistent: true,
            priority: 3,
            correlationID: "correlation",
            replyTo: "reply",
            timeToLive: .seconds(60),
            messageID: "message",
            timestamp: 1_700_000_000,
            type: "type",
            userID: lab.uri.user,
            appID: "app",
            clusterID: "cluster"
        )
        let fields = Mirror(reflecting: sent.fields).children
        #expect(fields.count == 14 && fields.allSatisfy { "\($0.value)" != "nil" })
        for properties in [sent, BasicProperties()] {
            let queue = try await lab.queue()
            try await lab.publish("x", to: queue, properties: properties)
            let delivery = try #require(try await lab.channel.get(queue, noAck: true))
            #expect(delivery.properties == properties)
            #expect(delivery.routingKey == queue && delivery.exchange.isEmpty && !delivery.isRedelivered)
        }
    }

    static func values(_ lab: Lab) async throws {
        let headers: FieldTable = [
            "t": true, "b": .int8(-8), "B": .uint8(200), "s": .int16(-300), "u": .uint16(60_000),
            "I": .int32(-70_000), "i": .uint32(4_000_000_000), "l": .int64(.min), "f": .float(1.5), "d": 0.1,
            "D": .decimal(scale: 2, value: 314), "S": "é\u{1F600}", "A": [1, "two", [.void, ["three": 3]]],
            "T": .timestamp(1_700_000_000), "F": ["a": ["b": ["c": "deep"]]], "V": .void, "x": .octets([0, 255]),
            "": "a name may be empty",
        ]
        let queue = try await lab.queue()
        try await lab.publish("x", to: queue, properties: BasicProperties(headers: headers))
        #expect(try await lab.channel.get(queue, noAck: true)?.properties.headers == headers)
    }

    static func bodies(_ lab: Lab) async throws {
        let connection = try await lab.connect { $0.frameMax = 4096 }
        let channel = try await connection.openChannel()
        let queue = try await channel.declareQueue(durable: false, exclusive: true).name
        for size in [0, 1, 4087, 4088, 4089, 8176, 8177, 1_000_000] {
            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            try await channel.publish(AMQPMessage(routingKey: queue, body: body))
            #expect(try await channel.get(queue, noAck: true)?.body == body)
        }
    }

    static func limit(_ lab: Lab) async throws {
        let channel = try await lab.connect { $0.maximumPublishSize = 10 }.openChannel()
        let outcome = await channel.outcome(ofPublishing: .text("eleven octs", "q"))
        guard case .failed(let error) = outcome else { throw Unexpected(outcome) }
        #expect(error.code == .bodyTooLarge)
        #expect(channel.closeReason == nil)
    }

    static func typed(_ lab: Lab) async throws {
        var properties = BasicProperties()
        #expect(properties.timeToLive == nil && !properties.isPersistent && properties.deaths.isEmpty)
        properties.timeToLive = .microseconds(1_500)
        #expect(properties.expiration == "2" && properties.timeToLive == .milliseconds(2))
        properties.timeToLive = .seconds(-1)
        #expect(properties.expiration == "0")
        properties.expiration = "soon"
        #expect(properties.timeToLive == nil)
        properties.timeToLive = nil
        properties.isPersistent = true
        #expect(properties.deliveryMode == 2)
        properties.delay = .seconds(2)
        properties[header: "answer"] = 42
        #expect(properties.delay == .seconds(2) && properties.headers == ["x-delay": 2000, "answer": 42])
        properties[header: "answer"] = nil
        let queue = try await lab.queue()
        try await lab.publish("x", to: queue, properties: properties)
        let delivery = try #require(try await lab.channel.get(queue, noAck: true))
        #expect(delivery.properties.isPersistent && delivery.properties.delay == .seconds(2))
        #expect(delivery.properties.deliveryCount == nil && delivery.properties.streamOffset == nil)
    }

    static func redelivered(_ lab: Lab) async throws {
        let queue = try await lab.durableQueue()
        try await lab.publish("x", to: queue)
        let victim = try await lab.connect()
        let consumer = try await victim.openChannel().consume(queue)
        let first = try await consumer.required()
        #expect(!first.isRedelivered)
        try consumer.channel.nack(first.tag, requeue: true)
        #expect(try await consumer.required().isRedelivered)
        await victim.close()
        let again = try await lab.channel.consume(queue).required()
        #expect(again.isRedelivered && again.text == "x")
    }
}

import Testing
import Transport

@testable import AMQP

enum PublishingFeatures {
    static let all = [
        Feature("Confirmations", "a publish returns when the broker has taken responsibility", confirms),
        Feature("Many confirmations", "10,000 publishes in one batch, a window of them in flight", many),
        Feature("Selecting confirmations", "ahead of the first publish", select),
        Feature("Refused publishes", "end as nacked", nacked),
        Feature("Mandatory messages", "that no queue takes come back with code, text, exchange and key", returned),
        Feature("Returns among equals", "are matched with their publish by all that the message carries", equals),
        Feature("Messages that need no queue", "are confirmed and gone", unroutable),
        Feature("Publishing without confirmation", "arrives; returns go to a callback", unconfirmed),
        Feature(
            "Immediate messages",
            "the broker's refusal (540) is explained",
            .notSupported("RabbitMQ does not have them; use mandatory, and an expiration of zero"),
            immediate
        ),
        Feature("Sender-selected distribution", "CC and BCC route by further keys, and BCC stays secret", copies),
        Feature("Validated user", "the connection's own is passed on, another ends in 406 with advice", user),
    ]

    static func confirms(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        let outcome = await lab.channel.outcome(ofPublishing: .text("x", queue))
        guard case .confirmed = outcome else { throw Unexpected(outcome) }
        #expect(try await lab.count(queue) == 1)
    }

    static func many(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        let messages = (0..<10_000).map { AMQPMessage.text("\($0)", queue) }
        let results = await lab.channel.publish(messages)
        for result in results { try result.get() }
        #expect(try await lab.count(queue) == 10_000)
    }

    static func select(_ lab: Lab) async throws {
        try await lab.channel.selectConfirms()
        try await lab.channel.selectConfirms()
        let queue = try await lab.queue()
        try await lab.publish("x", to: queue)
        #expect(try await lab.bodies(in: queue) == ["x"])
    }

    static func nacked(_ lab: Lab) async throws {
        let queue = try await lab.queue(QueueArguments(maxLength: 1, overflow: .rejectPublish))
        let results = await lab.channel.publish([.text("1", queue), .text("2", queue)])
        #expect(throws: Never.self) { try results[0].get() }
        #expect(throws: AMQPError.self) { try results[1].get() }
        guard case .nacked = PublishOutcome(results[1]) else { throw Unexpected(results[1]) }
    }

    static func returned(_ lab: Lab) async throws {
        let nowhere = lab.unique("nowhere")
        let outcome = await lab.channel.outcome(ofPublishing: .text("x", nowhere))
        guard case .returned(let returned) = outcome else { throw Unexpected(outcome) }
        #expect(returned.code == .noRoute)
        #expect(returned.replyText == "NO_ROUTE")
        #expect(returned.exchange.isEmpty && returned.routingKey == nowhere)
        let error = await failure { try await lab.publish("x", to: nowhere, exchange: "amq.direct") }
        #expect(error?.code == .returned)
        #expect(error?.returned?.exchange == "amq.direct")
        #expect(error?.message.contains("no binding") == true)
        #expect(lab.channel.closeReason == nil)
    }

    static func equals(_ lab: Lab) async throws {
        // Alike in exchange, key, size and ids; only a header or the body decides which of them returns.
        let exchange = try await lab.exchange(.headers)
        let queue = try await lab.queue()
        try await lab.channel.bindQueue(queue, to: exchange, routingKey: "", arguments: .matchingAll(["go": true]))
        var messages: [AMQPMessage] = []
        for number in 0..<300 {
            var properties = BasicProperties(headers: ["go": .boolean(number % 3 == 0)], messageID: "same")
            if number % 2 == 0 { properties.blindCarbonCopies = ["secret"] }
            messages.append(.text("\(number % 7)", "k", exchange: exchange, properties: properties))
        }
        let results = await lab.channel.publish(messages)
        for (number, result) in results.enumerated() {
            switch PublishOutcome(result) {
            case .confirmed: #expect(number % 3 == 0)
            case .returned: #expect(number % 3 != 0)
            case let other: throw Unexpected(other)
            }
        }
        #expect(try await lab.count(queue) == 100)
    }

    static func unroutable(_ lab: Lab) async throws {
        try await lab.publish("x", to: lab.unique("nowhere"), isMandatory: false)
    }

    static func unconfirmed(_ lab: Lab) async throws {
        let channel = try await lab.openChannel()
        let (returns, continuation) = AsyncStream<(ReturnedMessage, AMQPMessage)>.makeStream()
        channel.onReturn { continuation.yield(($0, $1)) }
        let queue = try await lab.queue()
        let nowhere = lab.unique("nowhere")
        for (number, key) in [queue, nowhere, queue].enumerated() {
            try await channel.publishUnconfirmed(.text("\(number)", key))
        }
        var iterator = returns.makeAsyncIterator()
        let (reply, message) = try #require(await iterator.next())
        #expect(reply.code == .noRoute && reply.routingKey == nowhere)
        #expect(message.body == Array("1".utf8))
        let consumer = try await channel.consume(queue)
        #expect(try await consumer.texts(2) == ["0", "2"])
    }

    static func immediate(_ lab: Lab) async throws {
        let connection = try await lab.connect()
        let channel = try await connection.openChannel()
        async let reason = connection.waitUntilClosed()
        try await connection.publishImmediate(to: "anywhere", on: channel)
        let error = await reason
        #expect(error.reply?.code == .notImplemented)
        #expect(error.reply?.code?.severity == .hard)
        #expect(error.reply?.text.contains("immediate=true") == true)
        #expect(error.reply?.advice?.contains("expiration of zero") == true)
    }

    static func copies(_ lab: Lab) async throws {
        let queues = [try await lab.queue(), try await lab.queue(), try await lab.queue()]
        var properties = BasicProperties()
        properties.carbonCopies = [queues[1]]
        properties.blindCarbonCopies = [queues[2]]
        try await lab.publish("x", to: queues[0], properties: properties)
        for queue in queues {
            let delivery = try #require(try await lab.channel.get(queue, noAck: true))
            #expect(delivery.properties.carbonCopies == [queues[1]])
            #expect(delivery.properties.blindCarbonCopies.isEmpty)
        }
        // A return is recognised although the broker has removed the header.
        properties.carbonCopies = []
        properties.blindCarbonCopies = [lab.unique("nowhere")]
        let error = await failure { try await lab.publish("x", to: lab.unique("nowhere"), properties: properties) }
        #expect(error?.code == .returned)
    }

    static func user(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        try await lab.publish("x", to: queue, properties: BasicProperties(userID: lab.uri.user))
        #expect(try await lab.channel.get(queue, noAck: true)?.properties.userID == lab.uri.user)
        let channel = try await lab.openChannel()
        let message = AMQPMessage.text("x", queue, properties: BasicProperties(userID: "impostor"))
        let error = await failure { try await channel.publish(message) }
        #expect(error?.code == .preconditionFailed)
        #expect(error?.reply?.method == "basic.publish")
        #expect(error?.reply?.advice?.contains("userID") == true)
    }
}

extension AMQPConnection {
    /// Publishes with a flag that the public interface does not offer.
    func publishImmediate(to queue: String, on channel: AMQPChannel) throws {
        send(.basicPublish(.init(exchange: "", routingKey: queue, isImmediate: true)), on: channel.number)
        // The header of a message without properties and body.
        let header: [UInt8] = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        let number = [UInt8(channel.number >> 8), UInt8(channel.number & 255)]
        stream.write([2] + number + [0, 0, 0, UInt8(header.count)] + header + [FrameDecoder.endOctet])
    }
}

import CeleriacCore
import TestSupport
import Testing

extension BrokerContract {
    static func order(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        let texts = (0..<50).map { "m\($0)" }
        for text in texts { try await broker.publish(text, to: queue) }
        let consumer = try await broker.consume([queue], prefetch: 10)
        #expect(try await consumer.texts(texts.count) == texts)
    }

    static func content(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        let message = Message(
            contentType: "text/plain",
            contentEncoding: "utf-8",
            correlationID: "a-correlation",
            replyTo: "a-reply-queue",
            priority: 3,
            messageID: "an-id",
            headers: [
                "null": nil, "true": true, "false": false, "int": 42, "negative": -7, "large": 9_007_199_254_740_993,
                "double": 1.5, "text": "grüße 🐘", "empty": "", "list": [nil, "soft", 2],
                "table": .table(["nested": .table(["deep": [true]]), "none": nil]),
            ],
            body: Array(0...255)
        )
        try await broker.publish(message, to: Route(to: queue))
        let delivery = try await broker.take(from: queue.name)
        #expect(delivery.message == message)
        delivery.acknowledge()
    }

    static func body(_ broker: any Broker, _ body: [UInt8]) async throws {
        let queue = uniqueQueue()
        try await broker.publish(Message(body: body), to: Route(to: queue))
        let delivery = try await broker.consume([queue], prefetch: 1).take()
        #expect(delivery.message.body == body)
        delivery.acknowledge()
    }

    static func provenance(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        try await broker.publish("a", to: queue)
        let delivery = try await broker.consume([queue], prefetch: 1).take()
        #expect(delivery.exchange == "")
        #expect(delivery.routingKey == queue.name.rawValue)
        #expect(delivery.queue == queue.name)
        delivery.acknowledge()
    }

    static func messageExpiry(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        try await broker.publish(.text("brief", expiration: .milliseconds(100)), to: Route(to: queue))
        try await eventually("the message has expired") { try await broker.depth(of: queue.name) == 0 }
        try await broker.publish("lasting", to: queue)
        #expect(try await broker.take(from: queue.name).text == "lasting")
    }

    static func queueTTL(_ broker: any Broker) async throws {
        let queue = uniqueQueue(messageTTL: .milliseconds(100))
        try await broker.publish("a", "b", to: queue)
        try await eventually("the messages have expired") { try await broker.depth(of: queue.name) == 0 }
        #expect(try await broker.isEmpty(queue.name))
    }

    static func priorities(_ broker: any Broker) async throws {
        let queue = uniqueQueue(maximumPriority: 9)
        for (text, priority) in [("low", 0), ("mid 1", 5), ("high", 9), ("mid 2", 5)] as [(String, UInt8)] {
            try await broker.publish(.text(text, priority: priority), to: Route(to: queue))
        }
        let consumer = try await broker.consume([queue], prefetch: 1)
        #expect(try await consumer.texts(4) == ["high", "mid 1", "mid 2", "low"])
    }

    static func priorityCap(_ broker: any Broker) async throws {
        let queue = uniqueQueue(maximumPriority: 5)
        for (text, priority) in [("low", 1), ("five", 5), ("nine", 9)] as [(String, UInt8)] {
            try await broker.publish(.text(text, priority: priority), to: Route(to: queue))
        }
        let consumer = try await broker.consume([queue], prefetch: 1)
        #expect(try await consumer.texts(3) == ["five", "nine", "low"])
    }

    static func noPriorities(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        for (text, priority) in [("low", 0), ("high", 9)] as [(String, UInt8)] {
            try await broker.publish(.text(text, priority: priority), to: Route(to: queue))
        }
        let consumer = try await broker.consume([queue], prefetch: 1)
        #expect(try await consumer.texts(2) == ["low", "high"])
    }

    static func delay(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        let consumer = try await broker.consume([queue], prefetch: 10)
        try await broker.publish(.text("late"), to: Route(to: queue), delay: .seconds(2))
        try await broker.publish(.text("soon"), to: Route(to: queue))
        #expect(try await consumer.texts(2) == ["soon", "late"])
    }

    static func unroutable(_ broker: any Broker) async throws {
        let route = Route(exchange: "", routingKey: uniqueName("nowhere"))
        let error = await #expect(throws: CeleriacError.self) { try await broker.publish(.text("a"), to: route) }
        #expect(error?.code == .unroutable)
        #expect(error?.isIndeterminate == false)
    }

    static func missingExchange(_ broker: any Broker) async throws {
        let route = Route(exchange: uniqueName("nowhere"), routingKey: "key")
        let error = await #expect(throws: CeleriacError.self) { try await broker.publish(.text("a"), to: route) }
        #expect(error?.code == .unroutable || error?.code == .notFound)
    }

    static func declaresRoute(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        #expect(try await broker.depth(of: queue.name) == nil)
        try await broker.publish("a", to: queue)
        #expect(try await broker.take(from: queue.name).text == "a")
    }

    static func declareTwice(_ broker: any Broker) async throws {
        let queue = uniqueQueue(maximumPriority: 3, messageTTL: .seconds(60))
        #expect(try await broker.declare(queue) == nil)
        #expect(try await broker.declare(queue) == nil)
    }

    static func declareDifferently(_ broker: any Broker) async throws {
        var queue = uniqueQueue()
        #expect(try await broker.declare(queue) == nil)
        queue.maximumPriority = 10
        #expect(try await broker.declare(queue)?.isEmpty == false)
        try await broker.publish("adopted", to: queue)
        #expect(try await broker.take(from: queue.name).text == "adopted")
    }
}

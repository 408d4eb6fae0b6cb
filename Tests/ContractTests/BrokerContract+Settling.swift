import CeleriacCore
import TestSupport
import Testing

extension BrokerContract {
    static func acknowledged(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        try await broker.publish("a", "b", to: queue)
        let consumer = try await broker.consume([queue], prefetch: 10)
        #expect(try await consumer.texts(2) == ["a", "b"])
        await consumer.stop()
        #expect(try await broker.isEmpty(queue.name))
    }

    static func returned(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        try await broker.publish("a", "b", "c", to: queue)
        let consumer = try await broker.consume([queue], prefetch: 1)
        let first = try await consumer.take()
        #expect(first.text == "a")
        #expect(!first.isRedelivered)
        first.giveBack()
        let again = try await consumer.take()
        #expect(again.text == "a")
        #expect(again.isRedelivered)
        again.acknowledge()
        #expect(try await consumer.texts(2) == ["b", "c"])
    }

    static func rejected(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        try await broker.publish("bad", "good", to: queue)
        let consumer = try await broker.consume([queue], prefetch: 1)
        try await consumer.take().reject()
        #expect(try await consumer.texts(1) == ["good"])
        await consumer.stop()
        #expect(try await broker.isEmpty(queue.name))
    }

    static func abandoned(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        try await broker.publish("a", to: queue)
        let consumer = try await broker.consume([queue], prefetch: 1)
        do {
            let delivery = try await consumer.take()
            #expect(!delivery.isRedelivered)
        }
        let again = try await consumer.take()
        #expect(again.text == "a")
        #expect(again.isRedelivered)
        again.acknowledge()
    }

    static func redeliveryToOthers(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        try await broker.publish("a", to: queue)
        let one = try await broker.consume([queue], prefetch: 1)
        let delivery = try await one.take()
        await one.stop()
        let other = try await broker.consume([queue], prefetch: 1)
        delivery.giveBack()
        let again = try await other.take()
        #expect(again.text == "a")
        #expect(again.isRedelivered)
        again.acknowledge()
    }

    static func depth(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        _ = try await broker.declare(queue)
        #expect(try await broker.depth(of: queue.name) == 0)
        try await broker.publish("a", "b", "c", to: queue)
        try await eventually("three are ready") { try await broker.depth(of: queue.name) == 3 }
        let delivery = try await broker.take(from: queue.name)
        try await eventually("two are ready") { try await broker.depth(of: queue.name) == 2 }
        delivery.giveBack()
        try await eventually("three are ready again") { try await broker.depth(of: queue.name) == 3 }
    }

    static func get(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        _ = try await broker.declare(queue)
        #expect(try await broker.isEmpty(queue.name))
        try await broker.publish("a", "b", to: queue)
        let first = try await broker.take(from: queue.name)
        let second = try await broker.take(from: queue.name)
        #expect([first.text, second.text] == ["a", "b"])
        #expect(try await broker.isEmpty(queue.name))
        first.giveBack()
        second.acknowledge()
        let again = try await broker.take(from: queue.name)
        #expect(again.text == "a")
        #expect(again.isRedelivered)
        again.acknowledge()
    }

    static func purge(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        try await broker.publish("out", "ready 1", "ready 2", to: queue)
        let out = try await broker.take(from: queue.name)
        try await eventually("two are ready") { try await broker.depth(of: queue.name) == 2 }
        #expect(try await broker.purge(queue.name) == 2)
        #expect(try await broker.purge(queue.name) == 0)
        out.giveBack()
        #expect(try await broker.take(from: queue.name).text == "out")
    }
}

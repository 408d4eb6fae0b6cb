import CeleriacCore
import TestSupport
import Testing

extension BrokerContract {
    static func prefetch(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        try await broker.publish("a", "b", "c", to: queue)
        let consumer = try await broker.consume([queue], prefetch: 2)
        let first = try await consumer.take()
        let second = try await consumer.take()
        async let third = consumer.take()
        // The third stays in its queue, however long the consumer waits for it.
        try await eventually("one is ready") { try await broker.depth(of: queue.name) == 1 }
        second.acknowledge()
        let last = try await third
        #expect([first.text, second.text, last.text] == ["a", "b", "c"])
        first.acknowledge()
        last.acknowledge()
    }

    static func prefetchOverQueues(_ broker: any Broker) async throws {
        let (left, right) = (uniqueQueue(), uniqueQueue())
        try await broker.publish("l1", "l2", to: left)
        try await broker.publish("r1", "r2", to: right)
        let consumer = try await broker.consume([left, right], prefetch: 2)
        var held: [HeldDelivery] = []
        for _ in 0..<2 { held.append(try await consumer.take()) }
        // How a driver shares the prefetch out is its own affair; that no third message leaves its queue is not.
        try await eventually("two are ready") {
            let depths = (try await broker.depth(of: left.name), try await broker.depth(of: right.name))
            return (depths.0 ?? 0) + (depths.1 ?? 0) == 2
        }
        for delivery in held { delivery.acknowledge() }
        for _ in 0..<2 { held.append(try await consumer.take()) }
        #expect(Set(held.map(\.text)) == ["l1", "l2", "r1", "r2"])
        for delivery in held[2...] { delivery.acknowledge() }
    }

    static func severalQueues(_ broker: any Broker) async throws {
        let queues = (0..<4).map { _ in uniqueQueue() }
        let consumer = try await broker.consume(queues, prefetch: 10)
        for (index, queue) in queues.enumerated() { try await broker.publish("q\(index)", to: queue) }
        #expect(Set(try await consumer.texts(4)) == ["q0", "q1", "q2", "q3"])
    }

    static func severalConsumers(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        let one = try await broker.consume([queue], prefetch: 1)
        let other = try await broker.consume([queue], prefetch: 1)
        try await broker.publish("a", "b", to: queue)
        async let first = one.take()
        async let second = other.take()
        let both = try await [first, second]
        #expect(Set(both.map(\.text)) == ["a", "b"])
        for delivery in both { delivery.acknowledge() }
    }

    static func manyWaiters(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        let consumer = try await broker.consume([queue], prefetch: 100)
        let texts = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<50 {
                group.addTask {
                    let delivery = try await consumer.take()
                    delivery.acknowledge()
                    return delivery.text
                }
            }
            for index in 0..<50 { try await broker.publish("m\(index)", to: queue) }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(texts.count == 50)
        #expect(Set(texts).count == 50)
    }

    static func lateMessage(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        let consumer = try await broker.consume([queue], prefetch: 1)
        async let delivery = consumer.take()
        try await broker.publish("late", to: queue)
        let taken = try await delivery
        #expect(taken.text == "late")
        taken.acknowledge()
    }

    static func cancelledWait(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        let consumer = try await broker.consume([queue], prefetch: 1)
        let wait = Task { try await consumer.takeOrEnd() }
        wait.cancel()
        let error = await #expect(throws: CeleriacError.self) { try await wait.value }
        #expect(error?.code == .cancelled)
        try await broker.publish("a", to: queue)
        #expect(try await consumer.texts(1) == ["a"])
    }

    static func stopReturnsUntaken(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        try await broker.publish("a", "b", "c", "d", to: queue)
        let consumer = try await broker.consume([queue], prefetch: 10)
        let taken = try await consumer.take()
        await consumer.stop()
        #expect(try await consumer.takeOrEnd() == nil)
        try await eventually("three are back") { try await broker.depth(of: queue.name) == 3 }
        taken.acknowledge()
        let next = try await broker.consume([queue], prefetch: 10)
        #expect(try await next.texts(3) == ["b", "c", "d"])
    }

    static func settleAfterStop(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        try await broker.publish("done", "again", to: queue)
        let consumer = try await broker.consume([queue], prefetch: 10)
        let done = try await consumer.take()
        let again = try await consumer.take()
        await consumer.stop()
        done.acknowledge()
        again.giveBack()
        let redelivered = try await broker.take(from: queue.name)
        #expect(redelivered.text == "again")
        redelivered.acknowledge()
        #expect(try await broker.isEmpty(queue.name))
    }

    static func stopEndsWaits(_ broker: any Broker) async throws {
        let consumer = try await broker.consume([uniqueQueue()], prefetch: 1)
        async let first = consumer.takeOrEnd()
        async let second = consumer.takeOrEnd()
        await consumer.stop()
        #expect(try await first == nil)
        #expect(try await second == nil)
        #expect(try await consumer.takeOrEnd() == nil)
        await consumer.stop()
    }

    static func close(_ broker: any Broker) async throws {
        let queue = uniqueQueue()
        try await broker.publish("a", to: queue)
        let consumer = try await broker.consume([queue], prefetch: 1)
        let delivery = try await consumer.take()
        async let waiting = consumer.takeOrEnd()
        await broker.close(grace: .seconds(1))
        #expect(try await waiting == nil)
        #expect(try await consumer.takeOrEnd() == nil)
        let error = await #expect(throws: CeleriacError.self) { try await broker.publish("b", to: queue) }
        #expect(error?.code == .closed)
        delivery.acknowledge()
        await broker.close(grace: .seconds(1))
    }
}

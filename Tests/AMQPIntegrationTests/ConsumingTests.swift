import Synchronization
import Testing

@testable import AMQP

@Suite(
    "Consuming from RabbitMQ",
    .tags(.integration),
    .enabled(if: TestBroker.url != nil, "set RABBITMQ_URL"),
    .timeLimit(.minutes(1))
)
struct ConsumingTests {
    private func fill(_ channel: AMQPChannel, _ queue: String, _ count: Int) async throws {
        let messages = (0..<count).map { AMQPMessage(routingKey: queue, body: [UInt8($0 & 255), UInt8($0 >> 8)]) }
        for result in await channel.publish(messages) { try result.get() }
    }

    @Test("Deliveries come in order and stay within the prefetch")
    func order() async throws {
        try await TestBroker.withQueue { channel, queue in
            try await fill(channel, queue, 50)
            let consumer = try await channel.consume(queue, prefetch: 10)
            for number in 0..<50 as Range<UInt8> {
                let delivery = try await consumer.required()
                #expect(delivery.body == [number, 0])
                try channel.acknowledge(delivery.tag)
            }
        }
    }

    @Test("Many tasks share a consumer, and each message goes to one of them")
    func shared() async throws {
        try await TestBroker.withQueue { channel, queue in
            let count = 2000
            let consumer = try await channel.consume(queue, prefetch: 50)
            let seen = Tally()
            try await withThrowingTaskGroup { group in
                for _ in 0..<8 {
                    group.addTask {
                        while let delivery = try await consumer.next() {
                            let number = Int(delivery.body[0]) | Int(delivery.body[1]) << 8
                            let total = seen.add(number)
                            try channel.acknowledge(delivery.tag)
                            if total == count { try await consumer.cancel() }
                        }
                    }
                }
                try await fill(channel, queue, count)
                try await group.waitForAll()
            }
            #expect(seen.counts == Dictionary(uniqueKeysWithValues: (0..<count).map { ($0, 1) }))
        }
    }

    @Test("Acknowledgements asked for before closing are not lost")
    func flushedAtClose() async throws {
        try await TestBroker.withQueue { channel, queue in
            try await fill(channel, queue, 20)
            let other = try await channel.connection.openChannel()
            let consumer = try await other.consume(queue, prefetch: 20)
            for number in 0..<20 {
                let delivery = try await consumer.required()
                if number % 2 == 0 { try other.acknowledge(delivery.tag) }
            }
            await other.close()
            let end = try await consumer.next()
            #expect(end == nil)
            var left: [UInt8] = []
            while let delivery = try await channel.get(queue, noAck: true) {
                #expect(delivery.isRedelivered)
                left.append(delivery.body[0])
            }
            #expect(left.sorted() == (0..<20).filter { $0 % 2 == 1 })
        }
    }

    @Test("Closing from a cancelled task still sends the acknowledgements")
    func closedWhileCancelled() async throws {
        try await TestBroker.withConnection { connection in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(
                TestBroker.uniqueName("cancelled"),
                durable: false,
                arguments: ["x-expires": 60_000]
            ).name
            try await fill(channel, queue, 5)
            let other = try await TestBroker.connect()
            let consumer = try await other.openChannel().consume(queue, prefetch: 5)
            for _ in 0..<5 { try consumer.channel.acknowledge(try await consumer.required().tag) }
            await withTaskGroup { group in
                group.addTask { await other.close() }
                group.cancelAll()
            }
            #expect(other.closeReason?.code == .closed)
            while try await channel.declareQueue(queue, passive: true).consumerCount > 0 {}
            let left = try await channel.get(queue)
            #expect(left == nil)
            try await channel.deleteQueue(queue)
        }
    }

    @Test("A rejected delivery comes again, marked, or goes to the dead-letter exchange")
    func rejected() async throws {
        try await TestBroker.withQueue { channel, deadLetters in
            let queue = try await channel.declareQueue(
                durable: false,
                exclusive: true,
                arguments: ["x-dead-letter-exchange": "", "x-dead-letter-routing-key": .string(deadLetters)]
            ).name
            try await fill(channel, queue, 1)
            let consumer = try await channel.consume(queue, prefetch: 1)
            try channel.reject(try await consumer.required().tag, requeue: true)
            let second = try await consumer.required()
            #expect(second.isRedelivered)
            try channel.nack(second.tag, requeue: true)
            try channel.nack(try await consumer.required().tag, requeue: false)
            let dead = try await channel.consume(deadLetters)
            let delivery = try await dead.required()
            #expect(delivery.properties.headers?["x-first-death-reason"] == "rejected")
            #expect(delivery.properties.headers?["x-death"]?.array?.first?.table?["queue"] == .string(queue))
            try channel.acknowledge(delivery.tag)
        }
    }

    @Test("Settling twice, or on another channel, harms nobody")
    func settledTwice() async throws {
        try await TestBroker.withQueue { channel, queue in
            try await fill(channel, queue, 3)
            let consumer = try await channel.consume(queue)
            let other = try await channel.connection.openChannel()
            for _ in 0..<3 {
                let tag = try await consumer.required().tag
                #expect(await failure { try other.acknowledge(tag) }?.code == .staleDelivery)
                try channel.acknowledge(tag)
                try channel.acknowledge(tag)
                try channel.reject(tag, requeue: true)
            }
            // A second settlement that reached the broker would close the channel before this answer.
            try await channel.setPrefetch(1)
            #expect(channel.closeReason == nil)
            await other.close()
            #expect(other.closeReason?.code == .closed)
        }
    }

    @Test("Unsettled deliveries return when the connection is lost")
    func lost() async throws {
        let queue = TestBroker.uniqueName("lost")
        try await TestBroker.withConnection { connection in
            let channel = try await connection.openChannel()
            _ = try await channel.declareQueue(
                queue,
                durable: false,
                autoDelete: false,
                arguments: ["x-expires": 60_000]
            )
            try await fill(channel, queue, 1)
            let first = try await TestBroker.connect()
            let consumer = try await first.openChannel().consume(queue)
            _ = try await consumer.required()
            await first.close()
            let second = try await channel.consume(queue).required()
            #expect(second.isRedelivered)
            try await channel.deleteQueue(queue)
        }
    }

    @Test("A consumer whose queue is deleted ends with a reason")
    func queueDeleted() async throws {
        try await TestBroker.withQueue { channel, queue in
            try await fill(channel, queue, 1)
            let consumer = try await channel.consume(queue)
            let delivery = try await consumer.required()
            try await channel.deleteQueue(queue)
            let error = await failure { _ = try await consumer.next() }
            #expect(error?.code == .consumerCancelled)
            try channel.acknowledge(delivery.tag)
            _ = try await channel.declareQueue(durable: false, exclusive: true)
        }
    }

    @Test("A cancelled consumer hands out what had arrived, then ends")
    func cancelled() async throws {
        try await TestBroker.withQueue { channel, queue in
            try await fill(channel, queue, 5)
            let consumer = try await channel.consume(queue, prefetch: 5)
            let first = try await consumer.required()
            try await consumer.cancel()
            var tags = [first.tag]
            for try await delivery in consumer { tags.append(delivery.tag) }
            for tag in tags { try channel.reject(tag, requeue: true) }
            let again = try await channel.consume(queue)
            for number in 0..<5 as Range<UInt8> { #expect(try await again.required().body == [number, 0]) }
        }
    }

    @Test("A cancelled task stops waiting and takes no delivery with it")
    func cancelledTask() async throws {
        try await TestBroker.withQueue { channel, queue in
            let consumer = try await channel.consume(queue)
            let error = await withTaskGroup(of: AMQPError?.self) { group in
                group.addTask { await failure { _ = try await consumer.next() } }
                group.cancelAll()
                return await group.next() ?? nil
            }
            #expect(error?.code == .cancelled)
            try await fill(channel, queue, 1)
            #expect(try await consumer.required().body == [0, 0])
        }
    }

    @Test("Without acknowledgements a slow consumer holds the connection back, and loses nothing")
    func inboxLimit() async throws {
        try await TestBroker.withConnection {
            $0.inboxLimit = 50
        } _: { connection in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(durable: false, exclusive: true).name
            let messages = (0..<3000).map { number in
                var body = [UInt8](repeating: 0, count: 8000)
                (body[0], body[1]) = (UInt8(number & 255), UInt8(number >> 8))
                return AMQPMessage(routingKey: queue, body: body)
            }
            for result in await channel.publish(messages) { try result.get() }
            let consumer = try await channel.consume(queue, noAck: true)
            while await connection.pausedInboxes == 0 { await Task.yield() }
            // Nobody has taken any, and no more than one read can bring beyond the limit are there.
            let early = consumer.takeAvailable()
            #expect(early.count >= 50 && early.count <= 50 + (512 << 10) / 8000)
            var numbers = early.map { Int($0.body[0]) | Int($0.body[1]) << 8 }
            while numbers.count < 3000 {
                let delivery = try await consumer.required()
                numbers.append(Int(delivery.body[0]) | Int(delivery.body[1]) << 8)
            }
            #expect(numbers == Array(0..<3000))
        }
    }

    @Test("Getting from an empty queue gives nothing, from a full one a loan")
    func get() async throws {
        try await TestBroker.withQueue { channel, queue in
            let nothing = try await channel.get(queue)
            #expect(nothing == nil)
            try await fill(channel, queue, 2)
            let delivery = try #require(try await channel.get(queue))
            try channel.reject(delivery.tag, requeue: true)
            #expect(try await channel.get(queue)?.isRedelivered == true)
        }
    }

    @Test("A body over the limit closes only its channel")
    func bodyTooLarge() async throws {
        try await TestBroker.withConnection {
            $0.maximumBodySize = 100
        } _: { connection in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(durable: false, exclusive: true).name
            try await channel.publish(AMQPMessage(routingKey: queue, body: Array(repeating: 1, count: 101)))
            let victim = try await connection.openChannel()
            let consumer = try await victim.consume(queue)
            let error = await failure { _ = try await consumer.next() }
            #expect(error?.code == .bodyTooLarge)
            #expect(channel.closeReason == nil)
            #expect(try await channel.purgeQueue(queue) <= 1)
        }
    }
}

/// Counts from many tasks.
private final class Tally: Sendable {
    private let state = Mutex<[Int: Int]>([:])

    var counts: [Int: Int] { state.withLock { $0 } }

    /// Counts a number, and tells how many different ones there are.
    func add(_ number: Int) -> Int {
        state.withLock { counts in
            counts[number, default: 0] += 1
            return counts.count
        }
    }
}

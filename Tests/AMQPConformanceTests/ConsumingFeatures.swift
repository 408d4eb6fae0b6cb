import Synchronization
import TestSupport
import Testing

@testable import AMQP

enum ConsumingFeatures {
    static let all = [
        Feature("Push", "deliveries come by themselves, in order, within the prefetch", push),
        Feature("Pull", "one message, or none; not meant for waiting", pull),
        Feature("Acknowledgement", "alone and gathered; what is not acknowledged comes again", acknowledging),
        Feature("Rejection", "gives back, or drops; with the standard's method and with RabbitMQ's", rejecting),
        Feature("Recovering deliveries", "gives back what is unsettled, and voids its tags", recovering),
        Feature("Without acknowledgement", "a slow consumer is kept from flooding by back-pressure", noAck),
        Feature("Round robin", "equally fast consumers share evenly", roundRobin),
        Feature("Fair dispatch", "with a prefetch of one, the fast consumer takes what the slow one cannot", fair),
        Feature("Order by key", "several queues by key, and a consumer that dies, keep the order of each key", sharded),
        Feature("Consumer priority", "the higher first, the lower while that is busy", priority),
        Feature("Exclusive consumers", "suffer no other (403), which is explained", exclusive),
        Feature("Cancelling", "ends in order, what has arrived can still be taken", cancelling),
        Feature("Cancelled by the broker", "a consumer whose queue is deleted ends with a reason", cancelled),
        Feature("Direct reply-to", "an answer comes without a queue of one's own", replyTo),
        Feature(
            "Consumer timeout",
            "the arguments of queue and consumer are sent and checked",
            .partly("the broker's own setting counts before RabbitMQ 3.12 and 4.3"),
            timeout
        ),
        Feature(
            "Leaving out one's own messages",
            "the flag is sent; the broker delivers them all the same",
            .notSupported("RabbitMQ does not have it"),
            noLocal
        ),
    ]

    static func push(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        for result in await lab.channel.publish((0..<100).map { .text("\($0)", queue) }) { try result.get() }
        let channel = try await lab.openChannel()
        let consumer = try await channel.consume(queue, prefetch: 10)
        var loans: [AMQPDelivery] = []
        for _ in 0..<10 { loans.append(try await consumer.required()) }
        // Declarations are answered after whatever the channel had to send: nothing more, and the rest is not on loan.
        #expect(try await channel.declareQueue(queue, passive: true).messageCount == 90)
        #expect(consumer.takeAvailable().isEmpty)
        for loan in loans { try channel.acknowledge(loan.tag) }
        let texts = try await loans.map(\.text) + consumer.texts(90)
        #expect(texts == (0..<100).map { "\($0)" })
    }

    static func pull(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        let nothing = try await lab.channel.get(queue)
        #expect(nothing == nil)
        try await lab.publish("x", to: queue)
        let loan = try #require(try await lab.channel.get(queue))
        let none = try await lab.channel.get(queue)
        #expect(none == nil)
        try lab.channel.reject(loan.tag, requeue: true)
        #expect(try await lab.channel.get(queue, noAck: true)?.isRedelivered == true)
    }

    /// Three processes' worth of consumers take eight shards between them, and one of them dies in the middle.
    static func sharded(_ lab: Lab) async throws {
        let shards = QueueShards(lab.unique("shards"), count: 8, arguments: QueueArguments(expires: .seconds(60)))
        try await shards.declare(over: lab.channel)
        let (keys, steps) = ((0..<20).map { "key-\($0)" }, 30)
        let log = ShardLog()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for member in 0..<3 {
                let connection = try await lab.connect()
                let channel = try await connection.openChannel()
                for queue in shards.queues {
                    let consumer = try await channel.consume(queue.name, prefetch: 5)
                    group.addTask {
                        while let delivery = try await consumer.next() {
                            let words = delivery.text.split(separator: " ")
                            let (key, step) = (String(words[0]), Int(words[1]) ?? 0)
                            let done = log.add(key, step)
                            if member == 0, done > keys.count * steps / 3, log.dies() {
                                return await connection.close()
                            }
                            try channel.acknowledge(delivery.tag)
                        }
                    }
                }
            }
            for key in keys {
                group.addTask {
                    let channel = try await lab.openChannel()
                    for step in 0..<steps {
                        try await channel.publish(.text("\(key) \(step)", shards.queueName(for: key)))
                    }
                }
            }
            try await eventually(within: .seconds(50), "all is done") {
                log.hasAll(steps, of: keys)
            }
            // Which ends the consumers, with errors that are no failure.
            for queue in shards.queues { try await lab.channel.deleteQueue(queue.name) }
        }
        #expect(!log.dies())
        #expect(log.early == [])
    }

    private final class ShardLog: Sendable {
        private let state = Mutex<(next: [String: Int], early: [String], hasDied: Bool)>(([:], [], false))

        /// Notes a step; one that was done and not acknowledged comes once more.
        ///
        /// - Returns: How many steps are done.
        func add(_ key: String, _ step: Int) -> Int {
            state.withLock { state in
                if step > state.next[key, default: 0] { state.early.append("\(key) \(step)") }
                if step == state.next[key, default: 0] { state.next[key] = step + 1 }
                return state.next.values.reduce(0, +)
            }
        }

        /// What came before its turn.
        var early: [String] { state.withLock { $0.early } }

        func hasAll(_ steps: Int, of keys: [String]) -> Bool {
            state.withLock { state in keys.allSatisfy { state.next[$0] == steps } }
        }

        /// Whether this is the moment, which comes once.
        func dies() -> Bool {
            state.withLock { state in
                defer { state.hasDied = true }
                return !state.hasDied
            }
        }
    }

    static func acknowledging(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        for number in 0..<20 { try await lab.publish("\(number)", to: queue) }
        let channel = try await lab.openChannel()
        let consumer = try await channel.consume(queue)
        for number in 0..<20 {
            let delivery = try await consumer.required()
            if number < 10 || number % 2 == 0 { try channel.acknowledge(delivery.tag) }
        }
        await channel.close()
        #expect(try await lab.bodies(in: queue) == ["11", "13", "15", "17", "19"])
    }

    static func rejecting(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        for body in ["1", "2"] { try await lab.publish(body, to: queue) }
        let consumer = try await lab.channel.consume(queue, prefetch: 1)
        try lab.channel.reject(try await consumer.required().tag, requeue: true)
        let again = try await consumer.required()
        #expect(again.text == "1" && again.isRedelivered)
        try lab.channel.nack(again.tag, requeue: true)
        try lab.channel.nack(try await consumer.required().tag, requeue: false)
        let second = try await consumer.required()
        #expect(second.text == "2")
        try lab.channel.reject(second.tag, requeue: false)
        try await consumer.cancel()
        #expect(try await lab.count(queue) == 0)
    }

    static func recovering(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        for number in 0..<5 { try await lab.publish("\(number)", to: queue) }
        let channel = try await lab.openChannel()
        let consumer = try await channel.consume(queue)
        var old: [DeliveryTag] = []
        for _ in 0..<3 { old.append(try await consumer.required().tag) }
        try channel.acknowledge(old[0])
        try await channel.recover()
        for tag in old { try channel.acknowledge(tag) }
        var bodies: Set<String> = []
        for _ in 0..<4 {
            let delivery = try await consumer.required()
            bodies.insert(delivery.text)
            try channel.acknowledge(delivery.tag)
        }
        #expect(bodies == ["1", "2", "3", "4"])
        // A tag that the broker does not know any more would close the channel before this answer.
        try await channel.setPrefetch(1)
        #expect(channel.closeReason == nil)
        await channel.close()
        #expect(try await lab.count(queue) == 0)
    }

    static func noAck(_ lab: Lab) async throws {
        let connection = try await lab.connect { $0.inboxLimit = 50 }
        let channel = try await connection.openChannel()
        let queue = try await channel.declareQueue(durable: false, exclusive: true).name
        for result in await channel.publish((0..<3000).map { .text("\($0)", queue) }) { try result.get() }
        let consumer = try await channel.consume(queue, noAck: true)
        for number in 0..<3000 { #expect(try await consumer.required().text == "\(number)") }
    }

    static func roundRobin(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        let consumers = [
            try await lab.openChannel().consume(queue), try await lab.openChannel().consume(queue),
        ]
        for number in 0..<10 { try await lab.publish("\(number)", to: queue) }
        let even = try await consumers[0].texts(5)
        let odd = try await consumers[1].texts(5)
        #expect(Set(even + odd).count == 10)
        #expect(even == ["0", "2", "4", "6", "8"] || odd == ["0", "2", "4", "6", "8"])
    }

    static func fair(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        let slow = try await lab.openChannel().consume(queue, prefetch: 1)
        let fast = try await lab.openChannel().consume(queue, prefetch: 1)
        for number in 0..<10 { try await lab.publish("\(number)", to: queue) }
        let busy = try await slow.required()
        #expect(try await fast.texts(9).count == 9)
        #expect(slow.takeAvailable().isEmpty)
        try slow.channel.acknowledge(busy.tag)
    }

    static func priority(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        let low = try await lab.openChannel().consume(queue, arguments: ConsumerArguments(priority: -1))
        let high = try await lab.openChannel().consume(
            queue,
            prefetch: 2,
            arguments: ConsumerArguments(priority: 10)
        )
        for number in 0..<3 { try await lab.publish("\(number)", to: queue) }
        #expect(try await low.required().text == "2")
        #expect(try await high.texts(2) == ["0", "1"])
    }

    static func exclusive(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        let holder = try await lab.channel.consume(queue, exclusive: true)
        defer { withExtendedLifetime(holder) {} }
        let channel = try await lab.openChannel()
        let error = await failure { _ = try await channel.consume(queue) }
        #expect(error?.code == .accessRefused)
        #expect(error?.reply?.method == "basic.consume")
        #expect(error?.reply?.advice?.contains("for itself") == true)
    }

    static func cancelling(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        for number in 0..<5 { try await lab.publish("\(number)", to: queue) }
        let consumer = try await lab.channel.consume(queue, tag: "mine")
        #expect(consumer.tag == "mine")
        let first = try await consumer.required()
        try await consumer.cancel()
        var left = 1
        for try await delivery in consumer {
            left += 1
            try lab.channel.reject(delivery.tag, requeue: true)
        }
        try lab.channel.reject(first.tag, requeue: true)
        #expect(left == 5)
        let again = try await lab.channel.consume(queue, tag: "mine")
        #expect(try await again.texts(5) == (0..<5).map { "\($0)" })
    }

    static func cancelled(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        let consumer = try await lab.channel.consume(queue)
        try await lab.channel.deleteQueue(queue)
        let error = await failure { _ = try await consumer.next() }
        #expect(error?.code == .consumerCancelled)
        #expect(lab.channel.closeReason == nil)
    }

    static func replyTo(_ lab: Lab) async throws {
        let requests = try await lab.queue()
        let client = try await lab.openChannel()
        let replies = try await client.consume("amq.rabbitmq.reply-to", noAck: true)
        let properties = BasicProperties(correlationID: "7", replyTo: "amq.rabbitmq.reply-to")
        try await client.publish(.text("question", requests, properties: properties))
        let request = try await lab.channel.consume(requests, noAck: true).required()
        let address = try #require(request.properties.replyTo)
        #expect(address.hasPrefix("amq.rabbitmq.reply-to."))
        // No queue takes it, so it cannot be mandatory.
        try await lab.publish(
            "answer",
            to: address,
            properties: BasicProperties(correlationID: request.properties.correlationID),
            isMandatory: false
        )
        let reply = try await replies.required()
        #expect(reply.text == "answer" && reply.properties.correlationID == "7")
    }

    static func timeout(_ lab: Lab) async throws {
        let arguments = QueueArguments(consumerTimeout: .seconds(90))
        #expect(try arguments.fields() == ["x-consumer-timeout": 90_000])
        let queue = try await lab.queue(arguments)
        let consumer = ConsumerArguments(consumerTimeout: .seconds(60), cancelOnFailover: true)
        #expect(try consumer.fields() == ["x-consumer-timeout": 60_000, "x-cancel-on-ha-failover": true])
        _ = try await lab.channel.consume(queue, arguments: consumer)
        let error = await failure {
            _ = try await lab.channel.consume(queue, arguments: ConsumerArguments(consumerTimeout: .zero))
        }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("x-consumer-timeout") == true)
    }

    static func noLocal(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        let consumer = try await lab.channel.consume(queue, noLocal: true)
        try await lab.publish("own", to: queue)
        #expect(try await consumer.texts(1) == ["own"])
    }
}

import AMQP
import AMQPExampleSupport

try await withBroker { connection in
    try await connection.withChannel { channel in
        let orders = try await channel.declareQueue(exclusive: true).name

        // Nobody consumes a delay queue: messages leave it by expiring, for the queue where they are due. There is one
        // for each delay, since a message does not expire before those in front of it.
        var delayQueues: [Duration: String] = [:]
        for delay in [Duration.milliseconds(100), .milliseconds(500)] {
            delayQueues[delay] = try await channel.declareQueue(
                exclusive: true,
                arguments: QueueArguments(messageTTL: delay, deadLetterExchange: "", deadLetterRoutingKey: orders)
            ).name
        }

        /// Publishes a message that arrives after a delay.
        func publish(_ text: String, after delay: Duration) async throws {
            guard let queue = delayQueues[delay] else { return }
            try await channel.publish(AMQPMessage(text, routingKey: queue))
            print("sent: \(text)")
        }

        let start = ContinuousClock.now
        try await publish("cancel the order if unpaid", after: .milliseconds(500))
        try await publish("remind the customer", after: .milliseconds(100))

        let consumer = try await channel.consume(orders)
        for (text, delay) in [("reminder", 100), ("cancellation", 500)] {
            let due = try await consumer.texts(1)
            let isPunctual = start.duration(to: .now) >= .milliseconds(delay)
            print("\(text), not before \(delay) ms have passed: \(isPunctual), \(due)")
        }
    }
}

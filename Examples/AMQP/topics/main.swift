import AMQP
import AMQPExampleSupport

try await withBroker { connection in
    try await connection.withChannel { channel in
        let readings = uniqueName("readings")
        try await channel.declareExchange(readings, type: .topic, autoDelete: true)

        // A star stands for exactly one word, a hash for any number of words, none included.
        let patterns = ["*.temperature", "cellar.#", "#", "cellar.temperature"]
        var queues: [String] = []
        for pattern in patterns {
            let queue = try await channel.declareQueue(exclusive: true).name
            try await channel.bindQueue(queue, to: readings, routingKey: pattern)
            queues.append(queue)
        }

        for key in ["cellar.temperature", "attic.temperature", "cellar.door.left", "cellar"] {
            try await channel.publish(AMQPMessage(key, exchange: readings, routingKey: key))
        }

        for (pattern, queue) in zip(patterns, queues) {
            let count = try await channel.declareQueue(queue, passive: true).messageCount
            print("\(pattern): \(try await channel.consume(queue).texts(count).joined(separator: ", "))")
        }
    }
}

import AMQP
import AMQPExampleSupport

try await withBroker { connection in
    try await connection.withChannel { channel in
        let queue = try await channel.declareQueue(exclusive: true, arguments: QueueArguments(maxPriority: 10)).name
        let mail: [(String, UInt8?)] = [("newsletter", nil), ("invoice", 5), ("alarm", 9), ("receipt", 5)]
        for (text, priority) in mail {
            try await channel.publish(AMQPMessage(text, routingKey: queue) { $0.priority = priority })
        }
        print("sent: \(mail.map(\.0))")

        // What a consumer holds already cannot be overtaken, so it holds one at a time.
        let consumer = try await channel.consume(queue, prefetch: 1)
        print("received: \(try await consumer.texts(4))")
    }
}

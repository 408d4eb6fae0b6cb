import AMQP
import AMQPExampleSupport

try await withBroker { connection in
    try await connection.withChannel { channel in
        let exchange = uniqueName("dead")
        try await channel.declareExchange(exchange, type: "fanout", autoDelete: true)
        let letters = try await channel.declareQueue(exclusive: true).name
        try await channel.bindQueue(letters, to: exchange, routingKey: "")
        let dead = try await channel.consume(letters)

        /// A queue whose dead messages go to the exchange.
        func queue(_ arguments: FieldTable = [:]) async throws -> String {
            var arguments = arguments
            arguments["x-dead-letter-exchange"] = .string(exchange)
            return try await channel.declareQueue(exclusive: true, arguments: arguments).name
        }

        let rejecting = try await queue()
        try await channel.publish(["unreadable"], routingKey: rejecting)
        let consumer = try await channel.consume(rejecting)
        if let delivery = try await consumer.next() { channel.reject(delivery.tag, requeue: false) }
        try await show(dead)

        try await channel.publish(["stale"], routingKey: try await queue(["x-message-ttl": 10]))
        try await show(dead)

        try await channel.publish(["oldest", "newer"], routingKey: try await queue(["x-max-length": 1]))
        try await show(dead)
    }
}

/// Prints a dead letter and what the broker says of its deaths in the header `x-death`, the latest first.
func show(_ consumer: AMQPConsumer) async throws {
    guard let letter = try await consumer.next() else { return }
    consumer.channel.acknowledge(letter.tag)
    for death in letter.properties.deaths {
        print("\(letter.text): \(death.reason), times: \(death.count)")
    }
}

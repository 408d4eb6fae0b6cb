import AMQP
import AMQPExampleSupport

extension AMQPChannel {
    /// Declares a queue whose dead messages go to an exchange.
    func declareQueue(ttl: Duration? = nil, maxLength: Int? = nil, deadLetters: String) async throws -> String {
        let arguments = QueueArguments(messageTTL: ttl, maxLength: maxLength, deadLetterExchange: deadLetters)
        return try await declareQueue(exclusive: true, arguments: arguments).name
    }
}

try await withBroker { connection in
    try await connection.withChannel { channel in
        let exchange = uniqueName("dead")
        try await channel.declareExchange(exchange, type: .fanout, autoDelete: true)
        let letters = try await channel.declareQueue(exclusive: true).name
        try await channel.bindQueue(letters, to: exchange, routingKey: "")
        let dead = try await channel.consume(letters)

        let rejecting = try await channel.declareQueue(deadLetters: exchange)
        try await channel.publish(["unreadable"], routingKey: rejecting)
        let consumer = try await channel.consume(rejecting)
        if let delivery = try await consumer.next() { try channel.reject(delivery.tag, requeue: false) }
        try await show(dead)

        let stale = try await channel.declareQueue(ttl: .milliseconds(10), deadLetters: exchange)
        try await channel.publish(["stale"], routingKey: stale)
        try await show(dead)

        let short = try await channel.declareQueue(maxLength: 1, deadLetters: exchange)
        try await channel.publish(["oldest", "newer"], routingKey: short)
        try await show(dead)
    }
}

/// Prints a dead letter and what the broker says of its deaths in the header `x-death`, the latest first.
func show(_ consumer: AMQPConsumer) async throws {
    guard let letter = try await consumer.next() else { return }
    try consumer.channel.acknowledge(letter.tag)
    for death in letter.properties.deaths {
        print("\(letter.text): \(death.reason), times: \(death.count)")
    }
}

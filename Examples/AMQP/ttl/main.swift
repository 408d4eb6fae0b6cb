import AMQP
import AMQPExampleSupport

let minute = Duration.seconds(60)

extension AMQPChannel {
    /// Declares a queue with a limit, and publishes a message to it that may have one of its own.
    func send(_ text: String, queueTTL: Duration?, messageTTL: Duration?, graveyard: String) async throws -> String {
        let arguments = QueueArguments(
            messageTTL: queueTTL,
            deadLetterExchange: "",
            deadLetterRoutingKey: graveyard
        )
        let queue = try await declareQueue(exclusive: true, arguments: arguments).name
        try await publish(AMQPMessage(text, routingKey: queue) { $0.timeToLive = messageTTL })
        return queue
    }
}

try await withBroker { connection in
    try await connection.withChannel { channel in
        // Where messages go when their time is over, so that it can be seen.
        let graveyard = try await channel.declareQueue(exclusive: true).name
        let dead = try await channel.consume(graveyard)

        _ = try await channel.send(
            "shorter limit on the queue",
            queueTTL: .milliseconds(50),
            messageTTL: minute,
            graveyard: graveyard
        )
        print("expired: \(try await dead.texts(1))")
        _ = try await channel.send(
            "shorter limit on the message",
            queueTTL: minute,
            messageTTL: .milliseconds(50),
            graveyard: graveyard
        )
        print("expired: \(try await dead.texts(1))")
        let without = try await channel.send("no limit", queueTTL: nil, messageTTL: nil, graveyard: graveyard)
        print("still there: \(try await channel.consume(without).texts(1))")

        // Only the head of a queue expires: behind a message that lives longer, a dead one waits.
        let mixed = try await channel.send("a minute", queueTTL: nil, messageTTL: minute, graveyard: graveyard)
        try await channel.publish(
            AMQPMessage("1 ms, behind it", routingKey: mixed) { $0.timeToLive = .milliseconds(1) }
        )
        // Long after its millisecond both are still there.
        try await Task.sleep(for: .milliseconds(100))
        print("in the queue: \(try await channel.declareQueue(mixed, passive: true).messageCount)")
        if let head = try await channel.get(mixed, noAck: true) { print("taken from the head: \(head.text)") }
        print("expired: \(try await dead.texts(1))")
    }
}

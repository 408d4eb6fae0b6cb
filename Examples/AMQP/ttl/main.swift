import AMQP
import AMQPExampleSupport

let minute = 60_000

try await withBroker { connection in
    try await connection.withChannel { channel in
        // Where messages go when their time is over, so that it can be seen.
        let graveyard = try await channel.declareQueue(exclusive: true).name
        let dead = try await channel.consume(graveyard)

        /// Sends a message with limits in milliseconds, its queue's and its own.
        func send(_ text: String, queueTTL: Int?, messageTTL: Int?) async throws -> String {
            var arguments: FieldTable = ["x-dead-letter-exchange": "", "x-dead-letter-routing-key": .string(graveyard)]
            if let queueTTL { arguments["x-message-ttl"] = .init(Int64(queueTTL)) }
            let queue = try await channel.declareQueue(exclusive: true, arguments: arguments).name
            try await channel.publish(
                AMQPMessage(text, routingKey: queue) { $0.expiration = messageTTL.map(String.init) }
            )
            return queue
        }

        _ = try await send("shorter limit on the queue", queueTTL: 50, messageTTL: minute)
        print("expired: \(try await dead.texts(1))")
        _ = try await send("shorter limit on the message", queueTTL: minute, messageTTL: 50)
        print("expired: \(try await dead.texts(1))")
        let without = try await send("no limit", queueTTL: nil, messageTTL: nil)
        print("still there: \(try await channel.consume(without).texts(1))")

        // Only the head of a queue expires: behind a message that lives longer, a dead one waits.
        let mixed = try await send("a minute", queueTTL: nil, messageTTL: minute)
        try await channel.publish(AMQPMessage("1 ms, behind it", routingKey: mixed) { $0.expiration = "1" })
        if let head = try await channel.get(mixed, noAck: true) { print("taken from the head: \(head.text)") }
        print("expired: \(try await dead.texts(1))")
    }
}

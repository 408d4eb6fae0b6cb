internal import AMQP
internal import CeleriacCore

/// Keeps delayed messages in the broker: Celery's native delayed delivery (wire document §2.4), same names and topology.
///
/// Twenty-eight queues hold messages for 2^n seconds each. A delay's binary digits are the routing key; a message waits
/// in the queue of each digit that is one, and dead-letters from one level to the next until it reaches the exchange
/// that the task queues are bound to.
enum DelayLadder {
    static let levels = 28
    static let entrance = "celery_delayed_27"
    static let delivery = "celery_delayed_delivery"
    /// Some eight and a half years.
    static let longestDelay = Duration.seconds((1 << levels) - 1)

    private static func level(_ number: Int) -> String { "celery_delayed_\(number)" }

    /// The digits of whole seconds, most significant first, then the queue.
    static func routingKey(seconds: Int64, queue: String) -> String {
        var key = ""
        for bit in (0..<levels).reversed() { key += (seconds >> bit) & 1 == 1 ? "1." : "0." }
        return key + queue
    }

    /// Declares the levels, from the last to the first, so that whatever is there already works.
    static func declare(on connection: AMQPConnection) async throws(AMQPError) {
        try await connection.withSetupChannel { channel throws(AMQPError) in
            try await channel.declareExchange(delivery, type: .topic)
            for number in 0..<levels {
                let next = number == 0 ? delivery : level(number - 1)
                let skipped = String(repeating: "*.", count: levels - 1 - number)
                try await channel.declareExchange(level(number), type: .topic)
                _ = try await connection.declareOrAdopt(
                    level(number),
                    arguments: [
                        "x-queue-type": "quorum",
                        "x-overflow": "reject-publish",
                        "x-dead-letter-strategy": "at-least-once",
                        "x-dead-letter-exchange": .string(next),
                        "x-message-ttl": FieldValue(Int64(1000) << number),
                    ]
                )
                try await channel.bindQueue(level(number), to: level(number), routingKey: skipped + "1.#")
                try await channel.bindExchange(next, to: level(number), routingKey: skipped + "0.#")
            }
        }
    }

    /// Lets delayed messages for a queue reach it.
    static func bind(_ queue: String, on connection: AMQPConnection) async throws(AMQPError) {
        try await connection.withSetupChannel { channel throws(AMQPError) in
            try await channel.declareExchange(delivery, type: .topic)
            try await channel.bindQueue(queue, to: delivery, routingKey: "#." + queue)
        }
    }
}

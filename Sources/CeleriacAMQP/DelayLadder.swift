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

    /// An exchange and a queue of one name, and where messages go from there.
    struct Level: Sendable {
        let name: String
        /// How long its queue keeps messages.
        let seconds: Int64
        /// Where messages go afterwards, or at once.
        let next: String
        /// Matches the routing keys of messages that wait here.
        let waiting: String
        /// Matches those of messages that do not.
        let passing: String

        fileprivate init(_ number: Int) {
            name = "celery_delayed_\(number)"
            seconds = 1 << number
            next = number == 0 ? delivery : "celery_delayed_\(number - 1)"
            let skipped = String(repeating: "*.", count: levels - 1 - number)
            (waiting, passing) = (skipped + "1.#", skipped + "0.#")
        }
    }

    /// From the last to the first, so that whatever was declared already works.
    static let topology = (0..<levels).map { Level($0) }

    /// The digits of whole seconds, most significant first, then the queue.
    static func routingKey(seconds: Int64, queue: String) -> String {
        var key = ""
        for bit in (0..<levels).reversed() { key += (seconds >> bit) & 1 == 1 ? "1." : "0." }
        return key + queue
    }

    /// Declares the levels.
    static func declare(on connection: AMQPConnection) async throws(AMQPError) {
        try await connection.withSetupChannel { channel throws(AMQPError) in
            try await channel.declareExchange(delivery, type: .topic)
            for level in topology {
                try await channel.declareExchange(level.name, type: .topic)
                _ = try await connection.declareOrAdopt(
                    level.name,
                    arguments: [
                        "x-queue-type": "quorum",
                        "x-overflow": "reject-publish",
                        "x-dead-letter-strategy": "at-least-once",
                        "x-dead-letter-exchange": .string(level.next),
                        "x-message-ttl": FieldValue(level.seconds * 1000),
                    ]
                )
                try await channel.bindQueue(level.name, to: level.name, routingKey: level.waiting)
                try await channel.bindExchange(level.next, to: level.name, routingKey: level.passing)
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

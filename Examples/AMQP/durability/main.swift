import AMQP
import AMQPExampleSupport
import Glibc

/// An exchange, a queue bound to it and a message in that, each of which may be kept on disk or not.
struct Level {
    let name = uniqueName("durability")
    let isExchangeDurable: Bool
    let isQueueDurable: Bool
    let isMessagePersistent: Bool

    init(durableExchange: Bool, durableQueue: Bool, persistentMessage: Bool) {
        isExchangeDurable = durableExchange
        isQueueDurable = durableQueue
        isMessagePersistent = persistentMessage
    }

    var description: String {
        "\(isExchangeDurable ? "durable" : "transient") exchange, "
            + "\(isQueueDurable ? "durable" : "transient") queue, "
            + "\(isMessagePersistent ? "persistent" : "transient") message"
    }

    var expectation: String {
        switch (isExchangeDurable, isQueueDurable, isMessagePersistent) {
        case (true, true, true): "all survive a restart"
        case (true, true, false): "the message does not survive"
        case (true, false, _): "the exchange survives alone"
        case (false, true, true): "the queue survives with its message, and nothing leads to it any more"
        case (false, true, false): "the queue survives alone, empty"
        case (false, false, _): "nothing survives"
        }
    }
}

let levels = [
    Level(durableExchange: true, durableQueue: true, persistentMessage: true),
    Level(durableExchange: true, durableQueue: true, persistentMessage: false),
    Level(durableExchange: true, durableQueue: false, persistentMessage: true),
    Level(durableExchange: false, durableQueue: true, persistentMessage: true),
]

try await withBroker { connection in
    try await connection.withChannel { channel in
        for level in levels {
            try await channel.declareExchange(level.name, durable: level.isExchangeDurable)
            _ = try await channel.declareQueue(level.name, durable: level.isQueueDurable)
            try await channel.bindQueue(level.name, to: level.name, routingKey: "")
            try await channel.publish(
                AMQPMessage("kept?", exchange: level.name, routingKey: "") {
                    $0.isPersistent = level.isMessagePersistent
                }
            )
            print("\(level.description): \(level.expectation)")
        }
    }
}

// Such as "systemctl restart rabbitmq-server"; it must return when the broker is up again.
if let command = getenv("RESTART_COMMAND") {
    guard system(command) == 0 else { fatalError("the restart command failed") }
    print("restarted")
}

try await withBroker { connection in
    /// What is found, or `nil`: asking for something that is gone closes the channel, so each question has its own.
    func ask<Answer: Sendable>(_ question: (AMQPChannel) async throws -> Answer) async throws -> Answer? {
        do {
            return try await connection.withChannel(question)
        } catch let error as AMQPError where error.code == .notFound {
            return nil
        }
    }

    for level in levels {
        let hasExchange = try await ask { try await $0.declareExchange(level.name, passive: true) } != nil
        let queue = try await ask { try await $0.declareQueue(level.name, passive: true) }
        print(
            "\(level.description): exchange \(hasExchange ? "found" : "gone"), "
                + (queue.map { "queue found, messages: \($0.messageCount)" } ?? "queue gone")
        )
        try await connection.withChannel { channel in
            try await channel.deleteExchange(level.name)
            try await channel.deleteQueue(level.name)
        }
    }
}

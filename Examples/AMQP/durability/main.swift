import AMQP
import AMQPExampleSupport
import Glibc

/// A queue and a message in it, each of which may be kept on disk or not.
struct Level {
    let queue: String
    let isQueueDurable: Bool
    let isMessagePersistent: Bool

    init(durableQueue: Bool, persistentMessage: Bool) {
        queue = uniqueName("durability")
        isQueueDurable = durableQueue
        isMessagePersistent = persistentMessage
    }

    var description: String {
        "\(isQueueDurable ? "durable" : "transient") queue, "
            + "\(isMessagePersistent ? "persistent" : "transient") message"
    }

    var expectation: String {
        switch (isQueueDurable, isMessagePersistent) {
        case (true, true): "both survive a restart"
        case (true, false): "the queue survives, empty"
        case (false, _): "neither survives"
        }
    }
}

let levels = [
    Level(durableQueue: true, persistentMessage: true),
    Level(durableQueue: true, persistentMessage: false),
    Level(durableQueue: false, persistentMessage: true),
]

try await withBroker { connection in
    try await connection.withChannel { channel in
        for level in levels {
            _ = try await channel.declareQueue(level.queue, durable: level.isQueueDurable)
            try await channel.publish(
                AMQPMessage("kept?", routingKey: level.queue) { $0.isPersistent = level.isMessagePersistent }
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
    for level in levels {
        // Asking for a queue that is gone closes the channel, so each question has one of its own.
        try await connection.withChannel { channel in
            do {
                let count = try await channel.declareQueue(level.queue, passive: true).messageCount
                print("found: \(level.description), messages: \(count)")
                try await channel.deleteQueue(level.queue)
            } catch let error as AMQPError where error.code == .notFound {
                print("gone: \(level.description)")
            }
        }
    }
}

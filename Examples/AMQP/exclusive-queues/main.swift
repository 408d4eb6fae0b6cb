import AMQP
import AMQPExampleSupport

try await withBroker { owner in
    let name = try await owner.withChannel { channel in
        // Without a name the broker chooses one.
        let name = try await channel.declareQueue(exclusive: true).name
        print("named by the broker: \(name.hasPrefix("amq.gen-"))")
        return name
    }

    try await withBroker { other in
        try await other.withChannel { channel in
            do {
                _ = try await channel.declareQueue(name, passive: true)
            } catch let error as AMQPError {
                print("for another connection: \(error.code) (\(error.replyCode ?? 0))")
            }
        }
    }

    try await owner.withChannel { channel in
        let state = try await channel.declareQueue(name, passive: true, exclusive: true)
        print("for its own, on another channel: \(state.messageCount) messages")
    }
    await owner.close()

    try await withBroker { other in
        try await other.withChannel { channel in
            do {
                _ = try await channel.declareQueue(name, passive: true)
            } catch let error as AMQPError {
                print("when its connection has closed: \(error.code) (\(error.replyCode ?? 0))")
            }
        }
    }
}

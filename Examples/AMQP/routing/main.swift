import AMQP
import AMQPExampleSupport

try await withBroker { connection in
    try await connection.withChannel { channel in
        let logs = uniqueName("logs")
        try await channel.declareExchange(logs, type: .direct, autoDelete: true)

        let file = try await channel.declareQueue(exclusive: true).name
        try await channel.bindQueue(file, to: logs, routingKey: "error")

        // A queue may have any number of bindings, and a message comes once however many of them match.
        let screen = try await channel.declareQueue(exclusive: true).name
        for level in ["info", "warning", "error"] {
            try await channel.bindQueue(screen, to: logs, routingKey: level)
        }

        for level in ["info", "error", "warning"] {
            try await channel.publish(AMQPMessage("\(level) message", exchange: logs, routingKey: level))
        }
        print("screen: \(try await channel.consume(screen).texts(3))")
        print("file: \(try await channel.consume(file).texts(1))")

        try await channel.unbindQueue(screen, from: logs, routingKey: "info")
        do {
            try await channel.publish(AMQPMessage("info message", exchange: logs, routingKey: "info"))
        } catch let error as AMQPError where error.code == .returned {
            print("unbound from info: nobody takes it")
        }
    }
}

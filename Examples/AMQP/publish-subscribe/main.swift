import AMQP
import AMQPExampleSupport

/// A queue of the subscriber's own: without it there would be one copy of each message for all.
func subscribe(to exchange: String, on channel: AMQPChannel) async throws -> AMQPConsumer {
    let queue = try await channel.declareQueue(exclusive: true).name
    try await channel.bindQueue(queue, to: exchange, routingKey: "")
    return try await channel.consume(queue)
}

try await withBroker { connection in
    try await connection.withChannel { channel in
        let news = uniqueName("news")
        try await channel.declareExchange(news, type: .fanout, autoDelete: true)

        // A fan-out exchange keeps nothing: what is published before anyone subscribes is gone, or comes back.
        do {
            try await channel.publish(AMQPMessage("too early", exchange: news))
        } catch let error as AMQPError where error.code == .returned {
            print("without subscribers the message comes back")
        }

        let anna = try await subscribe(to: news, on: channel)
        let ben = try await subscribe(to: news, on: channel)
        try await channel.publish(["sunny"], exchange: news, routingKey: "ignored")
        let carla = try await subscribe(to: news, on: channel)
        try await channel.publish(["rain"], exchange: news, routingKey: "")

        print("anna: \(try await anna.texts(2))")
        print("ben: \(try await ben.texts(2))")
        print("carla, who came later: \(try await carla.texts(1))")
    }
}

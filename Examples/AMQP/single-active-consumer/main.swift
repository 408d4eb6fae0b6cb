import AMQP
import AMQPExampleSupport

try await withBroker { connection in
    try await connection.withChannel { channel in
        let queue = try await channel.declareQueue(
            exclusive: true,
            arguments: QueueArguments(singleActiveConsumer: true)
        ).name

        let standby = try await connection.withChannel { first in
            let active = try await first.consume(queue, prefetch: 1)
            let standby = try await channel.consume(queue, prefetch: 1)
            try await channel.publish(
                ["order 1 created", "order 1 changed", "order 1 paid", "order 1 sent"],
                routingKey: queue
            )
            print("active: \(try await active.texts(2))")
            print("on standby meanwhile: \(standby.takeAvailable().count)")
            return standby
        }  // the active consumer's channel closes here

        print("on standby, now active: \(try await standby.texts(2))")
    }
}

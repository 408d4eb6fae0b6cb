import AMQP
import FoundationEssentials

let url = ProcessInfo.processInfo.environment["RABBITMQ_URL"] ?? "amqp://guest:guest@127.0.0.1/"

let connection = try await AMQPConnection.connect(to: AMQPURI(url))
try await connection.withChannel { channel in
    let queue = try await channel.declareQueue(exclusive: true).name
    try await channel.publish(AMQPMessage(routingKey: queue, body: Array("hello".utf8)))
    print("sent: hello")

    let consumer = try await channel.consume(queue, prefetch: 32)
    while let delivery = try await consumer.next() {
        print("received: \(String(decoding: delivery.body, as: UTF8.self))")
        try channel.acknowledge(delivery.tag)
        try await consumer.cancel()
    }
}
await connection.close()

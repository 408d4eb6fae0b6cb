public import AMQP
internal import FoundationEssentials

/// Connects to the broker that `RABBITMQ_URL` names, for the duration of a closure.
public func withBroker(_ body: (AMQPConnection) async throws -> Void) async throws {
    let url = ProcessInfo.processInfo.environment["RABBITMQ_URL"] ?? "amqp://guest:guest@127.0.0.1/"
    let connection = try await AMQPConnection.connect(to: AMQPURI(url))
    do {
        try await body(connection)
    } catch {
        await connection.close()
        throw error
    }
    await connection.close()
}

/// A name that no other program uses, so that examples can run side by side.
public func uniqueName(_ name: String) -> String {
    "example.\(name).\(String(UInt32.random(in: 0 ... .max), radix: 16))"
}

extension AMQPMessage {
    /// A text for an exchange, or with the default exchange for the queue named by the routing key.
    public init(
        _ text: String,
        exchange: String = "",
        routingKey: String = "",
        _ change: (inout BasicProperties) -> Void = { _ in }
    ) {
        var properties = BasicProperties()
        properties.contentType = "text/plain"
        change(&properties)
        self.init(exchange: exchange, routingKey: routingKey, properties: properties, body: Array(text.utf8))
    }
}

extension AMQPDelivery {
    /// The body as text.
    public var text: String { String(decoding: body, as: UTF8.self) }
}

extension AMQPChannel {
    /// Publishes texts in order, confirmed together.
    public func publish(_ texts: some Sequence<String>, exchange: String = "", routingKey: String) async throws {
        for result in await publish(texts.map { AMQPMessage($0, exchange: exchange, routingKey: routingKey) }) {
            try result.get()
        }
    }
}

extension AMQPConsumer {
    /// Takes so many deliveries, acknowledges each, and returns their texts.
    public func texts(_ count: Int) async throws -> [String] {
        var texts: [String] = []
        while texts.count < count, let delivery = try await next() {
            texts.append(delivery.text)
            try channel.acknowledge(delivery.tag)
        }
        return texts
    }
}

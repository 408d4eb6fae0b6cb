import FaultProxySupport
import Synchronization
import TestSupport
import Testing

@testable import AMQP

/// What a clause works with: a connection, a channel, and names that are its own and are removed afterwards.
struct Lab: Sendable {
    private final class Leftovers: Sendable {
        let state = Mutex<(queues: [String], exchanges: [String], connections: [AMQPConnection])>(([], [], []))
    }

    let uri: AMQPURI
    let connection: AMQPConnection
    let channel: AMQPChannel
    private let leftovers = Leftovers()

    static func run(_ clause: Feature.Clause) async throws {
        let uri = try AMQPURI(TestServer.require(.rabbitMQ))
        let connection = try await AMQPConnection.connect(to: uri)
        let lab = Lab(uri: uri, connection: connection, channel: try await connection.openChannel())
        do {
            try await clause(lab)
        } catch {
            await lab.cleanUp()
            throw error
        }
        await lab.cleanUp()
    }

    private init(uri: AMQPURI, connection: AMQPConnection, channel: AMQPChannel) {
        self.uri = uri
        self.connection = connection
        self.channel = channel
    }

    private func cleanUp() async {
        let left = leftovers.state.withLock { $0 }
        for connection in left.connections + [connection] { await connection.close() }
        guard !left.queues.isEmpty || !left.exchanges.isEmpty,
            let connection = try? await AMQPConnection.connect(to: uri)
        else { return }
        // What a clause has removed itself is missing, which is no error to RabbitMQ.
        for queue in left.queues {
            _ = try? await connection.withChannel { try await $0.deleteQueue(queue) }
        }
        for exchange in left.exchanges {
            _ = try? await connection.withChannel { try await $0.deleteExchange(exchange) }
        }
        await connection.close()
    }

    // MARK: More of the same

    func unique(_ prefix: String) -> String { "\(prefix)-\(UInt64.random(in: 0 ... .max))" }

    func connect(
        to uri: AMQPURI? = nil,
        _ change: (inout AMQPConnection.Options) -> Void = { _ in }
    ) async throws -> AMQPConnection {
        var options = AMQPConnection.Options()
        change(&options)
        let connection = try await AMQPConnection.connect(to: uri ?? self.uri, options: options)
        leftovers.state.withLock { $0.connections.append(connection) }
        return connection
    }

    /// A relay before the broker; to be stopped.
    func relay() throws -> FaultProxy { try FaultProxy(upstream: UInt16(uri.port)) }

    /// The broker's address over a relay.
    func uri(over relay: FaultProxy) -> AMQPURI {
        var uri = uri
        uri.host = "127.0.0.1"
        uri.port = Int(relay.port)
        return uri
    }

    func openChannel() async throws -> AMQPChannel { try await connection.openChannel() }

    /// A queue that goes away with the connection.
    func queue(_ arguments: QueueArguments = [:]) async throws -> String {
        try await channel.declareQueue(durable: false, exclusive: true, arguments: arguments).name
    }

    /// A durable queue, removed after the clause.
    func durableQueue(_ arguments: QueueArguments = [:]) async throws -> String {
        let name = unique("conformance")
        leftovers.state.withLock { $0.queues.append(name) }
        return try await channel.declareQueue(name, arguments: arguments).name
    }

    /// An exchange, removed after the clause.
    func exchange(
        _ type: ExchangeType,
        isInternal: Bool = false,
        arguments: ExchangeArguments = [:]
    ) async throws -> String {
        let name = unique("conformance")
        leftovers.state.withLock { $0.exchanges.append(name) }
        try await channel.declareExchange(
            name,
            type: type,
            durable: false,
            isInternal: isInternal,
            arguments: arguments
        )
        return name
    }

    /// Whether a queue exists, asked on a channel of its own, which dies if it does not.
    func exists(_ queue: String) async throws -> Bool {
        let channel = try await openChannel()
        do throws(AMQPError) {
            _ = try await channel.declareQueue(queue, passive: true)
        } catch {
            guard error.code == .notFound else { throw error }
            return false
        }
        await channel.close()
        return true
    }

    func count(_ queue: String) async throws -> Int {
        try await channel.declareQueue(queue, passive: true).messageCount
    }

    // MARK: Messages as texts

    func publish(
        _ body: String,
        to queue: String,
        exchange: String = "",
        properties: BasicProperties = BasicProperties(),
        isMandatory: Bool = true
    ) async throws {
        try await channel.publish(
            .text(body, queue, exchange: exchange, properties: properties, isMandatory: isMandatory)
        )
    }

    /// Takes all that is in a queue.
    func bodies(in queue: String) async throws -> [String] {
        var bodies: [String] = []
        while let delivery = try await channel.get(queue, noAck: true) { bodies.append(delivery.text) }
        return bodies
    }
}

extension AMQPMessage {
    static func text(
        _ body: String,
        _ routingKey: String,
        exchange: String = "",
        properties: BasicProperties = BasicProperties(),
        isMandatory: Bool = true
    ) -> AMQPMessage {
        AMQPMessage(
            exchange: exchange,
            routingKey: routingKey,
            properties: properties,
            body: Array(body.utf8),
            isMandatory: isMandatory
        )
    }
}

extension AMQPDelivery {
    var text: String { String(decoding: body, as: UTF8.self) }
}

extension AMQPConsumer {
    /// The next delivery, or a failure of the test.
    func required() async throws -> AMQPDelivery { try await #require(next()) }

    /// The next deliveries' bodies, acknowledged.
    func texts(_ count: Int) async throws -> [String] {
        var texts: [String] = []
        while texts.count < count {
            let delivery = try await required()
            texts.append(delivery.text)
            try channel.acknowledge(delivery.tag)
        }
        return texts
    }
}

/// The error that an operation throws, or a failure of the test.
func failure(_ body: () async throws -> Void) async -> AMQPError? {
    await #expect(throws: AMQPError.self) { try await body() }
}

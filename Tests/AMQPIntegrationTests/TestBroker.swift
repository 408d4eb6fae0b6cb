import FaultProxySupport
import Glibc
import Testing

@testable import AMQP

extension Tag {
    @Tag static var integration: Self
}

/// The RabbitMQ that `RABBITMQ_URL` names.
enum TestBroker {
    static let url = getenv("RABBITMQ_URL").map { String(cString: $0) }

    static func uri() throws -> AMQPURI {
        try AMQPURI(#require(url))
    }

    static func connect(
        _ change: (inout AMQPConnection.Options) -> Void = { _ in }
    ) async throws -> AMQPConnection {
        var options = AMQPConnection.Options()
        change(&options)
        return try await AMQPConnection.connect(to: uri(), options: options)
    }

    /// Connects for the duration of a closure.
    static func withConnection(
        _ change: (inout AMQPConnection.Options) -> Void = { _ in },
        _ body: (AMQPConnection) async throws -> Void
    ) async throws {
        let connection = try await connect(change)
        do {
            try await body(connection)
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    /// Opens a channel with a queue of its own, which goes away with the connection.
    static func withQueue(_ body: (AMQPChannel, String) async throws -> Void) async throws {
        try await withConnection { connection in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(uniqueName("test"), durable: false, exclusive: true)
            try await body(channel, queue.name)
        }
    }

    /// A relay before the broker, whose links a test cuts; to be stopped.
    static func relay() throws -> FaultProxy {
        try FaultProxy(upstream: UInt16(uri().port))
    }

    /// The broker's address over a relay.
    static func uri(over relay: FaultProxy) throws -> AMQPURI {
        var uri = try uri()
        uri.host = "127.0.0.1"
        uri.port = Int(relay.port)
        return uri
    }

    static func uniqueName(_ prefix: String) -> String {
        "\(prefix)-\(UInt64.random(in: 0 ... .max))"
    }
}

extension AMQPConsumer {
    /// The next delivery, or a failure of the test.
    func required() async throws -> AMQPDelivery {
        try await #require(next())
    }
}

/// The error that an operation throws, or a failure of the test.
func failure(_ body: () async throws -> Void) async -> AMQPError? {
    await #expect(throws: AMQPError.self) { try await body() }
}

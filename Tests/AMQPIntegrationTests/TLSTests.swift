import TLSSupport
import Testing

@testable import AMQP

@Suite(
    "RabbitMQ over TLS",
    .tags(.integration),
    .enabled(if: TLSServers.areAvailable, "run with Scripts/with-servers.sh"),
    .timeLimit(.minutes(2))
)
struct TLSTests {
    private let certificates = TestCertificates.shared

    private func uri(_ change: (inout AMQPURI) -> Void = { _ in }) async throws -> AMQPURI {
        var uri = try AMQPURI(try await TLSServers.server(.rabbitMQ).trustingURL)
        change(&uri)
        return uri
    }

    private func connect(
        _ uri: AMQPURI,
        login: AMQPLogin? = nil
    ) async throws -> AMQPConnection {
        var options = AMQPConnection.Options()
        options.login = login
        return try await AMQPConnection.connect(to: uri, options: options)
    }

    /// Publishes a message and gets it back.
    private func roundTrip(_ connection: AMQPConnection, _ body: [UInt8]) async throws -> [UInt8] {
        try await connection.withChannel { channel in
            let queue = try await channel.declareQueue(durable: false, exclusive: true).name
            let consumer = try await channel.consume(queue)
            try await channel.publish(AMQPMessage(routingKey: queue, body: body))
            return try await consumer.required().body
        }
    }

    private func client(_ name: String) -> TLSConfiguration.ClientCertificate {
        .init(certificateFile: certificates.path(name), keyFile: certificates.path("client.key"))
    }

    @Test("Carries messages of any size", arguments: [TLSConfiguration.Version.v1_2, .v1_3])
    func messages(_ version: TLSConfiguration.Version) async throws {
        let connection = try await connect(try await uri { $0.tls?.minimumVersion = version })
        for size in [0, 1, 16_384, 1_000_000, 10_000_000] {
            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 11) }
            #expect(try await roundTrip(connection, body) == body, "\(size)")
        }
        await connection.close()
        #expect(connection.closeReason?.code == .closed)
    }

    @Test("Many publishes at once are all confirmed")
    func manyPublishes() async throws {
        let connection = try await connect(try await uri())
        let channel = try await connection.openChannel()
        let queue = try await channel.declareQueue(durable: false, exclusive: true).name
        try await withThrowingTaskGroup { group in
            for number in 0..<2000 {
                group.addTask { try await channel.publish(AMQPMessage(routingKey: queue, body: [UInt8(number % 256)])) }
            }
            try await group.waitForAll()
        }
        #expect(try await channel.purgeQueue(queue) == 2000)
        await connection.close()
    }

    @Test(
        "Logs in by every mechanism",
        arguments: [
            AMQPLogin.plain, .amqplain, .token("guest"),
            // RabbitMQ's demonstration of a challenge.
            .custom("RABBIT-CR-DEMO") { $0 == nil ? Array("guest".utf8) : Array("My password is guest".utf8) },
        ]
    )
    func mechanisms(_ login: AMQPLogin) async throws {
        let connection = try await connect(try await uri(), login: login)
        #expect(try await roundTrip(connection, [1]) == [1])
        await connection.close()
    }

    @Test("A client certificate is a login of its own, all of it said in the URI")
    func external() async throws {
        let server = try await TLSServers.server(.rabbitMQ)
        let files = "certfile=\(certificates.path("client.pem"))&keyfile=\(certificates.path("client-encrypted.key"))"
        let query = "&\(files)&password=canary&auth_mechanism=external"
        var uri = try AMQPURI(server.trustingURL + query)
        uri.password = "not the password"
        let connection = try await connect(uri)
        #expect(try await roundTrip(connection, [1]) == [1])
        await connection.close()
    }

    @Test("Without TLS there is no EXTERNAL, and the error tells what there is")
    func externalNotOffered() async throws {
        let uri = try AMQPURI(try await TLSServers.server(.rabbitMQ).plainURL)
        let error = await failure { await (try connect(uri, login: .external)).close() }
        #expect(error?.code == .mechanismNotOffered)
        #expect(error?.message.contains("PLAIN") == true)
    }

    @Test("A certificate of somebody the broker does not know is refused access, and so is none")
    func unknownUser() async throws {
        for certificate in [client("nobody.pem"), nil] {
            let uri = try await uri { $0.tls?.clientCertificate = certificate }
            let error = await failure { await (try connect(uri, login: .external)).close() }
            #expect(error?.code == .accessRefused)
            #expect(error?.message.contains("certificate") == true)
        }
    }

    @Test("A wrong password is refused access, by any mechanism, and never shown")
    func wrongPassword() async throws {
        let uri = try await uri { $0.password = "canary" }
        for login in [AMQPLogin.plain, .amqplain, .token("canary")] {
            let error = await failure { await (try connect(uri, login: login)).close() }
            #expect(error?.code == .accessRefused)
            #expect(error.map { "\($0)".contains("canary") } == false)
        }
    }

    @Test("What is wrong with TLS has a code, and a failure of its own")
    func failures() async throws {
        func failure(_ change: (inout AMQPURI) -> Void) async throws -> AMQPError? {
            let uri = try await uri(change)
            return await AMQPIntegrationTests.failure { await (try connect(uri)).close() }
        }
        func check(_ expected: TLSFailure, _ change: (inout AMQPURI) -> Void) async throws {
            let error = try await failure(change)
            #expect(error?.code == .tlsFailed, "\(expected)")
            #expect(error?.tlsFailure == expected)
        }
        let plain = try AMQPURI(try await TLSServers.server(.rabbitMQ).plainURL)
        try await check(.unknownAuthority) { $0.tls?.trust = .system }
        try await check(.unknownAuthority) { $0.tls?.trust = .file(certificates.path("other-ca.pem")) }
        try await check(.hostNameMismatch) { $0.tls?.serverName = "elsewhere.example" }
        try await check(.unreadableFile) { $0.tls?.trust = .file("/nonexistent.pem") }
        try await check(.clientCertificateRefused) { $0.tls?.clientCertificate = client("stranger.pem") }
        try await check(.clientCertificateRefused) {
            $0.tls?.clientCertificate = client("stranger.pem")
            $0.tls?.minimumVersion = .v1_3
        }
        try await check(.notTLS) { $0.port = plain.port }
        let error = try await failure { $0.tls = nil }
        #expect(error?.code == .foreignProtocol)
        #expect(error?.message.contains("TLS") == true)
    }

    @Test("A new secret is accepted while messages go on")
    func updateSecret() async throws {
        let connection = try await connect(try await uri())
        try await connection.updateSecret("guest", reason: "the token expires")
        async let first: Void = connection.updateSecret("guest", reason: "one")
        async let second: Void = connection.updateSecret("guest", reason: "two")
        #expect(try await roundTrip(connection, [1]) == [1])
        _ = try await (first, second)
        let tooLong = String(repeating: "x", count: 256)
        let error = await failure { try await connection.updateSecret("canary", reason: tooLong) }
        #expect(error?.code == .invalidArgument)
        #expect(error.map { "\($0)".contains("canary") } == false)
        await connection.close()
        #expect(await failure { try await connection.updateSecret("guest", reason: "late") }?.code == .closed)
    }
}

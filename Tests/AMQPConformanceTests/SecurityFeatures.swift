import TLSSupport
import TestSupport
import Testing

@testable import AMQP

enum SecurityFeatures {
    static let all = [
        Feature("Login by PLAIN and AMQPLAIN", "user and password, by either mechanism", mechanisms),
        Feature("Renewed secrets", "the broker takes a new secret, and the connection goes on", secrets),
        Feature("TLS", "messages travel over TLS to a broker whose certificate is checked", need: .security, tls),
        Feature("Untrusted certificates", "end the attempt before anything is sent", need: .security, untrusted),
        Feature("Login by certificate", "the user comes from the client's certificate", need: .security, external),
    ]

    private static func roundTrip(_ connection: AMQPConnection) async throws {
        let channel = try await connection.openChannel()
        let queue = try await channel.declareQueue(durable: false, exclusive: true).name
        try await channel.publish(.text("x", queue))
        #expect(try await channel.get(queue, noAck: true)?.text == "x")
    }

    static func mechanisms(_ lab: Lab) async throws {
        for login in [AMQPLogin.plain, .amqplain] {
            try await roundTrip(try await lab.connect { $0.login = login })
        }
    }

    static func secrets(_ lab: Lab) async throws {
        let connection = try await lab.connect()
        try await connection.updateSecret(lab.uri.password, reason: "the old one expires")
        try await roundTrip(connection)
    }

    static func tls(_ lab: Lab) async throws {
        let uri = try AMQPURI(try await TLSServers.server(.rabbitMQ).trustingURL)
        try await roundTrip(try await lab.connect(to: uri))
    }

    static func untrusted(_ lab: Lab) async throws {
        var uri = try AMQPURI(try await TLSServers.server(.rabbitMQ).trustingURL)
        uri.tls = TLSConfiguration()
        #expect(await failure { _ = try await lab.connect(to: uri) } != nil)
    }

    static func external(_ lab: Lab) async throws {
        let certificates = TestCertificates.shared
        var uri = try AMQPURI(try await TLSServers.server(.rabbitMQ).trustingURL)
        uri.password = "not the password"
        uri.tls?.clientCertificate = .init(
            certificateFile: certificates.path("client.pem"),
            keyFile: certificates.path("client.key")
        )
        try await roundTrip(try await lab.connect(to: uri) { $0.login = .external })
    }
}

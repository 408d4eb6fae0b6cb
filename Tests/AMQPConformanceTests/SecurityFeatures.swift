import FaultProxySupport
import TLSSupport
import TestSupport
import Testing

@testable import AMQP

enum SecurityFeatures {
    static let all = [
        Feature("Login by PLAIN and AMQPLAIN", "user and password, by either mechanism", mechanisms),
        Feature("Renewed secrets", "the broker takes a new secret, and the connection goes on", secrets),
        Feature(
            "Renewed secrets after a loss",
            "a recovering connection logs in again with the secret that was given last",
            need: .control,
            renewed
        ),
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
        try await Wire.withProxy(to: lab.uri) { proxy, uri in
            let connection = try await lab.connect(to: uri)
            try await connection.updateSecret(uri.password, reason: "the old one expires")
            try await roundTrip(connection)
            await connection.close()
            let sent = try Wire.methods(proxy.recordings[0].toServer)
            let update = AMQP.Method.ConnectionUpdateSecret(
                secret: Array(uri.password.utf8),
                reason: "the old one expires"
            )
            #expect(sent.contains(.connectionUpdateSecret(update)))
            #expect(try Wire.methods(proxy.recordings[0].fromServer).contains(.connectionUpdateSecretOk))
        }
    }

    static func renewed(_ lab: Lab) async throws {
        let control = try Control.shared()
        for login in [nil, AMQPLogin.token("first")] {
            let user = lab.unique("renewed")
            try await control("add_user", user, "first")
            try await control("set_permissions", user, ".*", ".*", ".*")
            let relay = try lab.relay()
            defer { relay.stop() }
            var uri = lab.uri(over: relay)
            (uri.user, uri.password) = (user, login == nil ? "first" : "is not used")
            try await RecoveryFeatures.withConnection(to: [uri], { $0.connection.login = login }) { connection in
                try await control("change_password", user, "second")
                try await connection.updateSecret("second", reason: "the first one expires")
                try await RecoveryFeatures.cut(relay, connection)
                let channel = try await connection.openChannel()
                let queue = try await channel.declareQueue(durable: false, exclusive: true).name
                try await channel.publish(.text("x", queue))
            }
            try await control("delete_user", user)
        }
    }

    static func tls(_ lab: Lab) async throws {
        let uri = try AMQPURI(try await TLSServers.server(.rabbitMQ).trustingURL)
        try await roundTrip(try await lab.connect(to: uri))
    }

    static func untrusted(_ lab: Lab) async throws {
        try await Wire.withProxy(to: AMQPURI(try await TLSServers.server(.rabbitMQ).trustingURL)) { proxy, uri in
            var distrusting = uri
            distrusting.tls = TLSConfiguration()
            let error = await failure { _ = try await lab.connect(to: distrusting) }
            #expect(error?.code == .tlsFailed)
            #expect(error?.tlsFailure == .unknownAuthority)
            _ = try await lab.connect(to: uri)
            let (untrusted, trusted) = (proxy.recordings[0].toServer, proxy.recordings[1].toServer)
            #expect(Wire.records(untrusted).first?.type == 22)
            #expect(!carriesData(untrusted))
            #expect(carriesData(trusted))
        }
    }

    /// Whether a client's TLS conversation has records that may be data of the protocol above.
    ///
    /// To an onlooker everything that TLS 1.3 encrypts looks like data, alerts and the end of the handshake, too. An
    /// alert has 2 octets, its type 1 and its seal 16; AMQP's header alone has 8 instead of the 2.
    private static func carriesData(_ octets: [UInt8]) -> Bool {
        Wire.records(octets).contains { $0.type == 23 && $0.size > 2 + 1 + 16 }
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

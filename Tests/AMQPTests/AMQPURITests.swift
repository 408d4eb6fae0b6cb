import Testing

@testable import AMQP

@Suite("AMQP URI") struct AMQPURITests {
    @Test(
        "Reads every part, decoded",
        arguments: [
            ("amqp://", "localhost", 5672, "guest", "guest", "/"),
            ("amqp://host", "host", 5672, "guest", "guest", "/"),
            ("AMQP://host/", "host", 5672, "guest", "guest", "/"),
            ("amqp://host/%2f", "host", 5672, "guest", "guest", "/"),
            ("amqp://host/%2Fa", "host", 5672, "guest", "guest", "/a"),
            ("amqp://user@host:1/v", "host", 1, "user", "guest", "v"),
            ("amqp://user:pass@host:10000/vhost", "host", 10_000, "user", "pass", "vhost"),
            ("amqp://user%61:%61pass@ho%61st:10000/v%2fhost", "hoast", 10_000, "usera", "apass", "v/host"),
            ("amqp://:@/", "localhost", 5672, "", "", "/"),
            ("amqp://u:p%40%3A%2F%C3%A9@[::1]:5673", "::1", 5673, "u", "p@:/é", "/"),
            ("amqp://u:a:b@h", "h", 5672, "u", "a:b", "/"),
            ("amqp://host:/", "host", 5672, "guest", "guest", "/"),
        ]
    )
    func parts(_ text: String, _ host: String, _ port: Int, _ user: String, _ password: String, _ vhost: String) throws
    {
        let uri = try AMQPURI(text)
        #expect(uri.host == host)
        #expect(uri.port == port)
        #expect(uri.user == user)
        #expect(uri.password == password)
        #expect(uri.virtualHost == vhost)
    }

    @Test("Reads the options of the query")
    func query() throws {
        let uri = try AMQPURI(
            "amqp://h/v?heartbeat=5&connection_timeout=2500&channel_max=9&frame_max=8192&auth_mechanism=external"
        )
        #expect(uri.heartbeat == .seconds(5))
        #expect(uri.connectTimeout == .milliseconds(2500))
        #expect(uri.channelMax == 9)
        #expect(uri.frameMax == 8192)
        #expect(uri.virtualHost == "v")
        #expect(uri.logins.map(\.mechanism) == ["EXTERNAL"])
        let several = try AMQPURI("amqp://h?auth_mechanism=amqplain&auth_mechanism=PLAIN")
        #expect(several.logins.map(\.mechanism) == ["AMQPLAIN", "PLAIN"])
        #expect(try AMQPURI("amqp://h").logins.map(\.mechanism) == ["PLAIN", "AMQPLAIN"])
    }

    @Test(
        "Refuses what it cannot mean, without quoting it",
        arguments: [
            "canary", "http://u:canary@h", "amqp://u:canary@h:0", "amqp://u:canary@h:65536", "amqp://u:canary@h:x",
            "amqp://u:canary@[::1", "amqp://u:canary@::1", "amqp://u:canary%4@h", "amqp://u:canary%zz@h",
            "amqp://u:canary%ff@h", "amqp://u:canary@h/a/b", "amqp://u:canary@h?heartbeat=x", "amqp://u:can@ry@h",
            "amqp://u:canary@h?channel_max=65536", "amqp://u:canary#@h", "amqp://u:123/canary@h",
            "amqp://u:p?canary@h", "amqp://h?canary=1", "amqp://h?auth_mechanism=canary", "amqps://h?verify=canary",
            "amqps://h?keyfile=canary", "amqps://h?password=canary", "amqp://h?cacertfile=canary",
            "amqps://h?cacertfile=",
        ]
    )
    func refused(_ text: String) {
        let error = #expect(throws: AMQPError.self) { try AMQPURI(text) }
        #expect(error?.code == .invalidURI)
        #expect(error.map { "\($0)".contains("canary") } == false)
    }

    @Test("amqps asks for TLS, verified, on a port of its own")
    func tls() throws {
        let uri = try AMQPURI("amqps://u:p@h/v")
        #expect(uri.port == 5671)
        #expect(uri.tls == TLSConfiguration())
        #expect(uri.tls?.verification == .full)
        #expect("\(uri)" == "amqps://u:***@h:5671/v")
        #expect(try AMQPURI("amqps://h:99").port == 99)
        #expect(try AMQPURI("amqp://h").tls == nil)
    }

    @Test("Reads TLS options from the query")
    func tlsQuery() throws {
        let uri = try AMQPURI(
            "amqps://h?cacertfile=/a%20b/ca.pem&certfile=/c.pem&keyfile=/k.pem&password=canary&verify=verify_none"
                + "&server_name_indication=other"
        )
        var expected = TLSConfiguration()
        expected.trust = .file("/a b/ca.pem")
        expected.clientCertificate = .init(certificateFile: "/c.pem", keyFile: "/k.pem", passphrase: "canary")
        expected.verification = .none
        expected.serverName = "other"
        #expect(uri.tls == expected)
        var dumped = ""
        dump(uri, to: &dumped)
        dump(uri.tls, to: &dumped)
        #expect(!(dumped + "\(uri) \(expected) \(String(reflecting: expected))").contains("canary"))
    }

    @Test("A certificate file may hold the key, and without a name none is verified")
    func tlsShorthands() throws {
        let uri = try AMQPURI("amqps://h?certfile=/both.pem&server_name_indication=disable")
        #expect(uri.tls?.clientCertificate == .init(certificateFile: "/both.pem", keyFile: "/both.pem"))
        #expect(uri.tls?.sendsServerName == false)
        #expect(uri.tls?.verification == .noHostname)
    }

    @Test("Prints everything but the password")
    func description() throws {
        let uri = try AMQPURI("amqp://us%40er:canary@host/v%2Fh")
        #expect("\(uri)" == "amqp://us%40er:***@host:5672/v%2fh")
        var dumped = ""
        dump(uri, to: &dumped)
        for text in [String(reflecting: uri), "\([uri])", dumped] { #expect(!text.contains("canary")) }
    }
}

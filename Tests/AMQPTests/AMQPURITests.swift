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
        let uri = try AMQPURI("amqp://h/v?heartbeat=5&connection_timeout=2500&channel_max=9&frame_max=8192&other=1")
        #expect(uri.heartbeat == .seconds(5))
        #expect(uri.connectTimeout == .milliseconds(2500))
        #expect(uri.channelMax == 9)
        #expect(uri.frameMax == 8192)
        #expect(uri.virtualHost == "v")
    }

    @Test(
        "Refuses what it cannot mean, without quoting it",
        arguments: [
            "canary", "http://u:canary@h", "amqp://u:canary@h:0", "amqp://u:canary@h:65536", "amqp://u:canary@h:x",
            "amqp://u:canary@[::1", "amqp://u:canary@::1", "amqp://u:canary%4@h", "amqp://u:canary%zz@h",
            "amqp://u:canary%ff@h", "amqp://u:canary@h/a/b", "amqp://u:canary@h?heartbeat=x", "amqp://u:can@ry@h",
            "amqp://u:canary@h?channel_max=65536", "amqp://u:canary#@h", "amqp://u:123/canary@h",
        ]
    )
    func refused(_ text: String) {
        let error = #expect(throws: AMQPError.self) { try AMQPURI(text) }
        #expect(error?.code == .invalidURI)
        #expect(error.map { "\($0)".contains("canary") } == false)
    }

    @Test("Says that TLS is not there")
    func tls() {
        let error = #expect(throws: AMQPError.self) { try AMQPURI("amqps://u:canary@h") }
        #expect(error?.code == .tlsUnavailable)
        #expect(error?.message.contains("TLS not available in this version") == true)
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

import Redis
import Testing
import Transport

@Suite("Redis URL") struct RedisURLTests {
    struct Sample: Sendable {
        let text: String
        let url: RedisURL
        let shown: String

        init(
            _ text: String,
            _ endpoint: Endpoint,
            _ user: String? = nil,
            _ password: String? = nil,
            _ database: Int = 0,
            _ shown: String
        ) {
            self.text = text
            url = RedisURL(endpoint: endpoint, user: user, password: password, database: database)
            self.shown = shown
        }
    }

    static let good: [Sample] = [
        Sample("redis://", .tcp(host: "localhost", port: 6379), "redis://localhost:6379/0"),
        Sample("redis://host", .tcp(host: "host", port: 6379), "redis://host:6379/0"),
        Sample("REDIS://host:1/2", .tcp(host: "host", port: 1), nil, nil, 2, "redis://host:1/2"),
        Sample("redis://host/?db=3", .tcp(host: "host", port: 6379), nil, nil, 3, "redis://host:6379/3"),
        Sample("redis://:pw@h", .tcp(host: "h", port: 6379), nil, "pw", 0, "redis://:***@h:6379/0"),
        Sample("redis://u:pw@h:7/1", .tcp(host: "h", port: 7), "u", "pw", 1, "redis://u:***@h:7/1"),
        Sample(
            "redis://u%40x:p%3A%2F%40%25@h",
            .tcp(host: "h", port: 6379),
            "u@x",
            "p:/@%",
            0,
            "redis://u@x:***@h:6379/0"
        ),
        Sample("redis://u:a@b@h", .tcp(host: "h", port: 6379), "u", "a@b", 0, "redis://u:***@h:6379/0"),
        Sample("redis://[::1]:9/4", .tcp(host: "::1", port: 9), nil, nil, 4, "redis://[::1]:9/4"),
        Sample("redis://[::1]", .tcp(host: "::1", port: 6379), "redis://[::1]:6379/0"),
        Sample(
            "unix:///run/redis.sock?db=1",
            .unix(path: "/run/redis.sock"),
            nil,
            nil,
            1,
            "unix:///run/redis.sock?db=1"
        ),
        Sample("unix://:pw@/run/r%20s", .unix(path: "/run/r s"), nil, "pw", 0, "unix://:***@/run/r s?db=0"),
        Sample("redis+socket:///s?virtual_host=/2", .unix(path: "/s"), nil, nil, 2, "unix:///s?db=2"),
    ]

    @Test("Is read, and shown without its password", arguments: good)
    func reads(_ sample: Sample) throws {
        let url = try RedisURL(sample.text)
        #expect(url == sample.url)
        #expect(url.description == sample.shown)
    }

    @Test(
        "Is refused when it cannot be understood, without repeating secrets",
        arguments: [
            "", "host:6379", "http://canary@x", "redis://canary@host", "redis://:canary@host:0", "redis://:canary@h:x",
            "redis://:canary@h/x", "redis://:canary@h/-1", "redis://:canary%2@h", "redis://:canary@[::1",
            "redis://:%ff@h",
            "redis://:canary@h?timeout=1", "unix://canary", "unix://", "unix:///", "redis+socket://:canary@host/path",
        ]
    )
    func refuses(_ text: String) {
        let error = #expect(throws: RedisError.self) { try RedisURL(text) }
        #expect(error?.code == .invalidURL)
        #expect(error?.description.contains("canary") == false)
    }

    @Test("TLS is refused with its own error")
    func tls() {
        #expect(throws: RedisError.self) { try RedisURL("rediss://h") }
        #expect { try RedisURL("rediss://:canary@h") } throws: { ($0 as? RedisError)?.code == .tlsUnavailable }
    }
}

extension RedisURLTests.Sample {
    init(_ text: String, _ endpoint: Endpoint, _ shown: String) {
        self.init(text, endpoint, nil, nil, 0, shown)
    }
}

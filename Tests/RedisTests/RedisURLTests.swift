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

    struct SentinelSample: Sendable {
        let text: String
        let url: RedisURL
        let shown: String
    }

    static let (a, b): (Endpoint, Endpoint) = (.tcp(host: "a", port: 26379), .tcp(host: "b", port: 7))

    static let withSentinels = [
        SentinelSample(
            text: "sentinel://a,b:7/3?master=m",
            url: RedisURL(sentinels: RedisSentinels([a, b], master: "m"), database: 3),
            shown: "sentinel://a:26379,b:7/3?master=m"
        ),
        SentinelSample(
            text: "sentinel://u:canary@a,b:7?master_name=m&sentinel_user=w&sentinel_password=canary2&db=1",
            url: RedisURL(
                sentinels: RedisSentinels([a, b], master: "m", user: "w", password: "canary2"),
                user: "u",
                password: "canary",
                database: 1
            ),
            shown: "sentinel://u:***@a:26379,b:7/1?master=m"
        ),
        SentinelSample(
            text: "sentinel://:canary@a/2?master=m;sentinel://:canary@b:7/2;sentinel://a",
            url: RedisURL(sentinels: RedisSentinels([a, b], master: "m"), password: "canary", database: 2),
            shown: "sentinel://:***@a:26379,b:7/2?master=m"
        ),
        SentinelSample(
            text: "sentinel://[::1]:1,[::2]?master=m%20n",
            url: RedisURL(
                sentinels: RedisSentinels([.tcp(host: "::1", port: 1), .tcp(host: "::2", port: 26379)], master: "m n")
            ),
            shown: "sentinel://[::1]:1,[::2]:26379/0?master=m n"
        ),
    ]

    @Test("sentinel names several hosts, in one URL or in a list of them", arguments: withSentinels)
    func sentinels(_ sample: SentinelSample) throws {
        let url = try RedisURL(sample.text)
        #expect(url == sample.url)
        #expect("\(url)" == sample.shown)
    }

    @Test(
        "URLs with sentinels that contradict themselves are refused",
        arguments: [
            "sentinel://a", "sentinel://a?master=", "sentinel://a?master=m;redis://:canary@b",
            "sentinel://:canary@a?master=m;sentinel://:canary2@b", "sentinel://a/1?master=m;sentinel://b/2",
            "sentinel://a?master=m;sentinel://b?master=canary", "sentinel://a?master=m&canary=1",
            "sentinel://a?master=m&sentinel_user=canary", "sentinel://a:0?master=m", "sentinel://a/canary?master=m",
            "sentinel://a?master=m;canary",
        ]
    )
    func badSentinels(_ text: String) {
        let error = #expect(throws: RedisError.self) { try RedisURL(text) }
        #expect(error?.code == .invalidURL)
        #expect(error?.description.contains("canary") == false)
    }

    @Test("sentinels asks for TLS, to the sentinels and to the master, and says so once or in each URL of a list")
    func sentinelsOverTLS() throws {
        for text in [
            "sentinels://:canary@a,b:7/3?master=m&ssl_ca_certs=/ca.pem",
            "sentinels://:canary@a/3?master=m&ssl_ca_certs=/ca.pem;sentinels://:canary@b:7",
            "sentinels://:canary@a/3;sentinels://b:7?master=m&ssl_ca_certs=/ca.pem",
        ] {
            let url = try RedisURL(text)
            #expect(url.sentinels == RedisSentinels([Self.a, Self.b], master: "m"))
            #expect(url.password == "canary")
            #expect(url.tls?.trust == .file("/ca.pem"))
            #expect(url.tls?.verification == .full)
            #expect("\(url)" == "sentinels://:***@a:26379,b:7/3?master=m")
        }
        #expect(try RedisURL("sentinel://a?master=m").tls == nil)
        for text in [
            "sentinels://a?master=m;sentinel://b", "sentinel://a?master=m&ssl_ca_certs=/ca.pem",
            "sentinels://a?master=m&ssl_ca_certs=/ca.pem;sentinels://b?ssl_ca_certs=/canary.pem",
        ] {
            let error = #expect(throws: RedisError.self) { try RedisURL(text) }
            #expect(error?.code == .invalidURL)
        }
    }

    @Test("A sentinel's news of a fail-over names the new master")
    func switchMaster() {
        let news = "m 10.0.0.1 6379 10.0.0.2 6380"
        #expect(MasterWatch.newMaster(news, named: "m") == .tcp(host: "10.0.0.2", port: 6380))
        for (text, name) in [(news, "n"), ("m 10.0.0.1 6379 10.0.0.2", "m"), ("m a 1 b 0", "m"), ("", "m")] {
            #expect(MasterWatch.newMaster(text, named: name) == nil)
        }
    }

    @Test("rediss asks for TLS, verified, with the parameters of redis-py")
    func tls() throws {
        let plain = try RedisURL("rediss://:canary@h/3")
        #expect(plain.tls == TLSConfiguration())
        #expect(plain.database == 3)
        #expect("\(plain)" == "rediss://:***@h:6379/3")
        let url = try RedisURL(
            "rediss://h?db=2&ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem&ssl_password=canary"
                + "&ssl_cert_reqs=CERT_REQUIRED&ssl_check_hostname=false"
        )
        var expected = TLSConfiguration()
        expected.trust = .file("/ca.pem")
        expected.clientCertificate = .init(certificateFile: "/c.pem", keyFile: "/k.pem", passphrase: "canary")
        expected.verification = .noHostname
        #expect(url.tls == expected)
        #expect(url.database == 2)
        #expect(try RedisURL("rediss://h?ssl_cert_reqs=none").tls?.verification == TLSConfiguration.Verification.none)
        #expect(!"\(url)".contains("canary"))
    }

    @Test(
        "TLS parameters that mean nothing are refused",
        arguments: [
            "redis://h?ssl_ca_certs=/canary", "rediss://h?ssl_cert_reqs=canary", "rediss://h?ssl_keyfile=/canary",
            "rediss://h?ssl_check_hostname=canary", "rediss://h?canary=1",
        ]
    )
    func badTLS(_ text: String) {
        let error = #expect(throws: RedisError.self) { try RedisURL(text) }
        #expect(error?.code == .invalidURL)
        #expect(error?.description.contains("canary") == false)
    }
}

extension RedisURLTests.Sample {
    init(_ text: String, _ endpoint: Endpoint, _ shown: String) {
        self.init(text, endpoint, nil, nil, 0, shown)
    }
}

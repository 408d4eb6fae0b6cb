import Foundation
import Redis
import Testing

@Suite(
    "Redis outages",
    .tags(.integration),
    .enabled(if: TestServer.url != nil && TestServer.program != nil, "set REDIS_URL and install redis-server"),
    .timeLimit(.minutes(1))
)
struct RedisOutageTests {
    func isReachable(_ redis: RedisClient) async -> Bool {
        do {
            _ = try await redis.send(RedisCommand("PING"), timeout: .seconds(1))
            return true
        } catch {
            return false
        }
    }

    @Test("Commands wait for a server that is not there yet")
    func lateServer() async throws {
        let server = try OwnServer()
        try await TestServer.withClient(server.configuration) { redis, _ in
            try await TestServer.eventually {
                let error = await #expect(throws: RedisError.self) {
                    try await redis.send(RedisCommand("PING"), timeout: .milliseconds(60))
                }
                #expect(error?.code == .timedOut && error?.mayHaveExecuted == false)
                return (error?.underlying as? RedisError)?.code == .cannotConnect
            }
            async let pong = redis.send(RedisCommand("PING"))
            try server.start()
            #expect(try await pong == .simple("PONG"))
        }
    }

    @Test("Survives a restart of the server, scripts included")
    func restart() async throws {
        let server = try OwnServer()
        try server.start()
        try await TestServer.withClient(server.configuration) { redis, _ in
            let script = RedisScript("return ARGV[1]")
            #expect(try await redis.evaluate(script, arguments: [1]).integer == 1)
            await server.stop()
            try server.start()
            #expect(try await redis.evaluate(script, arguments: [2], retry: .idempotent).integer == 2)
        }
    }

    @Test("A frozen server costs the command its deadline, and is used again when it thaws")
    func frozen() async throws {
        let server = try OwnServer()
        try server.start()
        var configuration = server.configuration
        configuration.suspectGrace = .milliseconds(100)
        configuration.connectTimeout = .milliseconds(300)
        try await TestServer.withClient(configuration) { redis, _ in
            _ = try await redis.send(RedisCommand("PING"))
            server.signal(SIGSTOP)
            let error = await #expect(throws: RedisError.self) {
                try await redis.send(RedisCommand("PING"), timeout: .milliseconds(100))
            }
            #expect(error?.code == .timedOut)
            server.signal(SIGCONT)
            try await TestServer.eventually { await isReachable(redis) }
        }
    }

    @Test("A replica refuses writes until it is a master again, and the write waits")
    func readOnly() async throws {
        let server = try OwnServer()
        try server.start()
        try await TestServer.withClient(server.configuration) { admin, _ in
            try await TestServer.withClient(server.configuration) { redis, _ in
                _ = try await redis.send(RedisCommand("SET", "k", 1))
                _ = try await admin.send(RedisCommand("REPLICAOF", "127.0.0.1", 1))
                try await TestServer.eventually {
                    let error = await #expect(throws: RedisError.self) {
                        try await redis.send(RedisCommand("SET", "k", 2), timeout: .milliseconds(200))
                    }
                    #expect(error?.code == .timedOut)
                    return (error?.underlying as? RedisError)?.code == .readOnly
                }
                async let written = redis.send(RedisCommand("SET", "k", 3))
                _ = try await admin.send(RedisCommand("REPLICAOF", "NO", "ONE"))
                #expect(try await written == .simple("OK"))
            }
        }
    }

    @Test("Speaks over a socket file, as an ACL user, and survives a restart there")
    func socketFile() async throws {
        let path = "/tmp/celeriac-\(UUID().uuidString.prefix(8)).sock"
        let server = try OwnServer(arguments: [
            "--unixsocket", path, "--user", "shop", "on", ">canary", "~shop:*", "+@all",
        ])
        try server.start()
        defer { try? FileManager.default.removeItem(atPath: path) }
        var configuration = server.configuration
        configuration.url = try RedisURL("unix://shop:canary@\(path)?db=2")
        configuration.clientName = "by-file"
        try await TestServer.withClient(configuration) { redis, _ in
            let info = try #require(try await redis.send(RedisCommand("CLIENT", "INFO")).string)
            #expect(info.contains("db=2 ") && info.contains("name=by-file ") && info.contains("user=shop "))
            #expect(try await redis.send(RedisCommand("SET", "shop:k", 1)) == .simple("OK"))
            let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("SET", "k", 1)) }
            #expect(error?.code == .notPermitted && error?.message.contains("ACL") == true)
            await server.stop()
            try server.start()
            #expect(try await redis.send(RedisCommand("ECHO", 7), retry: .idempotent).integer == 7)
        }
        configuration.url.password = "canary too"
        try await TestServer.withClient(configuration) { redis, _ in
            let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("PING")) }
            #expect(error?.code == .authentication)
            #expect(error?.description.contains("canary") == false)
        }
    }

    @Test("A server occupied by a script is waited for")
    func busy() async throws {
        let server = try OwnServer(arguments: ["--lua-time-limit", "50"])
        try server.start()
        try await TestServer.withClient(server.configuration) { redis, _ in
            try await TestServer.withClient(server.configuration) { other, _ in
                try await TestServer.eventually { await isReachable(other) }
                let endless = Task { try await redis.evaluate(RedisScript("while true do end")) }
                try await TestServer.eventually {
                    do throws(RedisError) {
                        _ = try await other.send(RedisCommand("GET", "k"), timeout: .milliseconds(200))
                        return false
                    } catch {
                        return error.code == .busy
                    }
                }
                async let waiting = other.send(RedisCommand("INCR", "k"))
                _ = try await other.send(RedisCommand("SCRIPT", "KILL"))
                #expect(try await waiting == .integer(1))
                await #expect(throws: RedisError.self) { try await endless.value }
            }
        }
    }

    @Test("A node of a cluster is refused at once, with words that say why")
    func cluster() async throws {
        // Otherwise it would listen for other nodes 10,000 ports further on, where there may be none.
        let port = try OwnServer.freePort()
        let server = try OwnServer(arguments: ["--cluster-enabled", "yes", "--cluster-port", "\(port)"])
        try server.start()
        try await TestServer.withClient(server.configuration) { redis, _ in
            let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("SET", "k", 1)) }
            #expect(error?.code == .clusterNotSupported)
            #expect(error?.message.contains("this is a Redis Cluster, which is not supported") == true)
        }
        var configuration = server.configuration
        configuration.url.database = 1
        try await TestServer.withClient(configuration) { redis, _ in
            let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("PING")) }
            #expect(error?.code == .clusterNotSupported)
        }
    }

    @Test("A full server says so")
    func outOfMemory() async throws {
        let server = try OwnServer(arguments: ["--maxmemory", "1kb"])
        try server.start()
        try await TestServer.withClient(server.configuration) { redis, _ in
            let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("SET", "k", "v")) }
            #expect(error?.code == .outOfMemory)
        }
    }

    @Test("Subscriptions come back after a restart, and their listeners are told")
    func subscriptions() async throws {
        let server = try OwnServer()
        try server.start()
        let subscriber = RedisSubscriber(server.configuration)
        try await TestServer.withClient(server.configuration) { redis, _ in
            let subscription = try await subscriber.subscribe(to: "news")
            await server.stop()
            try server.start()
            #expect(try await subscription.next(within: .seconds(10)) == .resubscribed)
            let listeners = try await redis.send(RedisCommand("PUBLISH", "news", "hi"), retry: .idempotent)
            #expect(listeners == .integer(1))
            #expect(try await subscription.next(within: .seconds(10)) == .message(Array("hi".utf8)))
        }
        await subscriber.close()
    }

    @Test("A subscriber notices a server that is mute")
    func muteSubscriber() async throws {
        let server = try OwnServer()
        try server.start()
        var configuration = server.configuration
        configuration.pingInterval = .milliseconds(50)
        configuration.connectTimeout = .milliseconds(300)
        let subscriber = RedisSubscriber(configuration)
        let subscription = try await subscriber.subscribe(to: "news")
        try await TestServer.eventually {
            server.signal(SIGSTOP)
            _ = try await subscription.next(within: .milliseconds(200))
            server.signal(SIGCONT)
            return try await subscription.next(within: .seconds(1)) == .resubscribed
        }
        await subscriber.close()
    }
}

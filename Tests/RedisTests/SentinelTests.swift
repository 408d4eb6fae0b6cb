import Foundation
import ProcessSupport
import Redis
import TLSSupport
import Testing
import Transport

@Suite(
    "Redis behind sentinels",
    .tags(.integration),
    .enabled(if: ServerScript.isAvailable, "run with Scripts/with-servers.sh"),
    .serialized,
    .timeLimit(.minutes(2))
)
struct SentinelTests {
    @Test("Finds the master, past sentinels that are away or do not know it")
    func discovery() async throws {
        let other = try OwnServer()
        try other.start()
        try await SentinelServers.with { servers in
            var configuration = try servers.configuration
            // Nobody listens at the first address; the second is a Redis, which is no sentinel.
            let absent = try OwnServer()
            configuration.url.sentinels?.endpoints.insert(
                contentsOf: [.tcp(host: "127.0.0.1", port: absent.port), .tcp(host: "127.0.0.1", port: other.port)],
                at: 0
            )
            try await TestServer.withClient(configuration) { redis, _ in
                let role = try await redis.send(RedisCommand("ROLE"))
                #expect(role.array?.first?.string == "master")
                #expect(try await servers.serving(redis) == 1)
            }
            configuration.url.sentinels?.master = "nobody"
            configuration.url.sentinels?.endpoints.removeFirst(2)
            let unknown = await #expect(throws: RedisError.self) {
                _ = try await RedisConnection.connect(configuration)
            }
            #expect(unknown?.code == .masterUnknown)
            configuration.url.sentinels?.endpoints = [.tcp(host: "127.0.0.1", port: absent.port)]
            let none = await #expect(throws: RedisError.self) { _ = try await RedisConnection.connect(configuration) }
            #expect(none?.code == .cannotConnect && none?.message.contains("none of the sentinels") == true)
        }
    }

    @Test("A master killed under load: each caller has its value or a typed error, and all goes on at the replica")
    func failOver() async throws {
        try await SentinelServers.with { servers in
            let configuration = try servers.configuration
            let subscriber = RedisSubscriber(configuration)
            let redis = RedisClient(configuration)
            let script = RedisScript("return {KEYS[1], ARGV[1]}")
            #expect(try await servers.serving(redis) == 1)
            _ = try await redis.evaluate(script, keys: ["k"], arguments: [0])
            let subscription = try await subscriber.subscribe(to: "news")
            let isOver = Counter()
            let rounds = Counter()

            let lost = try await withThrowingTaskGroup(of: Int.self) { group in
                for task in 0..<30 {
                    group.addTask {
                        var lost = 0
                        var number = 0
                        while isOver.value == 0 {
                            number += 1
                            let token = task * 1_000_000 + number
                            rounds.next()
                            switch task % 3 {
                            case 0:
                                let reply = try await redis.send(RedisCommand("ECHO", token), retry: .idempotent)
                                #expect(reply.integer == token)
                            case 1:
                                let reply = try await redis.evaluate(
                                    script,
                                    keys: ["k\(task)"],
                                    arguments: [token],
                                    retry: .idempotent
                                )
                                #expect(reply.array?.last?.integer == token)
                            default:
                                do throws(RedisError) {
                                    _ = try await redis.send(RedisCommand("SET", "k\(task)", token))
                                } catch {
                                    #expect(error.code == .outcomeUnknown && error.mayHaveExecuted)
                                    lost += 1
                                }
                            }
                        }
                        return lost
                    }
                }
                try await TestServer.eventually { rounds.value > 1000 }
                _ = try await servers.control("kill", 1)
                // Answered by the new master only.
                _ = try await redis.send(RedisCommand("SET", "after", 1), retry: .idempotent)
                let rest = rounds.value
                try await TestServer.eventually { rounds.value > rest + 1000 }
                isOver.next()
                return try await group.reduce(0, +)
            }
            // Each writer has one command on its way at most.
            #expect(lost <= 10)
            #expect(try await servers.serving(redis) == 2)
            #expect(try await subscription.next(within: .seconds(20)) == .resubscribed)
            #expect(try await redis.send(RedisCommand("PUBLISH", "news", "hi"), retry: .idempotent) == .integer(1))
            #expect(try await subscription.next(within: .seconds(20)) == .message(Array("hi".utf8)))
            await subscriber.close()
            await redis.close()
        }
    }

    @Test("A master that hangs and does not hang up is left as soon as the sentinels have made another one")
    func frozenMaster() async throws {
        try await SentinelServers.with { servers in
            var configuration = try servers.configuration
            // Long enough that no deadline frees the client.
            configuration.commandTimeout = .seconds(90)
            configuration.unacknowledgedTimeout = .seconds(600)
            let redis = RedisClient(configuration)
            let made = MasterWatch(configuration) { [weak redis] master in redis?.leaveMaster(for: master) }
            let watch = try #require(made)
            watch.start()
            #expect(try await servers.serving(redis) == 1)
            let pid = try await servers.control("pid", 1)
            let master = try #require(pid_t(pid))
            #expect(kill(master, SIGSTOP) == 0)
            _ = try await redis.send(RedisCommand("SET", "after", 1), retry: .idempotent)
            #expect(try await servers.serving(redis) == 2)
            kill(master, SIGCONT)
            await watch.close()
            await redis.close()
        }
    }

    @Test("Sentinels and a master that speak TLS are found by sentinels://")
    func overTLS() async throws {
        let master = try RedisURL(try await TLSServers.server(.redis).url)
        guard case .tcp(_, let masterPort) = master.endpoint else { return }
        // A sentinel alone, whose configuration the test writes: server.sh starts what it finds.
        let parent = try #require(ServerScript.parent)
        let servers = SentinelServers(directory: "\(parent)/sentinel-tls-\(UUID().uuidString.prefix(8))", url: "")
        let state = "\(servers.directory)/1/redis"
        try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
        let (plainPort, port) = (try OwnServer().port, try OwnServer().port)
        let certificates = TestCertificates.shared
        let lines = [
            "port \(plainPort)", "tls-port \(port)", "tls-replication yes", "tls-auth-clients no", "bind 127.0.0.1",
            "tls-ca-cert-file \(certificates.path("ca.pem"))", "tls-cert-file \(certificates.path("server.pem"))",
            "tls-key-file \(certificates.path("server.key"))", "dir \(state)", "daemonize no",
            "sentinel monitor celeriac 127.0.0.1 \(masterPort) 1", "",
        ]
        try lines.joined(separator: "\n").write(toFile: "\(state)/sentinel.conf", atomically: true, encoding: .utf8)
        try "\(plainPort)".write(toFile: "\(state)/port", atomically: true, encoding: .utf8)
        _ = try await servers.control("start", 1)
        let trust = "ssl_ca_certs=\(certificates.path("ca.pem"))"
        let url = try RedisURL("sentinels://127.0.0.1:\(port)/0?master=celeriac&\(trust)")
        try await TestServer.withClient(RedisConfiguration(url)) { redis, _ in
            let told = try await redis.send(RedisCommand("CONFIG", "GET", "tls-port"), retry: .idempotent)
            #expect(told.array?.last?.string == "\(masterPort)")
        }
        let untrusted = RedisConfiguration(try RedisURL("sentinels://127.0.0.1:\(port)/0?master=celeriac"))
        await #expect(throws: RedisError.self) { _ = try await RedisConnection.connect(untrusted) }
        _ = try await servers.control("kill", 1)
    }

    @Test("A master that is made a replica on demand is left for the new one")
    func ordinaryFailOver() async throws {
        try await SentinelServers.with { servers in
            try await TestServer.withClient(try servers.configuration) { redis, _ in
                _ = try await redis.send(RedisCommand("SET", "k", 1))
                let sentinel = RedisClient(RedisConfiguration(try RedisURL(try await servers.control("url", 3))))
                try await TestServer.eventually {
                    do {
                        _ = try await sentinel.send(RedisCommand("SENTINEL", "FAILOVER", "celeriac"))
                        return true
                    } catch {
                        return false
                    }
                }
                await sentinel.close()
                // The sentinels take some ten seconds before they make a replica of a master that still answers, and
                // hang up its clients then. Not idempotent, so that nothing but a refusal is repeated.
                try await TestServer.eventually(within: .seconds(60)) {
                    do throws(RedisError) {
                        _ = try await redis.send(RedisCommand("INCR", "count"))
                    } catch {
                        #expect(error.code == .outcomeUnknown)
                    }
                    return try await servers.serving(redis) == 2
                }
                _ = try await redis.send(RedisCommand("INCR", "count"))
            }
        }
    }
}

import FaultProxySupport
import Foundation
import Redis
import Testing

/// What becomes of commands under way when a server dies, freezes, changes its role, or the wire fails.
@Suite(
    "Redis faults under load",
    .tags(.integration),
    .enabled(if: TestServer.url != nil && TestServer.program != nil, "set REDIS_URL and install redis-server"),
    .serialized,
    .timeLimit(.minutes(2))
)
struct RedisFaultTests {
    /// Runs 10,000 commands from 100 tasks while something goes wrong; each must get its own number back.
    func load(_ redis: RedisClient, during fault: () async throws -> Void) async throws {
        let begun = Counter()
        try await withThrowingTaskGroup(of: Int.self) { group in
            for task in 0..<100 {
                group.addTask {
                    for number in 0..<100 {
                        let token = task * 1000 + number
                        begun.next()
                        let reply = try await redis.send(RedisCommand("ECHO", token), retry: .idempotent)
                        guard reply.integer == token else {
                            Issue.record("\(token) was answered with \(reply)")
                            return number
                        }
                    }
                    return 100
                }
            }
            try await TestServer.eventually { begun.value > 2000 }
            try await fault()
            let sum = try await group.reduce(0, +)
            #expect(sum == 10_000)
        }
    }

    func configuration(_ server: OwnServer) -> RedisConfiguration {
        var configuration = server.configuration
        configuration.commandTimeout = .seconds(30)
        configuration.suspectGrace = .milliseconds(500)
        configuration.connectTimeout = .seconds(1)
        return configuration
    }

    @Test("A server killed and started again: every command is answered, each with its own value")
    func killed() async throws {
        let server = try OwnServer()
        try server.start()
        try await TestServer.withClient(configuration(server)) { redis, _ in
            try await load(redis) {
                await server.stop()
                try server.start()
            }
        }
    }

    @Test("A server frozen for three seconds: every command is answered, each with its own value")
    func frozen() async throws {
        let server = try OwnServer()
        try server.start()
        try await TestServer.withClient(configuration(server)) { redis, _ in
            try await load(redis) {
                server.signal(SIGSTOP)
                // The length of the fault itself.
                try await Task.sleep(for: .seconds(3))
                server.signal(SIGCONT)
            }
        }
    }

    @Test("A server that becomes a replica and a master again: writes wait, reads go on")
    func readOnly() async throws {
        let server = try OwnServer()
        try server.start()
        let settings = configuration(server)
        try await TestServer.withClient(settings) { redis, _ in
            try await TestServer.withClient(settings) { admin, _ in
                async let writes = withThrowingTaskGroup(of: Int.self) { group in
                    for task in 0..<20 {
                        group.addTask {
                            var written = 0
                            for _ in 0..<50 {
                                do throws(RedisError) {
                                    let count = try await redis.send(RedisCommand("INCR", "count\(task)"))
                                    written = count.integer ?? -1
                                } catch {
                                    #expect(error.code == .outcomeUnknown)
                                }
                            }
                            return written
                        }
                    }
                    return try await group.reduce(into: [Int]()) { $0.append($1) }
                }
                try await load(redis) {
                    _ = try await admin.send(RedisCommand("REPLICAOF", "127.0.0.1", 1))
                    try await Task.sleep(for: .milliseconds(300))
                    _ = try await admin.send(RedisCommand("REPLICAOF", "NO", "ONE"), retry: .idempotent)
                }
                // A refused write has not run, so that none ran twice.
                #expect(try await writes.allSatisfy { $0 <= 50 })
            }
        }
    }

    @Test("Links cut again and again: every command is answered, each with its own value", arguments: [1, 2, 3])
    func cut(_ seed: Int) async throws {
        let server = try OwnServer()
        try server.start()
        let proxy = try FaultProxy(upstream: UInt16(server.port), seed: UInt64(seed))
        defer { proxy.stop() }
        var settings = configuration(server)
        settings.url.endpoint = .tcp(host: "127.0.0.1", port: Int(proxy.port))
        try await TestServer.withClient(settings) { redis, _ in
            try await load(redis) {
                for round in 1...10 {
                    let direction: Direction = (round + seed).isMultiple(of: 2) ? .fromServer : .toServer
                    let arming = proxy.arm(
                        .cut(round.isMultiple(of: 3) ? .finish : .reset),
                        at: .octets(997 * round + seed, direction)
                    )
                    let deadline = ContinuousClock.now + .seconds(2)
                    while proxy.isArmed(arming), ContinuousClock.now < deadline {
                        try await Task.sleep(for: .milliseconds(2))
                    }
                }
                proxy.heal()
            }
            #expect(proxy.occurrences.count > 0)
        }
    }

    @Test("A link that goes mute is given up, and its commands are answered on the next")
    func mute() async throws {
        let server = try OwnServer()
        try server.start()
        let proxy = try FaultProxy(upstream: UInt16(server.port))
        defer { proxy.stop() }
        var settings = configuration(server)
        settings.url.endpoint = .tcp(host: "127.0.0.1", port: Int(proxy.port))
        settings.suspectGrace = .milliseconds(100)
        try await TestServer.withClient(settings) { redis, _ in
            try await load(redis) {
                proxy.apply(.blackhole, to: [.fromServer])
                // The deadline of one command is what makes the client suspect the link.
                do throws(RedisError) {
                    _ = try await redis.send(RedisCommand("INCR", "k"), timeout: .milliseconds(200))
                } catch {
                    #expect([.timedOut, .outcomeUnknown].contains(error.code) && error.mayHaveExecuted)
                }
            }
        }
    }
}

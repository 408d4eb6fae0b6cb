import Celeriac
import FaultProxySupport
import FleetSupport
import Redis
import TestSupport
import Testing

@testable import CeleriacCore

/// Ten thousand results while Redis fails: each wait ends in the right value or, where the fault outlasts it or Redis itself
/// loses what it had accepted, in a typed error; and no message is acknowledged whose result is not stored.
extension FaultTests.Load {
    @Test("Redis killed under 10,000 results and started again: each wait has its value, none is lost")
    func killedRedis() async throws {
        try await RedisServer.with { server in
            let account = try await ResultLoad(server.url).run { load in
                for milestone in [1500, 4000] {
                    try await load.reaches(milestone)
                    try await server.end(by: .kill)
                    load.isDisturbed()
                    try await Self.lasts(.seconds(1))
                    try await server.start()
                }
            }
            expectAll(account, "killed")
        }
    }

    @Test("Redis frozen under 10,000 results: each wait has its value, none is lost")
    func frozenRedis() async throws {
        try await RedisServer.with { server in
            let account = try await ResultLoad(server.url).run { load in
                try await load.reaches(2000)
                try await server.freeze(true)
                load.isDisturbed()
                // Longer than it takes to give up a mute connection.
                try await Self.lasts(.seconds(8))
                try await server.freeze(false)
            }
            expectAll(account, "frozen")
        }
    }

    @Test("A master killed under 10,000 results: each wait has its value or a typed error when its result went with it")
    func failedOverRedis() async throws {
        try await RedisServer.withSentinels { server in
            let account = try await ResultLoad(server.url, limit: .seconds(20)).run { load in
                try await load.reaches(2000)
                try await server.end(by: .kill)
                load.isDisturbed()
            }
            print("Redis failed over: \(account)")
            let failed = account.errors.values.reduce(0, +)
            #expect(account.wrong.isEmpty)
            #expect(account.right + failed == ResultLoad.count)
            #expect(Set(account.errors.keys).isSubset(of: ["timedOut"]), "\(account)")
            // Redis replicates after it has answered: what the replica had not yet is gone with the master.
            #expect(failed <= account.lost, "\(account)")
            #expect(account.disturbed > 0, "the fault came too late")
            #expect(account.acknowledged == ResultLoad.count)
        }
    }

    @Test("Redis made read-only under 10,000 results: each wait has its value, none is lost")
    func readOnlyRedis() async throws {
        try await RedisServer.with { server in
            try await Self.withAdministrator(of: server) { redis in
                let account = try await ResultLoad(server.url).run { load in
                    try await load.reaches(2000)
                    // Of a master that does not exist: it goes on answering reads from what it has.
                    try await redis.send(RedisCommand("REPLICAOF", "127.0.0.1", 1))
                    load.isDisturbed()
                    try await Self.lasts(.seconds(3))
                    try await redis.send(RedisCommand("REPLICAOF", "NO", "ONE"))
                }
                expectAll(account, "made read-only")
            }
        }
    }

    @Test("Redis out of memory under 10,000 results: each wait has its value, none is lost, nothing is run again")
    func fullRedis() async throws {
        try await RedisServer.with(settings: ["--maxmemory-policy", "noeviction"]) { server in
            try await Self.withAdministrator(of: server) { redis in
                let account = try await ResultLoad(server.url).run { load in
                    try await load.reaches(2000)
                    try await redis.send(RedisCommand("CONFIG", "SET", "maxmemory", 1024))
                    load.isDisturbed()
                    try await Self.lasts(.seconds(4))
                    try await redis.send(RedisCommand("CONFIG", "SET", "maxmemory", 0))
                }
                expectAll(account, "out of memory")
                #expect(account.runs == ResultLoad.count, "a result that is refused for now is no reason to run again")
            }
        }
    }

    @Test("Links to Redis cut and refused under 10,000 results: each wait has its value, none is lost")
    func cutLinks() async throws {
        try await RedisServer.with { server in
            let proxy = try FaultProxy(upstream: try await server.port)
            defer { proxy.stop() }
            let account = try await ResultLoad(ServerURL("redis://127.0.0.1:\(proxy.port)/0")).run { load in
                for milestone in [500, 1500, 2500, 3500] {
                    try await load.reaches(milestone)
                    // Somewhere in what Redis answers: the command has run, and its caller does not know.
                    proxy.arm(.cut(.reset), at: .octets(milestone % 1000 + 7, .fromServer))
                }
                try await load.reaches(5000)
                proxy.setArrivals(.refuse)
                proxy.apply(.cut(.finish))
                load.isDisturbed()
                try await Self.lasts(.seconds(2))
                proxy.heal()
            }
            #expect(proxy.occurrences.count >= 4)
            expectAll(account, "cut off")
        }
    }

    @Test("Redis away for longer than anybody waits: typed errors in time, and each result is stored in the end")
    func absentRedis() async throws {
        try await RedisServer.with { server in
            let load = ResultLoad(server.url, limit: .seconds(8), resultTimeout: .seconds(2))
            let account = try await load.run { load in
                try await load.reaches(500)
                try await server.end(by: .kill)
                load.isDisturbed()
                try await Self.lasts(.seconds(10))
                try await server.start()
            }
            print("Redis away: \(account)")
            #expect(account.wrong.isEmpty)
            #expect(account.right + account.errors.values.reduce(0, +) == ResultLoad.count)
            #expect(Set(account.errors.keys) == ["timedOut"], "\(account)")
            #expect(account.acknowledged == ResultLoad.count)
            #expect(account.lost == 0, "acknowledged, and not stored")
        }
    }

    private func expectAll(_ account: ResultLoad.Account, _ fault: String) {
        print("Redis \(fault): \(account)")
        #expect(account.wrong.isEmpty)
        #expect(account.right == ResultLoad.count, "\(account)")
        #expect(account.disturbed > 0, "the fault came too late")
        #expect(account.acknowledged == ResultLoad.count)
        #expect(account.lost == 0, "acknowledged, and not stored")
    }

    /// The length of a fault.
    private static func lasts(_ duration: Duration) async throws { try await Task.sleep(for: duration) }

    private static func withAdministrator(
        of server: RedisServer,
        _ body: (RedisClient) async throws -> Void
    ) async throws {
        let client = RedisClient(RedisConfiguration(try RedisURL(server.url.secret)))
        do {
            try await body(client)
        } catch {
            await client.close()
            throw error
        }
        await client.close()
    }
}

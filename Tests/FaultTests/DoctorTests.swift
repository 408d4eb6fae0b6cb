import Celeriac
import FleetSupport
import ProcessSupport
import Redis
import TestSupport
import Testing

@testable import CeleriacCore

extension FaultTests.Processes {
    @Test("doctor finds nothing wrong with servers as they should be")
    func healthyServers() async throws {
        try await Self.withDoctor { doctor in
            let report = try await doctor.run(["doctor", "--strict"])
            #expect(report.end == .exit(0), "\(report.transcript)")
            let checks = [
                "tasks", "broker", "broker version", "broker permissions", "queue", "redis clock", "redis version",
                "redis memory",
            ]
            for check in checks {
                #expect(Self.says(report, "ok \(check)"), "\(check): \(report.transcript)")
            }
        }
    }

    @Test("doctor has nothing against results by message, or none", arguments: ["rpc://", "disabled://"])
    func noResultServer(_ backend: String) async throws {
        try await Self.withDoctor { doctor in
            let report = try await doctor.run(["doctor", "--strict", "--result-backend", backend])
            #expect(report.end == .exit(0), "\(report.transcript)")
            #expect(Self.says(report, "ok result backend \(backend)"), "\(report.transcript)")
        }
    }

    /// A setting of Redis, and how doctor takes it.
    struct Ailment: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let commands: [[String]]
        let line: String
        var exitCode: Int32 = 0
        /// What makes the server well again.
        var cure: [[String]] = []
    }

    static let ailments = [
        Ailment(
            testDescription: "evicting",
            commands: [
                ["CONFIG", "SET", "maxmemory", "100mb"], ["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
            ],
            line: "warn redis eviction",
            cure: [["CONFIG", "SET", "maxmemory", "0"], ["CONFIG", "SET", "maxmemory-policy", "noeviction"]]
        ),
        Ailment(
            testDescription: "full",
            commands: [["CONFIG", "SET", "maxmemory", "1kb"]],
            line: "fail redis memory",
            exitCode: 1,
            cure: [["CONFIG", "SET", "maxmemory", "0"]]
        ),
        Ailment(
            testDescription: "read-only",
            commands: [["REPLICAOF", "127.0.0.1", "1"]],
            line: "fail redis role",
            exitCode: 1,
            cure: [["REPLICAOF", "NO", "ONE"]]
        ),
        Ailment(
            testDescription: "keeping nothing",
            commands: [["CONFIG", "SET", "appendonly", "no"], ["CONFIG", "SET", "save", ""]],
            line: "warn redis persistence neither"
        ),
        Ailment(
            testDescription: "keeping snapshots",
            commands: [["CONFIG", "SET", "save", "3600 1"]],
            line: "warn redis persistence snapshots only"
        ),
    ]

    @Test("doctor and a starting worker tell what is wrong with Redis")
    func ailingServers() async throws {
        try await Self.withDoctor { doctor, redis in
            for ailment in Self.ailments {
                for command in ailment.commands { try await redis.send(Self.command(command)) }
                let report = try await doctor.run(["doctor"])
                #expect(report.end == .exit(ailment.exitCode), "\(ailment.testDescription): \(report.transcript)")
                #expect(Self.says(report, ailment.line), "\(ailment.testDescription): \(report.transcript)")
                let strict = try await doctor.run(["doctor", "--strict", "--json"])
                #expect(strict.end == .exit(1), "\(ailment.testDescription): \(strict.transcript)")
                let worker = try await doctor.worker()
                #expect(worker.errors.contains("the result backend needs attention"), "\(worker.transcript)")
                await worker.destroy()
                for command in ailment.cure { try await redis.send(Self.command(command)) }
            }
        }
    }

    @Test("doctor says what an ACL keeps it from seeing, and takes that for no fault")
    func restrictedUser() async throws {
        try await Self.withDoctor(user: ["+@all", "-config", "-time"]) { doctor in
            let report = try await doctor.run(["doctor", "--strict"])
            #expect(report.end == .exit(0), "\(report.transcript)")
            #expect(report.output.contains("CONFIG GET is refused"), "\(report.transcript)")
            #expect(report.output.contains("TIME is refused"), "\(report.transcript)")
            #expect(!report.transcript.contains("hidden"), "the password shows")
        }
    }

    @Test("doctor tells of servers that are away or refuse, without passwords, and ends with 1")
    func absentServers() async throws {
        let broker = ServerURL("amqp://nobody:hidden@127.0.0.1:1/%2F")
        try await Fleet.with(broker: broker, results: "redis://:hidden@127.0.0.1:1/0") { fleet in
            let report = try await fleet.run(["doctor", "--timeout", "1"])
            #expect(report.end == .exit(1), "\(report.transcript)")
            #expect(Self.says(report, "fail broker"), "\(report.transcript)")
            #expect(Self.says(report, "fail redis"), "\(report.transcript)")
            #expect(!(report.output + report.errors).contains("hidden"), "the password shows: \(report.transcript)")
        }
    }

    /// Whether a line begins so, however wide its columns are.
    private static func says(_ report: ChildProcess, _ words: String) -> Bool {
        report.output.split(separator: "\n").contains { line in
            line.split(separator: " ").joined(separator: " ").hasPrefix(words)
        }
    }

    private static func command(_ words: [String]) -> RedisCommand {
        RedisCommand(words[0], arguments: Array(words.dropFirst()))
    }

    /// A fleet on the shared broker and a Redis of the test's own.
    ///
    /// - Parameter user: What its user may do there; everything if absent.
    private static func withDoctor(
        user rules: [String]? = nil,
        _ body: (Fleet, RedisClient) async throws -> Void
    ) async throws {
        let broker = ServerURL(try TestServer.require(.rabbitMQ))
        try await RedisServer.with { server in
            let client = RedisClient(RedisConfiguration(try RedisURL(server.url.secret)))
            var results = server.url
            if let rules {
                let user = ["SETUSER", "fleet", "on", ">hidden", "~*", "&*"] + rules
                try await client.send(RedisCommand("ACL", arguments: user))
                results = ServerURL("redis://fleet:hidden@127.0.0.1:\(try await server.port)/0")
            }
            try await Fleet.with(broker: broker, results: results) { try await body($0, client) }
            await client.close()
        }
    }

    private static func withDoctor(user rules: [String]? = nil, _ body: (Fleet) async throws -> Void) async throws {
        try await withDoctor(user: rules) { fleet, _ in try await body(fleet) }
    }
}

import CeleriacCore
import FoundationEssentials
import Testing

@testable import Celeriac
@testable import CeleriacAMQP
@testable import CeleriacRedis

@Suite("Doctor") struct DoctorTests {
    /// A server, by what it tells, and what is to be said of it.
    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let check: String
        let verdict: Finding.Verdict
        /// Part of what was found or of the advice.
        let says: String
        let change: @Sendable (inout RedisFacts) -> Void
    }

    /// A server with nothing to complain of.
    static func healthy() -> RedisFacts {
        var facts = RedisFacts()
        facts.roundTrip = .microseconds(250)
        facts.clockLead = .milliseconds(-3)
        facts.clockUncertainty = .microseconds(125)
        facts.version = "7.0.15"
        facts.usedMemory = 10_000_000
        facts.maximumMemory = 0
        facts.evictionPolicy = "noeviction"
        facts.isReplica = false
        facts.appendsToFile = true
        facts.takesSnapshots = true
        facts.stopsWritesAfterFailedSnapshot = true
        facts.minimumReplicas = 0
        return facts
    }

    static let cases = [
        Case(testDescription: "far away", check: "redis latency", verdict: .warn, says: "150.0 ms") {
            $0.roundTrip = .milliseconds(150)
        },
        Case(testDescription: "clock behind", check: "redis clock", verdict: .warn, says: "is 3.0 s ahead of Redis") {
            $0.clockLead = .seconds(-3)
        },
        Case(testDescription: "clock ahead", check: "redis clock", verdict: .warn, says: "is 90.0 s behind Redis") {
            $0.clockLead = .seconds(90)
        },
        Case(testDescription: "slow clock", check: "redis clock", verdict: .ok, says: "agrees with Redis to 1.2 s") {
            // Half the way there and back may explain it.
            ($0.clockLead, $0.clockUncertainty) = (.milliseconds(1200), .milliseconds(400))
        },
        Case(testDescription: "no TIME", check: "redis clock", verdict: .ok, says: "were not compared") {
            $0.clockLead = nil
        },
        Case(testDescription: "old", check: "redis version", verdict: .fail, says: "5.0 or later") {
            $0.version = "4.0.14"
        },
        Case(testDescription: "oldest that does", check: "redis version", verdict: .ok, says: "5.0.0") {
            $0.version = "5.0.0"
        },
        Case(testDescription: "read-only replica", check: "redis role", verdict: .fail, says: "no result can be stored")
        {
            ($0.isReplica, $0.isReadOnlyReplica) = (true, true)
        },
        Case(testDescription: "replica", check: "redis role", verdict: .warn, says: "its master overwrites") {
            $0.isReplica = true
        },
        Case(testDescription: "evicts", check: "redis eviction", verdict: .warn, says: "maxmemory-policy noeviction") {
            ($0.evictionPolicy, $0.maximumMemory) = ("allkeys-lru", 100_000_000)
        },
        Case(testDescription: "would evict", check: "redis eviction", verdict: .ok, says: "without effect") {
            $0.evictionPolicy = "volatile-ttl"
        },
        Case(testDescription: "nearly full", check: "redis memory", verdict: .warn, says: "10.0 MB of 11.0 MB used") {
            $0.maximumMemory = 11_000_000
        },
        Case(testDescription: "full", check: "redis memory", verdict: .fail, says: "refuses to store") {
            $0.maximumMemory = 9_000_000
        },
        Case(testDescription: "full, evicting", check: "redis memory", verdict: .warn, says: "raise maxmemory") {
            ($0.evictionPolicy, $0.maximumMemory) = ("allkeys-lru", 9_000_000)
        },
        Case(testDescription: "keeps nothing", check: "redis persistence", verdict: .warn, says: "loses every result") {
            ($0.appendsToFile, $0.takesSnapshots) = (false, false)
        },
        Case(testDescription: "snapshots", check: "redis persistence", verdict: .warn, says: "set appendonly yes") {
            $0.appendsToFile = false
        },
        Case(testDescription: "unseen snapshots", check: "redis persistence", verdict: .ok, says: "not looked at") {
            ($0.appendsToFile, $0.takesSnapshots) = (false, nil)
        },
        Case(testDescription: "snapshot failed", check: "redis persistence", verdict: .fail, says: "takes no writes") {
            $0.hasFailedSnapshot = true
        },
        Case(testDescription: "snapshot failed, no stop", check: "redis persistence", verdict: .warn, says: "older one")
        {
            ($0.hasFailedSnapshot, $0.stopsWritesAfterFailedSnapshot) = (true, false)
        },
        Case(
            testDescription: "append failed",
            check: "redis persistence",
            verdict: .fail,
            says: "append-only file failed"
        ) {
            $0.hasFailedAppend = true
        },
        Case(testDescription: "sentinels", check: "redis fail-over", verdict: .warn, says: "min-replicas-to-write 1") {
            $0.isBehindSentinels = true
        },
        Case(testDescription: "INFO refused", check: "redis info", verdict: .warn, says: "+info") {
            $0 = RedisFacts()
            $0.refused = ["INFO"]
        },
        Case(testDescription: "CONFIG refused", check: "redis settings", verdict: .ok, says: "CONFIG GET is refused") {
            $0.refused = ["CONFIG"]
        },
    ]

    @Test("Says what is wrong with a Redis, and what to do", arguments: cases)
    func redis(_ given: Case) throws {
        var facts = Self.healthy()
        given.change(&facts)
        let finding = try #require(facts.findings.first { $0.check == given.check })
        #expect(finding.verdict == given.verdict, "\(finding)")
        #expect("\(finding.what) \(finding.advice ?? "")".contains(given.says), "\(finding)")
        // One fault is told once.
        #expect(facts.findings.count { $0.verdict != .ok } <= (given.testDescription == "full, evicting" ? 2 : 1))
    }

    @Test("Finds nothing wrong with a healthy Redis, nor with one that tells nothing of itself")
    func healthyRedis() {
        #expect(Self.healthy().findings.allSatisfy { $0.verdict == .ok })
        #expect(RedisFacts().findings.allSatisfy { $0.verdict == .ok })
    }

    @Test("Reads INFO as Redis writes it, and leaves unknown what is missing or unreadable")
    func info() {
        var facts = RedisFacts()
        facts.read(
            info:
                "# Server\r\nredis_version:7.0.15\r\nexecutable:/usr/bin/redis-server\r\n\r\n# Memory\r\nused_memory:1024\r\n"
                + "maxmemory:nonsense\r\nmaxmemory_policy:allkeys-lru\r\nrdb_last_bgsave_status:err\r\naof_enabled:1\r\n"
                + "aof_last_write_status:ok\r\nrole:slave\r\nslave_read_only:1\r\nconnected_slaves:2\r\nno colon here\r\n"
        )
        facts.read(setting: "save", "3600 1 300 100")
        facts.read(setting: "min-replicas-to-write", "1")
        #expect(facts.version == "7.0.15" && facts.usedMemory == 1024 && facts.maximumMemory == nil)
        #expect(facts.evictionPolicy == "allkeys-lru" && facts.hasFailedSnapshot && !facts.hasFailedAppend)
        #expect(facts.isReplica == true && facts.isReadOnlyReplica && facts.replicaCount == 2)
        #expect(facts.appendsToFile == true && facts.takesSnapshots == true && facts.minimumReplicas == 1)
        var empty = RedisFacts()
        empty.read(info: "")
        #expect(empty == RedisFacts())
    }

    @Test("Knows RabbitMQ and the version that holds delayed calls")
    func broker() {
        #expect(AMQPBroker.finding(product: "RabbitMQ", version: "3.10.8").verdict == .ok)
        #expect(AMQPBroker.finding(product: "RabbitMQ", version: "4.1.0").verdict == .ok)
        #expect(AMQPBroker.finding(product: "RabbitMQ", version: "3.9.29").verdict == .warn)
        #expect(AMQPBroker.finding(product: "Qpid", version: "9.0").verdict == .warn)
        #expect(AMQPBroker.finding(product: nil, version: nil).verdict == .warn)
    }

    @Test("Tells of dead letters, and takes a queue that nobody has declared for no fault")
    func queues() {
        #expect(QueueFacts(name: "celery", depth: 3, deadLetters: nil).finding.verdict == .ok)
        #expect(QueueFacts(name: "celery", depth: nil, deadLetters: nil).finding.verdict == .ok)
        let letters = QueueFacts(name: "celery", depth: 0, deadLetters: 2).finding
        #expect(letters.verdict == .warn && letters.what.contains("2 in celery.dlq"))
    }

    @Test("doctor writes a line for each check; warnings end it with 1 only when strict")
    func lines() async throws {
        let program = TestProgram()
        _ = program.app.task("shop.add") { (x: Int, y: Int) in x + y }
        #expect(await program.run(DoctorCommand.self) == .success)
        let verdicts = program.output.lines.map { $0.split(separator: " ").first ?? "" }
        #expect(verdicts == ["ok", "warn", "ok", "warn"], "\(program.output.text)")
        #expect(program.output.text.contains("ok    tasks           1 defined\n"), "\(program.output.text)")
        #expect(await program.run(DoctorCommand.self, "--strict") == .failure)
    }

    @Test("doctor --json writes an array, and a fault ends it with 1")
    func json() async throws {
        let program = TestProgram()
        for _ in 0..<2 { _ = program.app.task("shop.twice") { (x: Int) in x } }
        #expect(await program.run(DoctorCommand.self, "--json") == .failure)
        let list = try #require(
            try PayloadCoding.decode(JSONValue.self, from: Array(program.output.text.utf8)).array
        )
        guard case .object(let first)? = list.first else {
            Issue.record("no object: \(list)")
            return
        }
        #expect(first["check"] == "tasks" && first["verdict"] == "fail")
        #expect(first["what"]?.string?.contains("shop.twice") == true)
        #expect(first["advice"]?.string != nil)
    }

    @Test("A URL that no driver takes is a fault, and its password does not show")
    func settings() async {
        let program = TestProgram()
        #expect(await program.run("doctor", "--broker", "kafka://shop:secret@nowhere") == .failure)
        #expect(program.output.text.contains("fail  settings"), "\(program.output.text)")
        #expect(!program.output.text.contains("secret") && !program.error.text.contains("secret"))
    }
}

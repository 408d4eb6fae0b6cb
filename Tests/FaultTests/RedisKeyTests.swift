import Celeriac
import FleetSupport
import Foundation
import Redis
import TestSupport
import Testing

@testable import CeleriacCore

extension FaultTests.Processes {
    /// A row of the table in RedisKeys.md.
    private struct DocumentedKey {
        let name: String
        let type: String

        func matches(_ key: String) -> Bool {
            // What stands between the placeholders, in order, from the first octet to the last.
            let parts = name.split(separator: /<[a-z]+>/, omittingEmptySubsequences: false)
            guard let first = parts.first, key.hasPrefix(first) else { return false }
            var rest = key.dropFirst(first.count)
            for (index, part) in parts.enumerated().dropFirst() {
                guard !rest.isEmpty else { return false }
                if index == parts.count - 1 { return rest.hasSuffix(part) && rest.count > part.count }
                guard let place = rest.dropFirst().firstRange(of: part) else { return false }
                rest = rest[place.upperBound...]
            }
            return rest.isEmpty
        }
    }

    @Test("Every key that we write has a time to live, and a row in the table of keys")
    func keys() async throws {
        try await RedisServer.with { server in
            // The broker does not matter here: what it carries is not in Redis.
            let app = TaskApp(
                "keys",
                configuration: Configuration(
                    brokerURL: "memory://",
                    resultBackendURL: server.url,
                    tracksQueued: true
                )
            )
            try await Self.writeEverything(app)
            let client = RedisClient(RedisConfiguration(try RedisURL(server.url.secret)))
            let documented = try Self.table()
            var seen: Set<String> = []
            for key in try await Self.allKeys(client) {
                let row = documented.first { $0.matches(key) }
                #expect(row != nil, "no row of RedisKeys.md names \(key)")
                let type = try await client.send(RedisCommand("TYPE", key)).string
                #expect(type == row?.type, "\(key) is a \(type ?? "")")
                let remaining = try await client.send(RedisCommand("PTTL", key)).integer ?? -1
                #expect(remaining > 0, "\(key) has no time to live")
                if let row { seen.insert(row.name) }
            }
            #expect(seen == Set(documented.map(\.name)), "the table has rows that nothing was written for")
            await client.close()
            await app.close(grace: .seconds(1))
        }
    }

    /// Everything of ours that stores something, left in the middle where its end would delete it.
    private static func writeEverything(_ app: TaskApp) async throws {
        let once = app.task("keys.once") { (context: TaskContext) in
            try await context.report(progress: TaskProgress(current: 1, total: 2))
            return try await context.once("effect") { 1 } ?? 0
        }
        let fails = app.task(
            "keys.fails",
            options: TaskOptions(retry: .fixed(attempts: 2, delay: .zero), tracksStarted: true)
        ) { () async throws -> Int in throw CancellationError() }
        let limited = app.task("keys.limited", options: TaskOptions(rateLimit: "100/s")) { 2 }
        let held = app.task("keys.held", options: TaskOptions(unique: .refuse)) { (_: String) in }
        try await app.withWorker {
            let value = try await once.delay().value(within: .seconds(20))
            #expect(value == 1)
            await #expect(throws: TaskFailure.self) { _ = try await fails.delay().value(within: .seconds(20)) }
            let two = try await limited.delay().value(within: .seconds(20))
            #expect(two == 2)
            let unknown = app.signature("keys.nosuch", returning: Int.self)
            await #expect(throws: TaskFailure.self) { _ = try await unknown.apply().value(within: .seconds(20)) }
        }
        let limits = try app.drivers().limits
        for (limit, owner) in [("busy", "a"), ("busy", "b"), ("freed", "a")] {
            _ = try await limits.acquire(limit, owner: owner, count: 1, lease: .seconds(60), within: .seconds(20))
        }
        _ = try await limits.release("freed", owner: "a", within: .seconds(20))
        _ = try await app.drivers().locks.acquire("celeriac-lock:a", owner: "a", lease: .seconds(60))
        // Nobody runs it, so its lock stays.
        _ = try await held.delay("a:b {c}")
        let shared = app.task("keys.shared", parameters: ["x"], options: TaskOptions(unique: .celeryOnce())) {
            (_: String) in
        }
        _ = try await shared.delay("a")
        let locks = try app.drivers().locks
        let key = "celeriac-unique:keys.held:*"
        _ = try await locks.start(key, as: key + ":running", owner: "a", lease: .seconds(60))
        _ = try await locks.acquire("celeriac-lock:keys", owner: "a", lease: .seconds(60))
        let schedule = Schedule { Entry("tick", once(), every: .milliseconds(100)) }
        try await app.withBeat(schedule) {
            let store = try app.drivers().schedule
            try await eventually("a slot is sent") { try await store.lastSlot(of: "tick", in: "keys")?.isSent == true }
        }
        // As its leader goes on; the one above has resigned.
        #expect(try await app.drivers().schedule.lead("keys", as: "somebody", lease: .seconds(15)))
    }

    private static func allKeys(_ client: RedisClient) async throws -> Set<String> {
        var keys: Set<String> = []
        var cursor = "0"
        repeat {
            let page = try #require(try await client.send(RedisCommand("SCAN", cursor)).array)
            cursor = try #require(page.first?.string)
            keys.formUnion(page.last?.array?.compactMap(\.string) ?? [])
        } while cursor != "0"
        return keys
    }

    private static func table() throws -> [DocumentedKey] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = root.appending(path: "Sources/Celeriac/Celeriac.docc/RedisKeys.md")
        let rows = try String(contentsOf: page, encoding: .utf8).matches(of: /(?m)^\| `([^`]+)` \| ([a-z ]+) \|/)
        let documented = rows.map { DocumentedKey(name: String($0.1), type: String($0.2)) }
        #expect(!documented.isEmpty)
        return documented
    }
}

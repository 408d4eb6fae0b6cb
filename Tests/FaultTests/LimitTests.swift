import Celeriac
import FleetSupport
import Foundation
import ProcessSupport
import Redis
import TestSupport
import Testing

@testable import CeleriacCore

extension FaultTests.Processes {
    @Test("Three workers together keep to one rate, and lose nothing", arguments: ["fleet.rated", "fleet.windowed"])
    func rate(_ task: TaskName) async throws {
        try await Fleet.withSharedServers { fleet in
            let count = 60
            for number in 1...3 { _ = try await fleet.worker("worker-\(number)") }
            // From before the first is counted until after the last was: no delay on the way makes that shorter.
            let began = Date()
            let keys = (0..<count).map { "\(task)-\($0)" }
            let handles = try await concurrently(keys, width: 20) { key in
                try await fleet.app.signature(task, key, returning: String.self).apply()
            }
            let values = try await concurrently(handles, width: 60) { try await $0.value(within: .seconds(60)) }
            #expect(values.sorted() == keys.sorted())

            let started = fleet.journal.lines("started").filter { keys.contains($0.key) }
            #expect(started.count == count)
            #expect(started.allSatisfy { $0.more.first == "1" }, "an attempt was charged")
            let times = started.compactMap { $0.more.last.flatMap { Double($0) } }
            let span = try #require(times.max()) / 1000 - began.timeIntervalSince1970
            // Both let ten begin in so many seconds.
            #expect(span >= (task == "fleet.rated" ? Double(count - 2) / 10 : Double(count / 10 - 1) * 2) - 0.01)
        }
    }

    @Test("Three workers together run no more at once than a limit says")
    func concurrency() async throws {
        try await Fleet.withSharedServers { fleet in
            for number in 1...3 { _ = try await fleet.worker("worker-\(number)") }
            let keys = (0..<40).map { "placed-\($0)" }
            let handles = try await concurrently(keys, width: 20) {
                try await fleet.placed($0, milliseconds: 20).apply()
            }
            _ = try await concurrently(handles, width: 40) { try await $0.value(within: .seconds(60)) }
            var running = 0
            for line in fleet.journal.lines where keys.contains(line.key) {
                running += line.event == "started" ? 1 : -1
                #expect(running <= 2)
            }
            #expect(fleet.journal.counts("finished").values.allSatisfy { $0 == 1 })
        }
    }

    @Test("A worker that is killed frees its places within the lease")
    func killedWithPlaces() async throws {
        try await Fleet.withSharedServers { fleet in
            let victim = try await fleet.worker("victim")
            let held = try await concurrently(["held-1", "held-2"], width: 2) {
                try await fleet.placed($0, milliseconds: -1).apply()
            }
            try await fleet.journal.contains("started", ["held-1", "held-2"])
            _ = try await fleet.worker("heir")
            let next = try await fleet.placed("next", milliseconds: 0).apply()

            victim.send(SIGKILL)
            _ = try await victim.wait(within: .seconds(10))
            #expect(FileManager.default.createFile(atPath: fleet.journal.path + ".go", contents: nil))
            #expect(try await next.value(within: .seconds(40)) == "next")
            let values = try await concurrently(held, width: 2) { try await $0.value(within: .seconds(40)) }
            #expect(values.sorted() == ["held-1", "held-2"])
        }
    }

    @Test("A worker goes on with other tasks while many of one are over their limit")
    func othersGoOn() async throws {
        try await Fleet.withSharedServers { fleet in
            _ = try await fleet.worker(concurrency: 2, prefetch: 4)
            let limited = (0..<200).map { "limited-\($0)" }
            _ = try await concurrently(limited, width: 50) { key in
                try await fleet.app.signature("fleet.hourly", key, returning: String.self).apply()
            }
            let keys = (0..<20).map { "free-\($0)" }
            let handles = try await concurrently(keys, width: 20) { try await fleet.work($0).apply() }
            _ = try await concurrently(handles, width: 20) { try await $0.value(within: .seconds(30)) }
            try await eventually("the queue is empty") { try await fleet.depth(of: fleet.queue) == 0 }
            #expect(fleet.journal.lines("started").count { $0.key.hasPrefix("limited") } == 1)
        }
    }

    @Test("Limits hold while Redis is killed again and again, with and without its data", arguments: [true, false])
    func killedStore(_ isKept: Bool) async throws {
        let settings = isKept ? ["--appendfsync", "always"] : ["--appendonly", "no"]
        try await RedisServer.with(settings: settings) { server in
            let app = TaskApp("limits", configuration: Configuration(resultBackendURL: server.url))
            let store = try app.drivers().limits
            @Sendable func disturb() async throws -> Bool {
                try await server.end(by: .kill)
                try await server.start()
                return !isKept
            }
            for seed in 0..<4 as Range<UInt64> {
                var rates = RateHistory(seed: seed, clock: .real(), interval: .milliseconds(5))
                try await rates.play(store, disturb: disturb)
                // Longer than the server is away.
                var places = PlaceHistory(seed: seed, clock: .real(), lease: .milliseconds(1500))
                try await places.play(store, steps: 30, disturb: disturb)
            }
            await app.close(grace: .seconds(1))
        }
    }
}

extension Fleet {
    /// A call of `fleet.placed`.
    fileprivate func placed(_ key: String, milliseconds: Int) -> Signature<String> {
        app.signature("fleet.placed", key, milliseconds, returning: String.self)
    }

    fileprivate func depth(of queue: QueueName) async throws -> Int? {
        try await app.drivers().broker.depth(of: queue)
    }
}

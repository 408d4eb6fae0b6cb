import Celeriac
import FleetSupport
import ProcessSupport
import Redis
import Testing

@testable import CeleriacCore

extension FaultTests.Load {
    static let prefetch = 16

    @Test("A broker that restarts under load loses nothing", arguments: ServerPair.Ending.allCases)
    func brokerRestart(_ ending: ServerPair.Ending) async throws {
        try await restart(.rabbitMQ, by: ending)
    }

    @Test("A result backend that restarts under load loses nothing", arguments: ServerPair.Ending.allCases)
    func resultBackendRestart(_ ending: ServerPair.Ending) async throws {
        try await restart(.redis, by: ending)
    }

    private func restart(_ kind: ServerPair.Kind, by ending: ServerPair.Ending) async throws {
        try await Fleet.withServers(publishTimeout: .seconds(60)) { fleet, servers in
            if kind == .redis, ending == .kill { try await keepEveryWrite(of: servers.redis) }
            let workers = [
                try await fleet.worker("worker-1", concurrency: 4, prefetch: Self.prefetch),
                try await fleet.worker("worker-2", concurrency: 4, prefetch: Self.prefetch),
            ]
            // Begins before the restart, is awaited all the time, and ends after it, or runs again.
            let long = try await fleet.work("long", milliseconds: 3000).apply()
            async let longValue = long.value(within: .seconds(90))

            let producers = Producers(fleet)
            try await producers.run {
                try await fleet.journal.contains("started", ["long"])
                try await producers.accept(200)
                try await servers.end(kind, by: ending)
                try await servers.start(kind)
                producers.beginEra()
                try await producers.accept(200)
            }

            // Accepted means executed, and its result can be read.
            let calls = producers.accepted
            try await fleet.journal.contains("finished", calls.map(\.key))
            let values = try await concurrently(calls, width: 50) { call in
                (call.key, try await call.handle.value(within: .seconds(60)))
            }
            #expect(values.allSatisfy { key, value in key == value })
            #expect(try await longValue == "long")
            #expect(workers.allSatisfy { $0.end == nil }, "\(fleet.transcript)")

            // What ran twice was unacknowledged, or not yet confirmed, when the server went away.
            try await expectQueueIsDone(fleet)
            let repeated = Set(fleet.journal.counts("finished").filter { $0.value > 1 }.keys)
            let inFlight = kind == .redis ? 0 : workers.count * Self.prefetch + Producers.lanes
            #expect(repeated.count <= inFlight)
            let later = Set(calls.filter { $0.era > 0 }.map(\.key))
            #expect(repeated.isDisjoint(with: later), "\(repeated.intersection(later))")
        }
    }

    /// By default Redis writes its log to disk once a second, so what it lost when killed would not be ours.
    private func keepEveryWrite(of server: ServerURL) async throws {
        let client = RedisClient(RedisConfiguration(try RedisURL(server.secret)))
        try await client.send(RedisCommand("CONFIG", "SET", "appendfsync", "always"))
        await client.close()
    }

    private func expectQueueIsDone(_ fleet: Fleet) async throws {
        let broker = try fleet.app.drivers().broker
        #expect(try await broker.depth(of: fleet.queue) == 0)
        #expect(try await broker.depth(of: fleet.queue.deadLetters) ?? 0 == 0)
    }

    @Test("A server that freezes under load for a while loses nothing", arguments: ServerPair.Kind.allCases)
    func frozenServer(_ kind: ServerPair.Kind) async throws {
        try await Fleet.withServers(publishTimeout: .seconds(60)) { fleet, servers in
            let workers = [
                try await fleet.worker("worker-1", concurrency: 4, prefetch: Self.prefetch),
                try await fleet.worker("worker-2", concurrency: 4, prefetch: Self.prefetch),
            ]
            let producers = Producers(fleet)
            try await producers.run {
                try await producers.accept(100)
                try await servers.freeze(kind, true)
                // The length of the fault.
                try await Task.sleep(for: .seconds(5))
                try await servers.freeze(kind, false)
                try await producers.accept(100)
            }
            let calls = producers.accepted
            try await fleet.journal.contains("finished", calls.map(\.key))
            let values = try await concurrently(calls, width: 50) { call in
                (call.key, try await call.handle.value(within: .seconds(60)))
            }
            #expect(values.allSatisfy { key, value in key == value })
            #expect(workers.allSatisfy { $0.end == nil }, "\(fleet.transcript)")
            #expect(fleet.journal.counts("finished").count { $0.value > 1 } == 0, "no connection was lost")
        }
    }
}

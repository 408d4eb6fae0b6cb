import Celeriac
import FleetSupport
import Glibc
import ProcessSupport
import TestSupport
import Testing

extension FaultTests.Processes {
    @Test("What a killed worker was running is run by another")
    func killedWorker() async throws {
        try await Fleet.withServers { fleet, _ in
            let keys = (0..<50).map { "held-\($0)" }
            let victim = try await fleet.worker("victim", concurrency: 50, prefetch: 50)
            let handles = try await concurrently(keys, width: 50) { try await fleet.hold($0).apply() }
            try await fleet.journal.contains("started", keys)

            victim.send(SIGKILL)
            #expect(try await victim.wait(within: .seconds(10)) == .signal(SIGKILL))
            let heir = try await fleet.worker("heir", concurrency: 50)

            try await fleet.journal.contains("finished", keys)
            let values = try await concurrently(handles, width: 50) { try await $0.value(within: .seconds(30)) }
            #expect(values.sorted() == keys.sorted())
            let finished = fleet.journal.lines("finished")
            #expect(finished.count == 50)
            #expect(finished.allSatisfy { $0.pid == heir.pid })
            // The heir's runs know that there was another before.
            for line in fleet.journal.lines("started") {
                #expect(line.more.dropFirst().first == String(line.pid == heir.pid), "\(line.key)")
            }
        }
    }

    @Test("SIGTERM lets tasks finish within the grace and gives the others back")
    func terminatedWorker() async throws {
        try await Fleet.withServers { fleet, _ in
            let short = (0..<5).map { "short-\($0)" }
            let long = (0..<5).map { "long-\($0)" }
            let waiting = (0..<20).map { "waiting-\($0)" }
            let worker = try await fleet.worker("stopping", concurrency: 10, prefetch: 15, grace: 8)
            let held = try await concurrently(long, width: 5) { try await fleet.hold($0).apply() }
            let worked = try await concurrently(short, width: 5) { key in
                try await fleet.work(key, milliseconds: 3000).apply()
            }
            try await fleet.journal.contains("started", long + short)
            // All slots are taken now: some of these are prefetched, the others stay in the queue.
            let queued = try await concurrently(waiting, width: 20) { try await fleet.work($0).apply() }

            worker.send(SIGTERM)
            #expect(try await worker.wait(within: .seconds(25)) == .exit(0), "\(fleet.transcript)")
            let finished = Set(fleet.journal.counts("finished").keys)
            #expect(finished.isSuperset(of: short), "within the grace the short ones end")
            #expect(finished.isDisjoint(with: long), "the long ones do not")

            let heir = try await fleet.worker("heir", concurrency: 10)
            let all = short + long + waiting
            try await fleet.journal.contains("finished", all)
            let values = try await concurrently(held + worked + queued, width: 30) {
                try await $0.value(within: .seconds(30))
            }
            #expect(values.sorted() == all.sorted())
            #expect(fleet.journal.counts("finished").values.allSatisfy { $0 == 1 })
            #expect(heir.end == nil)
        }
    }

    @Test("SIGTERM ends a worker in time also while its broker is away, and what it was running runs again")
    func terminatedWithoutBroker() async throws {
        try await Fleet.withServers { fleet, servers in
            let keys = (0..<5).map { "held-\($0)" }
            let worker = try await fleet.worker("cut off", concurrency: 5, grace: 2)
            let handles = try await concurrently(keys, width: 5) { try await fleet.hold($0).apply() }
            try await fleet.journal.contains("started", keys)

            try await servers.end(.rabbitMQ, by: .kill)
            worker.send(SIGTERM)
            #expect(try await worker.wait(within: .seconds(25)) == .exit(0), "\(fleet.transcript)")

            try await servers.start(.rabbitMQ)
            _ = try await fleet.worker("heir")
            let values = try await concurrently(handles, width: 5) { try await $0.value(within: .seconds(60)) }
            #expect(values.sorted() == keys)
        }
    }
}

extension FaultTests.Load {
    @Test("Workers that are killed one after the other under load lose nothing")
    func workersKilledUnderLoad() async throws {
        try await Fleet.withServers { fleet, _ in
            let prefetch = 16
            let survivor = try await fleet.worker("survivor", concurrency: 4, prefetch: prefetch)
            let producers = Producers(fleet)
            let victims = 3
            try await producers.run {
                for number in 1...victims {
                    let victim = try await fleet.worker("victim-\(number)", concurrency: 4, prefetch: prefetch)
                    try await eventually("\(victim.name) has a part in the work") {
                        fleet.journal.lines("finished").count { $0.pid == victim.pid } >= 20
                    }
                    victim.send(SIGKILL)
                    _ = try await victim.wait(within: .seconds(10))
                }
                try await producers.accept(50)
            }

            let calls = producers.accepted
            try await fleet.journal.contains("finished", calls.map(\.key))
            let values = try await concurrently(calls, width: 50) { call in
                (call.key, try await call.handle.value(within: .seconds(30)))
            }
            #expect(values.allSatisfy { key, value in key == value })
            #expect(survivor.end == nil, "\(fleet.transcript)")
            let repeated = fleet.journal.counts("finished").count { $0.value > 1 }
            #expect(repeated <= victims * prefetch, "only what a victim held may run twice")
        }
    }
}

import Celeriac
import FleetSupport
import Glibc
import ProcessSupport
import TestSupport
import Testing

extension FaultTests.Processes {
    @Test("When the leading beat is killed, the other goes on without a slot fired twice or left out")
    func killedBeat() async throws {
        try await Fleet.withServers { fleet, _ in
            let interval = 250
            let schedule = ["FLEET_SCHEDULE_MS": String(interval)]
            _ = try await fleet.worker()
            let leader = try fleet.start("leader", ["beat", "--log-level", "debug"], environment: schedule)
            try await emitted(8, by: leader, fleet)
            let follower = try fleet.start("follower", ["beat", "--log-level", "debug"], environment: schedule)
            try await emitted(8, by: leader, fleet)
            #expect(slots("emitted", fleet, by: follower.pid).isEmpty, "only the leader emits")

            leader.send(SIGKILL)
            _ = try await leader.wait(within: .seconds(10))
            try await emitted(20, by: follower, fleet)
            follower.send(SIGTERM)
            #expect(try await follower.wait(within: .seconds(20)) == .exit(0), "\(follower.transcript)")

            let emitted = Set(slots("emitted", fleet))
            try await eventually("every slot emitted is run") { emitted.isSubset(of: slots("ticked", fleet)) }
            try await expectOneTaskPerSlot(fleet, leader: leader.pid)

            // The entry that makes up for what it missed has no gap at all.
            let every = times(of: "every", emitted)
            #expect(zip(every, every.dropFirst()).allSatisfy { $1 - $0 == interval }, "\(every)")
            // The one that does not went on when the leader's lease of 15 seconds had ended.
            let before = times(of: "latest", Set(slots("emitted", fleet, by: leader.pid)))
            let after = times(of: "latest", Set(slots("emitted", fleet, by: follower.pid)))
            #expect(try #require(after.first) - #require(before.last) < 25_000)
        }
    }

    @Test("A beat whose servers restart makes up for every slot, each under one task id")
    func restartedServers() async throws {
        try await Fleet.withServers { fleet, servers in
            let interval = 250
            _ = try await fleet.worker()
            let beat = try fleet.start("beat", ["beat"], environment: ["FLEET_SCHEDULE_MS": String(interval)])
            try await emitted(8, by: beat, fleet)
            for (kind, ending) in [(ServerPair.Kind.rabbitMQ, ServerPair.Ending.kill), (.redis, .stop)] {
                try await servers.end(kind, by: ending)
                try await servers.start(kind)
                try await emitted(20, by: beat, fleet)
            }
            beat.send(SIGTERM)
            #expect(try await beat.wait(within: .seconds(20)) == .exit(0), "\(beat.transcript)")

            let emitted = Set(slots("emitted", fleet))
            try await eventually("every slot emitted is run") { emitted.isSubset(of: slots("ticked", fleet)) }
            let every = times(of: "every", emitted)
            #expect(zip(every, every.dropFirst()).allSatisfy { $1 - $0 == interval }, "\(every)")
            let ticks = Dictionary(grouping: fleet.journal.lines("ticked"), by: \.key)
            #expect(ticks.values.allSatisfy { Set($0.flatMap(\.more)).count == 1 }, "a slot has one task id")
        }
    }

    /// The slot under way when the leader died may have been emitted without its note; then its successor emitted it
    /// again under the same id.
    private func expectOneTaskPerSlot(_ fleet: Fleet, leader: Int32) async throws {
        let ticks = fleet.journal.lines("ticked")
        let ids = Dictionary(grouping: ticks, by: \.key).mapValues { Set($0.flatMap(\.more)) }
        #expect(ids.values.allSatisfy { $0.count == 1 }, "a slot has one task id")
        #expect(Set(ids.values.flatMap(\.self)).count == ids.count, "no two slots have the same")
        let repeated = fleet.journal.counts("ticked").filter { $0.value > 1 }.keys
        let last = Dictionary(grouping: slots("emitted", fleet, by: leader)) { entry(of: $0) }.compactMapValues {
            $0.map { time(of: $0) }.max()
        }
        for slot in repeated {
            #expect(time(of: slot) >= last[entry(of: slot)] ?? 0, "\(slot) ran twice although nobody had died")
        }
    }

    private func emitted(_ more: Int, by beat: ChildProcess, _ fleet: Fleet) async throws {
        let target = slots("emitted", fleet, by: beat.pid).count + more
        try await eventually(within: .seconds(60), "\(beat.name) emits \(more) slots") {
            slots("emitted", fleet, by: beat.pid).count >= target
        }
    }

    /// `entry@milliseconds`.
    private func slots(_ event: String, _ fleet: Fleet, by pid: Int32? = nil) -> [String] {
        fleet.journal.lines(event).filter { pid == nil || $0.pid == pid }.map(\.key)
    }

    private func times(of name: String, _ slots: Set<String>) -> [Int] {
        slots.filter { entry(of: $0) == name }.map { time(of: $0) }.sorted()
    }

    private func entry(of slot: String) -> String { String(slot.prefix { $0 != "@" }) }

    private func time(of slot: String) -> Int { slot.split(separator: "@").last.flatMap { Int($0) } ?? 0 }
}

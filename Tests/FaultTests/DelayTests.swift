import Celeriac
import FleetSupport
import Foundation
import TestSupport
import Testing

@testable import CeleriacCore

extension FaultTests.Processes {
    @Test("A call with a countdown waits in the broker and starts no earlier")
    func countdown() async throws {
        try await Fleet.withServers { fleet, _ in
            _ = try await fleet.worker()
            let before = Date()
            let handle = try await fleet.work("later").apply(CallOptions(countdown: .seconds(3)))
            try await waitsInBroker(fleet)
            #expect(try await handle.value(within: .seconds(30)) == "later")

            let started = try #require(fleet.journal.lines("started").first)
            let instant = try #require(started.more.last.flatMap { Double($0) })
            #expect(instant / 1000 >= before.timeIntervalSince1970 + 3 - 0.001)
            #expect(fleet.journal.counts("started") == ["later": 1])
        }
    }

    @Test("A failed call waits for its next attempt in the broker")
    func retry() async throws {
        try await Fleet.withServers { fleet, _ in
            _ = try await fleet.worker()
            let handle = try await fleet.app.signature("fleet.flaky", "flaky", 1, returning: Int.self).apply()
            try await fleet.journal.contains("started", ["flaky"])
            try await waitsInBroker(fleet)
            try await eventually("the retry is recorded") { try await handle.state() == .retry }
            #expect(try await handle.value(within: .seconds(30)) == 2)
            #expect(fleet.journal.counts("started") == ["flaky": 2])
        }
    }

    @Test("A call that has expired is not run")
    func expiry() async throws {
        try await Fleet.withSharedServers { fleet in
            // One expires in its queue, the other while the broker keeps it back.
            let queued = try await fleet.work("queued").apply(CallOptions(expires: .milliseconds(100)))
            let delayed = try await fleet.work("delayed")
                .apply(CallOptions(countdown: .seconds(2), expires: .milliseconds(500)))
            let kept = try await fleet.work("kept").apply(CallOptions(expires: .seconds(120)))
            try await eventually("the call expires in its queue") {
                try await fleet.app.drivers().broker.depth(of: fleet.queue) == 1
            }

            _ = try await fleet.worker()
            #expect(try await kept.value(within: .seconds(20)) == "kept")
            let failure = await #expect(throws: TaskFailure.self) { try await delayed.value(within: .seconds(20)) }
            #expect(failure == .expired)
            #expect(try await delayed.state() == .revoked)
            #expect(try await queued.record() == nil, "what the broker drops no worker sees")
            #expect(fleet.journal.counts("started") == ["kept": 1])
        }
    }

    /// Waits until a delay queue holds one message; a worker then cannot hold it.
    private func waitsInBroker(_ fleet: Fleet) async throws {
        let broker = try fleet.app.drivers().broker
        try await eventually(within: .seconds(10), "a delay queue holds the call") {
            var held = 0
            for level in 0...3 { held += try await broker.depth(of: "celery_delayed_\(level)") ?? 0 }
            return held == 1
        }
        #expect(try await broker.depth(of: fleet.queue) == 0)
    }
}

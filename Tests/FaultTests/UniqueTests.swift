import Celeriac
import FleetSupport
import ProcessSupport
import TestSupport
import Testing

@testable import CeleriacCore

extension FaultTests.Processes {
    @Test("A unique call is refused to other processes until it has ended")
    func unique() async throws {
        try await Fleet.withSharedServers { fleet in
            // Locks are the server's, which other tests share.
            let job = fleet.queue.rawValue
            let first = try await once(job, fleet)
            let error = await #expect(throws: CeleriacError.self) { try await once(job, fleet) }
            #expect(error?.code == .alreadyQueued)
            #expect(error?.conflict?.existing == first.id)
            #expect(try #require(error?.conflict?.remaining) > .seconds(3000))

            let call = try await fleet.run(["call", "fleet.once", job, "false"])
            #expect(call.end == .exit(1), "\(call.transcript)")
            #expect(call.errors.contains(first.id.rawValue), "\(call.transcript)")

            let existing = try await once(job, fleet, .returnExisting)
            #expect(existing.isExisting)
            #expect(existing.id == first.id)
            _ = try await once("another of \(job)", fleet)

            _ = try await fleet.worker()
            #expect(try await existing.value(within: .seconds(20)) == job)
            try await expectFree(job, fleet)
            #expect(fleet.journal.counts("finished")[job] == 2)
        }
    }

    @Test("A unique call that fails frees its lock")
    func uniqueFailure() async throws {
        try await Fleet.withSharedServers { fleet in
            let job = fleet.queue.rawValue
            _ = try await fleet.worker()
            let failing = try await fleet.app.signature("fleet.once", job, true, returning: String.self)
                .apply(CallOptions(unique: .refuse))
            await #expect(throws: TaskFailure.self) { try await failing.value(within: .seconds(20)) }
            try await eventually("the lock is free") {
                do throws(CeleriacError) {
                    try await fleet.app.signature("fleet.once", job, true, returning: String.self)
                        .apply(CallOptions(unique: .refuse))
                    return true
                } catch {
                    guard error.code == .alreadyQueued else { throw error }
                    return false
                }
            }
        }
    }

    @Test("A unique call that could not be sent frees its lock")
    func uniqueUnsent() async throws {
        try await Fleet.withSharedServers { fleet in
            try await Fleet.with(
                broker: "amqp://guest:guest@127.0.0.1:1/%2F",
                results: fleet.app.configuration.resultBackendURL,
                publishTimeout: .seconds(1)
            ) { cut in
                let error = await #expect(throws: CeleriacError.self) { try await once("\(fleet.queue)", cut) }
                #expect(error?.code == .unavailable)
                _ = try await once("\(fleet.queue)", fleet)
            }
        }
    }

    private func once(
        _ key: String,
        _ fleet: Fleet,
        _ conflict: UniquePolicy = .refuse
    ) async throws -> TaskHandle<String> {
        try await fleet.app.signature("fleet.once", key, false, returning: String.self)
            .apply(CallOptions(unique: conflict))
    }

    /// The result is stored before the lock is freed.
    private func expectFree(_ key: String, _ fleet: Fleet) async throws {
        var handle: TaskHandle<String>?
        try await eventually("the lock is free") {
            handle = try? await once(key, fleet)
            return handle != nil
        }
        #expect(try await handle?.value(within: .seconds(20)) == key)
    }
}

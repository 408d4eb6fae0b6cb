import Celeriac
import FleetSupport
import Testing

extension FaultTests.Load {
    @Test("Ten thousand tasks over two workers all run and all give back their value")
    func manyTasks() async throws {
        try await Fleet.withServers { fleet, _ in
            _ = try await fleet.worker("worker-1", concurrency: 16, prefetch: 200)
            _ = try await fleet.worker("worker-2", concurrency: 16, prefetch: 200)

            let handles = try await concurrently(0..<10_000, width: 200) { number in
                (String(number), try await fleet.work(String(number)).apply())
            }
            let values = try await concurrently(handles, width: 200) { key, handle in
                (key, try await handle.value(within: .seconds(60)))
            }

            #expect(values.allSatisfy { key, value in key == value })
            let runs = fleet.journal.counts("finished")
            #expect(runs.count == 10_000)
            #expect(runs.values.allSatisfy { $0 == 1 }, "nothing was lost, so nothing ran twice")
            #expect(Set(fleet.journal.lines("finished").map(\.pid)).count == 2, "both workers had a part")
        }
    }
}

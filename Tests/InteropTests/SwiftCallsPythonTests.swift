import Celeriac
import FleetSupport
import TestSupport
import Testing

@testable import CeleriacCore

extension InteropTests.SwiftCallsPython {
    struct Greeting: Codable, Sendable, Equatable {
        let text: String
        let length: Int
    }

    static let pools = [["--pool", "solo"], ["--pool", "prefork", "--concurrency", "2"]]

    @Test("Swift's calls run in a Python worker, and their values and failures come back", arguments: pools)
    func calls(_ pool: [String]) async throws {
        try await Fleet.withSharedServers { fleet in
            _ = try await Python.worker(fleet, pool: pool)

            let sum = try await fleet.app.signature("proj.add", 2, 3, returning: Int.self).apply()
            #expect(try await sum.value(within: .seconds(20)) == 5)

            let greeting = try await fleet.app.signature(
                "proj.greet",
                "Ada",
                keywords: ["greeting": "good day"],
                returning: Greeting.self
            ).apply()
            #expect(try await greeting.value(within: .seconds(20)) == Greeting(text: "good day, Ada", length: 3))

            let failing = try await fleet.app.signature("proj.boom", arguments: []).apply()
            let failure = await #expect(throws: TaskFailure.self) { try await failing.value(within: .seconds(20)) }
            #expect(failure?.type == "ValueError")
            #expect(failure?.module == "builtins")
            #expect(failure?.arguments == ["boom", 42])
            #expect(failure?.traceback?.contains("raise ValueError(\"boom\", 42)") == true)
            #expect(try await failing.state() == .failure)

            let later = try await fleet.app.signature("proj.add", 1, 1, returning: Int.self)
                .apply(CallOptions(countdown: .milliseconds(1500), expires: .seconds(60)))
            #expect(try await later.value(within: .seconds(20)) == 2)
        }
    }
}

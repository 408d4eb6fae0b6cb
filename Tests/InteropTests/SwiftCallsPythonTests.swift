import Celeriac
import FleetSupport
import Foundation
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

    @Test("Swift sees the progress, the end and the children of a Python task, and the ends of many")
    func progress() async throws {
        try await Fleet.withSharedServers { fleet in
            _ = try await Python.worker(fleet)
            let path = "\(fleet.directory)/go"
            let handle = try await fleet.app.signature("proj.steps", 4, path, returning: Int.self).apply()
            var progress = handle.progress(within: .seconds(20)).makeAsyncIterator()
            #expect(try await progress.next() == TaskProgress(current: 3, total: 4))
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            #expect(try await progress.next() == nil)
            let records = try await handle.collect(within: .seconds(20))
            #expect(records.map(\.state) == [.success, .success])
            #expect(try records.map { try $0.value(as: Int.self) } == [4, 5])
            #expect(records.last?.parent == handle.id)

            var handles: [TaskHandle<Int>] = []
            for number in 0..<20 {
                handles.append(try await fleet.app.signature("proj.add", number, 0, returning: Int.self).apply())
            }
            var sums: Set<Int> = []
            for try await done in fleet.app.results(of: handles, within: .seconds(20)) {
                sums.insert(try done.value())
            }
            #expect(sums == Set(0..<20))
        }
    }
}

import Celeriac
import FleetSupport
import Foundation
import TestSupport
import Testing

@testable import CeleriacCore

extension InteropTests {
    @Suite("Results by message") struct ByMessage {}
}

extension InteropTests.ByMessage {
    private static func withFleet(_ body: (Fleet) async throws -> Void) async throws {
        let rabbitMQ = try TestServer.require(.rabbitMQ)
        try await Fleet.with(broker: ServerURL(rabbitMQ), results: "rpc://", body)
    }

    @Test("Python with rpc:// gets from a Swift worker what a Python worker would send")
    func pythonCalls() async throws {
        try await Self.withFleet { fleet in
            _ = try await fleet.worker()
            let options: JSONValue = ["queue": .string(fleet.queue.rawValue)]
            let calls: [JSONValue] = [
                ["task": "fleet.add", "args": [2, 3], "options": options],
                ["task": "fleet.echo", "args": [["é": [1, 2.5, nil, true]]], "options": options],
                ["task": "fleet.fail", "args": ["no luck"], "options": options],
                ["task": "fleet.nosuch", "options": options],
                ["task": "fleet.flaky", "args": ["again", 1], "options": options],
            ]
            let answer = try await Python.client("call_all", ["calls": .array(calls)], fleet)
            let outcomes = answer["outcomes"]?.array?.compactMap { $0.object } ?? []
            try #require(outcomes.count == calls.count, "\(answer)\n\(fleet.transcript)")
            #expect(outcomes[0]["value"] == 5)
            #expect(outcomes[1]["value"] == ["é": [1, 2.5, nil, true]])
            #expect(outcomes[2]["state"] == "FAILURE")
            #expect(outcomes[2]["error"] == "FleetError")
            #expect(outcomes[2]["args"] == ["no luck"])
            #expect(outcomes[3]["error"] == "NotRegistered")
            // The RETRY in between is a message of its own.
            #expect(outcomes[4]["value"] == 2)
        }
    }

    @Test("Python with rpc:// sees how far a Swift task is")
    func pythonWatches() async throws {
        try await Self.withFleet { fleet in
            _ = try await fleet.worker()
            let path = "\(fleet.directory)/go"
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            let answer = try await Python.client(
                "messages",
                ["task": "fleet.steps", "args": [4, .string(path)], "queue": .string(fleet.queue.rawValue)],
                fleet
            )
            let states = answer["messages"]?.array?.compactMap { $0.object?["status"]?.string } ?? []
            #expect(states == ["PROGRESS", "SUCCESS"], "\(answer)")
            #expect(answer["value"] == 4)
        }
    }

    @Test("Swift with rpc:// gets what a Python worker sends: values, failures, progress, many at once")
    func swiftCalls() async throws {
        try await Self.withFleet { fleet in
            _ = try await Python.worker(fleet)
            let sum = try await fleet.app.signature("proj.add", 2, 3, returning: Int.self).apply()
            #expect(try await sum.value(within: .seconds(20)) == 5)
            #expect(try await sum.state() == .success)

            let failing = try await fleet.app.signature("proj.boom", arguments: []).apply()
            let failure = await #expect(throws: TaskFailure.self) { try await failing.value(within: .seconds(20)) }
            #expect(failure?.type == "ValueError")
            #expect(failure?.arguments == ["boom", 42])

            let path = "\(fleet.directory)/go"
            let steps = try await fleet.app.signature("proj.steps", 4, path, returning: Int.self).apply()
            var progress = steps.progress(within: .seconds(20)).makeAsyncIterator()
            #expect(try await progress.next() == TaskProgress(current: 3, total: 4))
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            #expect(try await progress.next() == nil)
            #expect(try await steps.value(within: .seconds(20)) == 4)
            // What the task has called answers to the worker, not to us.
            let child = try #require(try await steps.children().first)
            #expect(try await child.state() == .unknown)

            var handles: [TaskHandle<Int>] = []
            for number in 0..<20 {
                handles.append(try await fleet.app.signature("proj.add", number, 0, returning: Int.self).apply())
            }
            var sums: Set<Int> = []
            for try await done in fleet.app.results(of: handles, within: .seconds(20)) { sums.insert(try done.value()) }
            #expect(sums == Set(0..<20))
        }
    }

    @Test("Swift calls Swift with rpc://, and locks are refused rather than pretended")
    func swiftCallsSwift() async throws {
        try await Self.withFleet { fleet in
            _ = try await fleet.worker()
            let sum = fleet.app.signature("fleet.add", 2, 3, returning: Int.self)
            #expect(try await sum.apply().value(within: .seconds(20)) == 5)
            let error = await #expect(throws: CeleriacError.self) {
                try await sum.apply(CallOptions(unique: .refuse))
            }
            #expect(error?.code == .unsupported)
        }
    }

    @Test("A broker that is restarted loses a caller nothing that it kept: the reply queue waits for it")
    func restart() async throws {
        try await ServerPair.with { servers in
            try await Fleet.with(broker: servers.rabbitMQ, results: "rpc://?persistent=true") { fleet in
                _ = try await fleet.worker()
                let sum = fleet.app.signature("fleet.add", 2, 3, returning: Int.self)
                #expect(try await sum.apply().value(within: .seconds(20)) == 5)
                let slow = try await fleet.work("slow", milliseconds: 3000).apply()
                try await servers.end(.rabbitMQ, by: .stop)
                try await servers.start(.rabbitMQ)
                #expect(try await slow.value(within: .seconds(60)) == "slow")
                #expect(try await sum.apply().value(within: .seconds(60)) == 5)
            }
        }
    }
}

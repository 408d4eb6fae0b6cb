import Celeriac
import FleetSupport
import Foundation
import ProcessSupport
import TestSupport
import Testing

@testable import CeleriacCore

extension InteropTests.PythonCallsSwift {
    /// A call that Python makes, and what it gets back.
    struct Call: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let arguments: JSONValue
        let outcome: [String: JSONValue]
    }

    static let calls = [
        Call(
            testDescription: "positional arguments",
            arguments: ["task": "fleet.add", "args": [2, 3]],
            outcome: ["state": "SUCCESS", "value": 5]
        ),
        Call(
            testDescription: "keyword arguments",
            arguments: ["task": "fleet.add", "kwargs": ["y": 40, "x": 2]],
            outcome: ["state": "SUCCESS", "value": 42]
        ),
        Call(
            testDescription: "both kinds",
            arguments: ["task": "fleet.add", "args": [1], "kwargs": ["y": 1]],
            outcome: ["state": "SUCCESS", "value": 2]
        ),
        Call(
            testDescription: "any JSON",
            arguments: ["task": "fleet.echo", "args": [["é": [1, 2.5, nil, true, "\u{1F600}\n"]]]],
            outcome: ["state": "SUCCESS", "value": ["é": [1, 2.5, nil, true, "\u{1F600}\n"]]]
        ),
        Call(
            testDescription: "a failure",
            arguments: ["task": "fleet.fail", "args": ["no luck"]],
            outcome: ["state": "FAILURE", "error": "FleetError", "args": ["no luck"]]
        ),
        Call(
            testDescription: "wrong arguments",
            arguments: ["task": "fleet.add", "args": [1]],
            outcome: ["state": "FAILURE", "error": "TypeError", "module": "builtins"]
        ),
        Call(
            testDescription: "an unknown task",
            arguments: ["task": "fleet.nosuch"],
            outcome: ["state": "FAILURE", "error": "NotRegistered", "args": ["fleet.nosuch"]]
        ),
        Call(
            testDescription: "a countdown, woken when it is done",
            arguments: ["task": "fleet.work", "args": ["later", 100], "countdown": 1.5],
            outcome: ["state": "SUCCESS", "value": "later"]
        ),
        Call(
            testDescription: "expiry in time",
            arguments: ["task": "fleet.add", "args": [1, 1], "expires": 60],
            outcome: ["state": "SUCCESS", "value": 2]
        ),
        Call(
            testDescription: "expiry too late",
            arguments: ["task": "fleet.work", "args": ["expired", 0], "countdown": 2, "expires": 1],
            outcome: ["state": "REVOKED", "error": "TaskRevokedError", "args": ["expired"]]
        ),
    ]

    @Test("Python's calls run in a Swift worker, and get() tells their outcome")
    func calls() async throws {
        try await Fleet.withSharedServers { fleet in
            _ = try await fleet.worker()
            // Two at a time: a Python that starts is a second of work.
            _ = try await concurrently(Self.calls, width: 2) { call in
                guard case .object(var arguments) = call.arguments else { return }
                arguments["queue"] = .string(fleet.queue.rawValue)
                let answer = try await Python.client("send", .object(arguments), fleet)
                for (name, value) in call.outcome {
                    #expect(answer[name] == value, "\(call.testDescription): \(answer)\n\(fleet.transcript)")
                }
            }
            #expect(fleet.journal.counts("started")["expired"] == nil)
        }
    }

    @Test("Python sees the progress, the end and the children of a Swift task")
    func progress() async throws {
        try await Fleet.withSharedServers { fleet in
            _ = try await fleet.worker()
            let path = "\(fleet.directory)/go"
            let handle = try await fleet.app.signature("fleet.steps", 4, path, returning: Int.self).apply()
            let id = JSONValue.string(handle.id.rawValue)
            let running = try await Python.client("watch", ["id": id, "state": "PROGRESS"], fleet)
            #expect(running["state"] == "PROGRESS")
            #expect(running["info"] == ["current": 3, "total": 4])
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            let ended = try await Python.client("watch", ["id": id, "state": "SUCCESS"], fleet)
            #expect(ended["state"] == "SUCCESS")
            #expect(ended["info"] == 4)
            let children = try await handle.children()
            #expect(children.count == 1)
            #expect(ended["children"] == .array(children.map { .string($0.id.rawValue) }))
        }
    }

    @Test("A Swift and a Python program share the default queue")
    func defaultQueue() async throws {
        try await ServerPair.with { servers in
            try await Fleet.with(broker: servers.rabbitMQ, results: servers.redis, queue: .celery) { fleet in
                _ = try await Python.client("declare", ["queue": "celery"], fleet)
                let worker = try await fleet.worker()
                let sum = fleet.app.signature("fleet.add", 2, 3, returning: Int.self)
                #expect(try await sum.apply().value(within: .seconds(20)) == 5)
                _ = try await Python.client("declare", ["queue": "celery"], fleet)
                let answer = try await Python.client("send", ["task": "fleet.add", "args": [20, 22]], fleet)
                #expect(answer["value"] == 42)
                #expect(!worker.errors.contains("exists with other properties"), "\(worker.transcript)")
            }
        }
    }
}

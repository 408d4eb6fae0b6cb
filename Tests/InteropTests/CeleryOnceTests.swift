import Celeriac
import FleetSupport
import Foundation
import ProcessSupport
import TestSupport
import Testing

@testable import CeleriacCore

extension InteropTests {
    /// Swift and Python programs that keep each other's calls out through `celery-once`'s locks.
    @Suite("Locks shared with celery-once") struct SharedLocks {}
}

extension InteropTests.SharedLocks {
    private struct Names: Sendable {
        let task: TaskName
        let function: String
        let policy: UniquePolicy
    }

    private static let once = Names(task: "proj.once", function: "once", policy: .celeryOnce())
    private static let keyed = Names(
        task: "proj.once_keyed",
        function: "once_keyed",
        policy: .celeryOnce(keys: ["key"])
    )
    private static let early = Names(
        task: "proj.once_early",
        function: "once_early",
        policy: .celeryOnce(unlockBeforeRun: true)
    )

    /// A call by a program that has defined the task, and so knows its parameters.
    private func swift(
        _ names: Names,
        _ key: JSONValue,
        _ path: String,
        _ fleet: Fleet,
        _ policy: UniquePolicy? = nil
    ) async throws(CeleriacError) -> TaskHandle<String> {
        let options = TaskOptions(unique: policy ?? names.policy)
        let task = fleet.app.task(names.task, parameters: ["key", "path"], options: options) {
            (key: JSONValue, path: String) in ""
        }
        return try await task.delay(key, path)
    }

    private func python(
        _ names: Names,
        _ key: JSONValue,
        _ path: String,
        _ fleet: Fleet,
        graceful: Bool = false
    ) async throws -> [String: JSONValue] {
        let arguments: JSONValue = [
            "function": .string(names.function), "args": [key, .string(path)], "graceful": .bool(graceful),
        ]
        return try await Python.client("once", arguments, fleet)
    }

    private func locks(_ names: Names, _ fleet: Fleet) async throws -> [HeldLock] {
        try await fleet.app.drivers().locks.locks(matching: "qo_\(names.task)*\(fleet.queue)*", limit: 10)
    }

    @Test("Python refuses what Swift has queued, and Swift what Python has queued, with the remaining time")
    func refusal() async throws {
        try await Fleet.withSharedServers { fleet in
            let key: JSONValue = [.string(fleet.queue.rawValue), 1, 2.5, true, nil, ["b": "it's", "a": [1]]]
            _ = try await swift(Self.once, key, "", fleet)
            let refused = try await python(Self.once, key, "", fleet)
            let seconds = try #require(
                refused["refused"].flatMap { if case .double(let value) = $0 { value } else { nil } }
            )
            #expect(seconds > 3500 && seconds <= 3600)
            let graceful = try await python(Self.once, key, "", fleet, graceful: true)
            #expect(graceful["id"] == .null && graceful["state"] == "REJECTED")

            let other: JSONValue = [.string(fleet.queue.rawValue), "other"]
            let queued = try await python(Self.once, other, "", fleet)
            #expect(queued["id"]?.string != nil)
            for policy in [UniquePolicy.celeryOnce(), .celeryOnce(onConflict: .returnExisting)] {
                let error = await #expect(throws: CeleriacError.self) {
                    try await swift(Self.once, other, "", fleet, policy)
                }
                #expect(error?.code == .alreadyQueued)
                #expect(error?.conflict?.existing == nil)
            }
            let error = await #expect(throws: CeleriacError.self) { try await swift(Self.once, other, "", fleet) }
            let remaining = try #require(error?.conflict?.remaining)
            #expect(remaining > .seconds(500) && remaining <= .seconds(600))
            let ignored = try await swift(Self.once, other, "", fleet, .celeryOnce(onConflict: .ignore))
            #expect(ignored.disposition == .ignored)
        }
    }

    @Test("A Swift worker frees the lock of Python's call when it has ended, a Python worker that of Swift's")
    func ending() async throws {
        try await Fleet.withSharedServers { fleet in
            let key = JSONValue.string(fleet.queue.rawValue)
            let (first, second) = ("\(fleet.directory)/first", "\(fleet.directory)/second")
            let worker = try await fleet.worker()
            let queued = try await python(Self.once, key, first, fleet)
            let id = try #require(queued["id"]?.string)
            try await fleet.journal.contains("started", [id])
            await #expect(throws: CeleriacError.self) { try await swift(Self.once, key, first, fleet) }
            #expect(FileManager.default.createFile(atPath: first, contents: nil))
            try await eventually("the lock is free") { try await locks(Self.once, fleet).isEmpty }
            worker.send(SIGTERM)
            _ = try await worker.wait(within: .seconds(20))

            _ = try await Python.worker(fleet)
            let handle = try await swift(Self.once, key, second, fleet)
            #expect(try await locks(Self.once, fleet).first?.owner == "celeriac:\(handle.id)")
            #expect(try await python(Self.once, key, second, fleet)["refused"] != nil)
            #expect(FileManager.default.createFile(atPath: second, contents: nil))
            #expect(try await handle.value(within: .seconds(20)) == fleet.queue.rawValue)
            try await eventually("the lock is free") { try await locks(Self.once, fleet).isEmpty }
            #expect(try await python(Self.once, key, second, fleet)["id"]?.string != nil)
        }
    }

    @Test("Both sides choose the same arguments by keys")
    func keys() async throws {
        try await Fleet.withSharedServers { fleet in
            let key = JSONValue.string(fleet.queue.rawValue)
            _ = try await swift(Self.keyed, key, "one", fleet)
            #expect(try await python(Self.keyed, key, "two", fleet)["refused"] != nil)
            #expect(try await locks(Self.keyed, fleet).map(\.key) == ["qo_proj.once_keyed_key-\(fleet.queue)"])
        }
    }

    @Test("unlock_before_run frees the lock when the body begins, whichever side runs it")
    func unlockBeforeRun() async throws {
        try await Fleet.withSharedServers { fleet in
            let key = JSONValue.string(fleet.queue.rawValue)
            let path = "\(fleet.directory)/go"
            let worker = try await fleet.worker()
            let queued = try await python(Self.early, key, path, fleet)
            try await fleet.journal.contains("started", [try #require(queued["id"]?.string)])
            #expect(try await locks(Self.early, fleet).isEmpty)
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            worker.send(SIGTERM)
            _ = try await worker.wait(within: .seconds(20))

            try FileManager.default.removeItem(atPath: path)
            let handle = try await swift(Self.early, key, path, fleet)
            #expect(try await locks(Self.early, fleet).count == 1)
            _ = try await Python.worker(fleet)
            try await eventually("the lock is free") { try await locks(Self.early, fleet).isEmpty }
            #expect(try await handle.state() == .pending)
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            #expect(try await handle.value(within: .seconds(20)) == fleet.queue.rawValue)
        }
    }
}

import Celeriac
import FleetSupport
import Foundation
import ProcessSupport
import Redis
import TestSupport
import Testing

@testable import CeleriacCore

extension InteropTests.Results {
    @Test("Children are collected from both sides, and forgetting is mutual")
    func families() async throws {
        try await Fleet.withSharedServers { fleet in
            let ids = (0..<3).map { _ in uniqueTask() }
            for (index, id) in ids.enumerated() {
                let child = index + 1 < ids.count ? [ids[index + 1]] : []
                let value = JSONText.value(.int(Int64(index)))
                try await store(TaskRecord(task: id, state: .success, value: value, at: Date(), children: child), fleet)
            }
            let collected = try await Python.client("collect", ["id": .string(ids[0].rawValue)], fleet)
            let values = ids.enumerated().map { index, id -> JSONValue in [.string(id.rawValue), .int(Int64(index))] }
            #expect(collected["values"] == .array(values))

            let first: JSONValue = [
                "id": .string(ids[0].rawValue), "state": "SUCCESS", "result": "a",
                "request": ["children": [.string(ids[1].rawValue)]],
            ]
            _ = try await Python.client("forget", ["ids": .array(ids.map { .string($0.rawValue) })], fleet)
            for id in ids { #expect(try await fleet.app.handle(id).record() == nil) }
            let second: JSONValue = ["id": .string(ids[1].rawValue), "state": "SUCCESS", "result": "b"]
            _ = try await Python.client("store", ["records": [first, second]], fleet)
            let records = try await fleet.app.handle(ids[0]).collect(within: .seconds(20))
            #expect(try records.map { try $0.value(as: String.self) } == ["a", "b"])
            try await fleet.app.handle(ids[0]).forget()
            let seen = try await look([ids[0]], fleet)
            #expect(seen[0]["state"] == "PENDING")
        }
    }

    @Test("A record that says QUEUED does not end Python's get(), nor its state when the call began")
    func queued() async throws {
        try await Fleet.withSharedServers { fleet in
            let task = uniqueTask()
            var queued = TaskRecord(task: task, state: .queued, value: JSONText.null, at: Date())
            queued.attempt = .none
            try await store(queued, fleet)
            async let got = Python.client("get", ["id": .string(task.rawValue), "timeout": 30], fleet)
            // Python waits by subscribing; what it is to see comes after.
            let channel = "celery-task-meta-\(task)"
            try await eventually(within: .seconds(30), "Python waits") { try await fleet.subscribers(of: channel) == 1 }
            try await store(.started(task), fleet)
            try await store(.success(task, "done"), fleet)
            #expect(try await got["value"] == "done")
        }
    }

    @Test("What Swift's worker stores of a call that Python ignores, and the reverse: nothing")
    func ignored() async throws {
        try await Fleet.withSharedServers { fleet in
            let queue = JSONValue.string(fleet.queue.rawValue)
            let worker = try await fleet.worker(concurrency: 1, prefetch: 1)
            let ignored = try await Python.client(
                "publish",
                ["task": "fleet.work", "args": ["ignored", 0], "queue": queue, "ignore_result": true],
                fleet
            )
            let id = TaskID(try #require(ignored["id"]?.string))
            // One after the other, so that the first is done when the second is.
            #expect(try await fleet.work("kept").apply().value(within: .seconds(20)) == "kept")
            #expect(fleet.journal.counts("finished")["ignored"] == 1)
            #expect(try await fleet.app.handle(id).record() == nil)
            await worker.destroy()

            _ = try await Python.worker(fleet)
            let sum = fleet.app.signature("proj.add", 2, 3, returning: Int.self)
            let unwanted = try await sum.apply(CallOptions(ignoresResult: true))
            #expect(try await sum.apply().value(within: .seconds(20)) == 5)
            #expect(try await unwanted.record() == nil)
        }
    }

    @Test("A Swift error is a Python exception, and a Python exception a Swift error, through workers")
    func typedErrors() async throws {
        try await Fleet.withSharedServers { fleet in
            let worker = try await fleet.worker()
            let queue = JSONValue.string(fleet.queue.rawValue)
            let answer = try await Python.client(
                "send",
                ["task": "fleet.sell", "args": ["tea"], "queue": queue],
                fleet
            )
            #expect(answer["error"] == "OutOfStock", "\(answer)")
            #expect(answer["module"] == "proj")
            #expect(answer["args"] == ["tea", "3"])
            await worker.destroy()

            _ = try await Python.worker(fleet)
            fleet.app.register(error: OutOfStock.self)
            let sale = try await fleet.app.signature("proj.sell", "tea", returning: Int.self).apply()
            await #expect(throws: OutOfStock(article: "tea", left: 3)) { try await sale.value(within: .seconds(20)) }
        }
    }

    @Test("Compressed results and compressed bodies of Python are read, and Swift's compressed results by Python")
    func compression() async throws {
        try await Fleet.withSharedServers { fleet in
            let text = JSONValue.string(String(repeating: "é and more ", count: 500))
            let (python, swift) = (uniqueTask(), uniqueTask())
            let gzip = ["PROJ_RESULT_COMPRESSION": "gzip"]
            let record: JSONValue = ["id": .string(python.rawValue), "state": "SUCCESS", "result": text]
            _ = try await Python.client("store", ["records": [record]], fleet, environment: gzip)
            #expect(try await fleet.app.handle(python).value(within: .seconds(20)) == text)
            // It is a success, although its status does not show.
            let isStored = try await fleet.app.drivers().results.store(
                .failure(python),
                ttl: .seconds(60),
                within: .seconds(20)
            )
            #expect(!isStored)

            let configuration = fleet.app.configuration
            let compressing = TaskApp(
                "compressing",
                configuration: Configuration(
                    brokerURL: configuration.brokerURL,
                    resultBackendURL: configuration.resultBackendURL,
                    resultCompression: .zlib()
                )
            )
            async let got = Python.client("get", ["id": .string(swift.rawValue), "timeout": 30], fleet)
            let channel = "celery-task-meta-\(swift)"
            try await eventually(within: .seconds(30), "Python waits") { try await fleet.subscribers(of: channel) == 1 }
            try await compressing.drivers().results.store(
                .success(swift, text),
                ttl: .seconds(60),
                within: .seconds(20)
            )
            #expect(try await got["value"] == text)
            #expect(try await look([swift], fleet)[0]["result"] == text)
            await compressing.close()

            _ = try await fleet.worker()
            let echoed = try await Python.client(
                "send",
                [
                    "task": "fleet.echo", "args": [text], "compression": "gzip",
                    "queue": .string(fleet.queue.rawValue),
                ],
                fleet
            )
            #expect(echoed["value"] == text)
        }
    }
}

extension Fleet {
    /// How many listen to a channel of the results' Redis.
    fileprivate func subscribers(of channel: String) async throws -> Int {
        let client = RedisClient(RedisConfiguration(try RedisURL(app.configuration.resultBackendURL.secret)))
        let result = await Result { try await client.send(RedisCommand("PUBSUB", "NUMSUB", channel)) }
        await client.close()
        return try result.get().array?.last?.integer ?? 0
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}

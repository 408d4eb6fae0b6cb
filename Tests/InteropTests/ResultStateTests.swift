import Celeriac
import FleetSupport
import Foundation
import TestSupport
import Testing

@testable import CeleriacCore

extension InteropTests {
    /// Records in Redis that one side has written and the other reads.
    @Suite("Results") struct Results {}
}

/// What Python's `proj.OutOfStock` is in Swift.
struct OutOfStock: TaskError, Equatable {
    static let failureModule = "proj"
    var article: String
    var left: Int

    init(article: String, left: Int) { (self.article, self.left) = (article, left) }

    var failureArguments: [JSONValue] { [.string(article), .int(Int64(left))] }

    init?(failureArguments: [JSONValue]) {
        guard failureArguments.count == 2, let article = failureArguments[0].string,
            case .int(let left) = failureArguments[1]
        else { return nil }
        self.init(article: article, left: Int(left))
    }
}

extension InteropTests.Results {
    private static let values: [JSONValue] = [
        nil, true, 42, -1.5, 9_007_199_254_740_993, "é \u{1F600} \"\n", [1, [2.5, nil], []], ["é": ["k": false]], [:],
        "", .double(.infinity),
    ]

    func store(_ record: TaskRecord, _ fleet: Fleet) async throws {
        try await fleet.app.drivers().results.store(record, ttl: .seconds(600), within: .seconds(20))
    }

    func look(_ tasks: [TaskID], _ fleet: Fleet) async throws -> [[String: JSONValue]] {
        let ids = JSONValue.array(tasks.map { .string($0.rawValue) })
        let answer = try await Python.client("look", ["ids": ids], fleet)
        let results = answer["results"]?.array?.compactMap { $0.object } ?? []
        try #require(results.count == tasks.count, "\(answer)\n\(fleet.transcript)")
        return results
    }

    @Test("Python reads every kind of value that Swift wrote")
    func valuesForPython() async throws {
        try await Fleet.withSharedServers { fleet in
            var tasks: [TaskID] = []
            for value in Self.values {
                tasks.append(uniqueTask())
                try await store(.success(tasks[tasks.count - 1], value), fleet)
            }
            for (value, seen) in zip(Self.values, try await look(tasks, fleet)) {
                #expect(seen["result"] == value)
                #expect(seen["state"] == "SUCCESS")
                #expect(seen["successful"] == true)
            }
        }
    }

    @Test("Python reads every state that Swift wrote, with all that is told of it")
    func statesForPython() async throws {
        try await Fleet.withSharedServers { fleet in
            let now = Date(timeIntervalSince1970: 1_800_000_000.25)
            let (ids, relatives) = ((0..<8).map { _ in uniqueTask() }, (0..<3).map { _ in uniqueTask() })
            let call = TaskRecord.Call(
                name: "shop.sell",
                arguments: [1, ["x"]],
                keywords: ["k": nil],
                worker: "w1@host",
                retries: 2,
                queue: "sales"
            )
            let boom = TaskFailure(
                type: "ValueError",
                arguments: ["boom", 42],
                module: "builtins",
                traceback: "Traceback: ValueError"
            )
            let records = [
                TaskRecord(
                    task: ids[0],
                    state: .success,
                    value: JSONText.value(7),
                    at: now,
                    group: "g1",
                    parent: relatives[0],
                    children: Array(relatives[1...]),
                    call: call
                ),
                TaskRecord(task: ids[1], state: .failure, failure: boom, at: now),
                TaskRecord(task: ids[2], state: .failure, failure: TaskFailure(CocoaError(.fileNoSuchFile)), at: now),
                TaskRecord(
                    task: ids[3],
                    state: .failure,
                    failure: TaskFailure(OutOfStock(article: "tea", left: 3)),
                    at: now
                ),
                TaskRecord(task: ids[4], state: .retry, failure: boom, at: now),
                TaskRecord(task: ids[5], state: .revoked, failure: .expired, at: now),
                TaskRecord(task: ids[6], state: .queued, value: JSONText.null, at: now),
                TaskRecord(task: ids[7], state: TaskState("UPLOADING"), value: JSONText.value(["to": "x"]), at: now),
            ]
            for record in records { try await store(record, fleet) }
            let seen = try await look(ids, fleet)
            #expect(seen.map { $0["state"] } == records.map { .string($0.state.rawValue) })
            #expect(seen.map { $0["ready"] } == records.map { .bool($0.state.isFinal) })
            #expect(seen.map { $0["failed"] == true } == records.map { $0.state == .failure })
            for (record, seen) in zip(records, seen) {
                #expect((seen["date_done"] != .null) == record.state.isFinal)
                if case .int(let ttl)? = seen["ttl"], (500...600).contains(ttl) { continue }
                Issue.record("no time to live, or a strange one: \(seen)")
            }
            #expect(seen[0]["date_done"] == "2027-01-15T08:00:00.250000+00:00")
            #expect(seen[0]["children"] == .array(relatives[1...].map { .string($0.rawValue) }))
            #expect(seen[0]["parent_id"] == .string(relatives[0].rawValue))
            #expect(seen[0]["group_id"] == "g1")
            #expect(seen[0]["name"] == "shop.sell")
            #expect(seen[0]["args"] == [1, ["x"]])
            #expect(seen[0]["kwargs"] == ["k": nil])
            #expect(seen[0]["worker"] == "w1@host")
            #expect(seen[0]["retries"] == 2)
            #expect(seen[0]["queue"] == "sales")
            #expect(seen[1]["error"] == "ValueError")
            #expect(seen[1]["module"] == "builtins")
            #expect(seen[1]["error_args"] == ["boom", 42])
            #expect(seen[1]["traceback"] == "Traceback: ValueError")
            #expect(seen[2]["error"] == "CocoaError")
            // A class that Python has, with its arguments.
            #expect(seen[3]["error"] == "OutOfStock")
            #expect(seen[3]["module"] == "proj")
            #expect(seen[3]["error_args"] == ["tea", 3])
            #expect(seen[4]["error"] == "ValueError")
            #expect(seen[5]["error"] == "TaskRevokedError")
            #expect(seen[5]["module"] == "celery.exceptions")
            #expect(seen[6]["result"] == .null)
            #expect(seen[7]["result"] == ["to": "x"])
        }
    }

    @Test("Swift reads every kind of value that Python wrote")
    func valuesForSwift() async throws {
        try await Fleet.withSharedServers { fleet in
            let tasks = Self.values.map { _ in uniqueTask() }
            let records = zip(tasks, Self.values).map { task, value -> JSONValue in
                ["id": .string(task.rawValue), "state": "SUCCESS", "result": value]
            }
            _ = try await Python.client("store", ["records": .array(records)], fleet)
            for (task, value) in zip(tasks, Self.values) {
                let handle = fleet.app.handle(task, returning: JSONValue.self)
                #expect(try await handle.value(within: .seconds(20)) == value)
            }

            struct Special: Decodable, Equatable {
                let date: Date
                let uuid: UUID
                let octets: Data
                let number: String
            }
            let special = uniqueTask()
            _ = try await Python.client("store_special", ["id": .string(special.rawValue)], fleet)
            let value = try #require(try await fleet.app.handle(special).record()).value(as: Special.self)
            #expect(value.date == Date(timeIntervalSince1970: 1_767_323_045))
            #expect(value.uuid.uuidString == "12345678-1234-5678-1234-567812345678")
            #expect(value.octets == Data([0xFF, 0xFE]))
            #expect(value.number == "1.10")
        }
    }

    @Test("Swift reads every state that Python wrote, with all that is told of it")
    func statesForSwift() async throws {
        try await Fleet.withSharedServers { fleet in
            let (ids, relatives) = ((0..<7).map { _ in uniqueTask() }, (0..<3).map { _ in uniqueTask() })
            func record(_ index: Int, _ state: String, _ more: [String: JSONValue]) -> JSONValue {
                .object(more.merging(["id": .string(ids[index].rawValue), "state": .string(state)]) { $1 })
            }
            func error(_ type: String, _ arguments: JSONValue) -> [String: JSONValue] {
                ["error": ["type": .string(type), "args": arguments]]
            }
            let request: JSONValue = [
                "task": "proj.add", "args": [1, 2], "kwargs": ["k": nil], "hostname": "w1@host", "retries": 1,
                "delivery_info": ["routing_key": "sales"], "group": "g1",
                "parent_id": .string(relatives[0].rawValue),
                "children": .array(relatives[1...].map { .string($0.rawValue) }),
            ]
            let failed = error("ValueError", ["boom", 42]).merging(["traceback": "Traceback: ValueError"]) { $1 }
            let records: [JSONValue] = [
                record(0, "SUCCESS", ["result": 7, "request": request]),
                record(1, "FAILURE", failed),
                record(2, "FAILURE", error("OutOfStock", ["tea", 3])),
                record(3, "RETRY", error("ValueError", ["again"])),
                record(4, "REVOKED", error("TaskRevokedError", ["terminated"])),
                record(5, "STARTED", ["result": ["pid": 1, "hostname": "w1@host"]]),
                record(6, "PROGRESS", ["result": ["current": 3, "total": 10]]),
            ]
            _ = try await Python.client(
                "store",
                ["records": .array(records)],
                fleet,
                environment: ["PROJ_RESULT_EXTENDED": "1"]
            )
            fleet.app.register(error: OutOfStock.self)
            var read: [TaskRecord] = []
            for id in ids { read.append(try #require(try await fleet.app.handle(id).record())) }
            #expect(read.map(\.state) == [.success, .failure, .failure, .retry, .revoked, .started, .progress])
            #expect(read.map { $0.dateDone != nil } == read.map(\.state.isFinal))
            #expect(abs(try #require(read[0].dateDone).timeIntervalSinceNow) < 60)
            #expect(read[0].parent == relatives[0])
            #expect(read[0].group == "g1")
            #expect(read[0].children == Array(relatives[1...]))
            let call = try #require(read[0].call)
            #expect(call.name == "proj.add")
            #expect(call.arguments == [1, 2])
            #expect(call.keywords == ["k": nil])
            #expect(call.worker == "w1@host")
            #expect(call.retries == 1)
            #expect(call.queue == "sales")
            #expect(
                read[1].failure
                    == TaskFailure(
                        type: "ValueError",
                        arguments: ["boom", 42],
                        module: "builtins",
                        traceback: "Traceback: ValueError"
                    )
            )
            // Registered, so that it comes as what it is.
            await #expect(throws: OutOfStock(article: "tea", left: 3)) {
                try await fleet.app.handle(ids[2]).value(within: .seconds(20))
            }
            #expect(read[3].failure?.arguments == ["again"])
            #expect(read[4].failure?.type == "TaskRevokedError")
            #expect(try read[5].value(as: JSONValue.self) == ["pid": 1, "hostname": "w1@host"])
            #expect(try read[6].value(as: TaskProgress.self) == TaskProgress(current: 3, total: 10))
        }
    }
}

import CeleriacCore
import FoundationEssentials
import TestSupport
import Testing

private struct Whole: TaskError, Codable, Equatable {
    var reason: String
    var code: Int
}

private struct Parts: TaskError, Equatable {
    static let failureType = "Errors.Parts"
    static let failureModule = "shop.errors"
    var reason: String

    init(reason: String) { self.reason = reason }

    var failureArguments: [JSONValue] { [.string(reason)] }

    init?(failureArguments: [JSONValue]) {
        guard failureArguments.count == 1, let reason = failureArguments[0].string else { return nil }
        self.reason = reason
    }
}

@Suite("Task errors")
struct TaskErrorTests {
    private func app(_ results: any ResultBackend) -> TaskApp {
        TaskApp("errors", configuration: Configuration()) { _ in
            Drivers(broker: MemoryBroker(), results: results, locks: MemoryLockStore(), schedule: MemoryScheduleStore())
        }
    }

    @Test("An error says how it is recorded")
    func recorded() {
        let parts = TaskFailure(Parts(reason: "why"))
        #expect(parts.type == "Errors.Parts")
        #expect(parts.module == "shop.errors")
        #expect(parts.arguments == ["why"])
        let whole = TaskFailure(Whole(reason: "why", code: 7))
        #expect(whole.type == "Whole")
        #expect(whole.module == "swift")
        #expect(whole.arguments == [["reason": "why", "code": 7]])
    }

    @Test("A registered error is thrown as what it is; one that does not fit, or is not registered, as a failure")
    func thrown() async throws {
        let results = MemoryResultBackend()
        let app = app(results)
        func outcome(_ failure: TaskFailure) async throws -> any Error {
            let task = uniqueTask()
            let record = TaskRecord(task: task, state: .failure, failure: failure, at: Date())
            try await results.store(record, ttl: .seconds(60), within: .seconds(1))
            return try #require(
                await #expect(throws: (any Error).self) { try await app.handle(task).value(within: .zero) }
            )
        }
        let whole = TaskFailure(Whole(reason: "why", code: 7))
        #expect(try await outcome(whole) is TaskFailure)
        app.register(error: Whole.self)
        app.register(error: Parts.self)
        #expect(try await outcome(whole) as? Whole == Whole(reason: "why", code: 7))
        #expect(try await outcome(TaskFailure(Parts(reason: "x"))) as? Parts == Parts(reason: "x"))
        var other = whole
        other.arguments = ["text"]
        #expect(try await outcome(other) as? TaskFailure == other)
        other.module = nil
        #expect(try await outcome(other) is TaskFailure)
    }

    @Test("An extended record tells of its call, others do not")
    func call() throws {
        var message = TaskMessage(id: "t", task: "shop.sell", body: Array(#"[[1, "x"], {"k": null}, {}]"#.utf8))
        message.retries = 2
        let call = TaskRecord.Call(message, worker: "w@host", queue: "sales")
        #expect(call.arguments == [1, "x"])
        #expect(call.keywords == ["k": nil])
        let record = TaskRecord(task: "t", state: .success, value: JSONText.null, at: Date(), call: call)
        #expect(try TaskRecord(document: record.document).call == call)
        #expect(TaskRecord.success("t").call == nil)
        message.body = Array("damaged".utf8)
        #expect(TaskRecord.Call(message, worker: "w@host", queue: "sales").arguments.isEmpty)
    }
}

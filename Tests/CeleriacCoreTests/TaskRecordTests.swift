import CeleriacCore
import FoundationEssentials
import Testing

@Suite("Result documents")
struct TaskRecordTests {
    private let task: TaskID = "956aeb9c-d3c3-45a6-be9b-498fe67876f7"
    private let instant = Date(timeIntervalSince1970: 1_795_160_178.554982)

    private func read(_ text: String) throws -> TaskRecord { try TaskRecord(document: Array(text.utf8)) }
    private func text(_ record: TaskRecord) -> String { String(decoding: record.document, as: UTF8.self) }

    @Test("Writes a success byte for byte as Celery does")
    func success() {
        let record = TaskRecord(task: task, state: .success, value: Array("5".utf8), at: instant)
        #expect(
            text(record) == """
                {"status": "SUCCESS", "result": 5, "traceback": null, "children": [], \
                "date_done": "2026-11-20T07:36:18.554982+00:00", "task_id": "956aeb9c-d3c3-45a6-be9b-498fe67876f7"}
                """
        )
        #expect(record.dateDone == instant)
        #expect(record.failure == nil)
    }

    @Test("Writes group and parent before the task id, which is last")
    func groupAndParent() {
        let record = TaskRecord(
            task: task,
            state: .success,
            value: Array("null".utf8),
            at: instant,
            group: "g",
            parent: "p"
        )
        #expect(
            text(record).hasSuffix(
                #", "group_id": "g", "parent_id": "p", "task_id": "956aeb9c-d3c3-45a6-be9b-498fe67876f7"}"#
            )
        )
    }

    @Test("Writes a failure with type, arguments and module")
    func failure() {
        let failure = TaskFailure(type: "ValueError", arguments: ["boom", 42], module: "builtins", traceback: "T\n")
        let record = TaskRecord(task: task, state: .failure, failure: failure, at: instant)
        #expect(
            text(record) == """
                {"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": ["boom", 42], \
                "exc_module": "builtins"}, "traceback": "T\\n", "children": [], \
                "date_done": "2026-11-20T07:36:18.554982+00:00", "task_id": "956aeb9c-d3c3-45a6-be9b-498fe67876f7"}
                """
        )
    }

    @Test(
        "Dates only the states that are final",
        arguments: [
            (.started, false), (.success, true), (.failure, true), (.retry, false), (.revoked, true),
            (TaskState("PROGRESS"), false),
        ] as [(TaskState, Bool)]
    )
    func dates(_ state: TaskState, _ isDated: Bool) throws {
        let record = TaskRecord(task: task, state: state, value: Array("{}".utf8), at: instant)
        #expect((record.dateDone != nil) == isDated)
        #expect(text(record).contains(#""date_done": null"#) == !isDated)
        #expect(state.isFinal == isDated)
    }

    @Test(
        "Reads back what it wrote, in every state",
        arguments: [.started, .success, .failure, .retry, .revoked, TaskState("PROGRESS")] as [TaskState]
    )
    func roundTrip(_ state: TaskState) throws {
        let failure = TaskFailure(type: "E", arguments: ["a \"b\"\n", nil, [1]], module: nil, traceback: "line\nline")
        let record =
            state.isError
            ? TaskRecord(task: task, state: state, failure: failure, at: instant, group: "g", parent: "p")
            : TaskRecord(
                task: task,
                state: state,
                value: Array(#"{"x": [1]}"#.utf8),
                at: instant,
                group: "g",
                parent: "p"
            )
        let again = try TaskRecord(document: record.document)
        #expect(again.task == record.task)
        #expect(again.state == state)
        #expect(again.failure == record.failure)
        #expect(again.group == "g")
        #expect(again.parent == "p")
        #expect((again.dateDone != nil) == (record.dateDone != nil))
        #expect(again.document == record.document)
    }

    @Test("Reads a document with the extended fields and stamps")
    func extended() throws {
        let record = try read(
            """
            {"status": "SUCCESS", "result": 7, "traceback": null, "children": [[["2bb43b27", null], null]],
             "date_done": "2026-11-20T07:36:18+00:00", "name": "proj.add", "args": [3, 4], "kwargs": {},
             "worker": "w1@vm", "retries": 0, "queue": "celery", "stamped_headers": ["t"], "t": "x", "task_id": "4517"}
            """
        )
        #expect(record.task == "4517")
        #expect(try record.value(as: Int.self) == 7)
    }

    @Test("Reads a document with nothing but the required fields")
    func minimal() throws {
        let record = try read(#"{"status": "PROGRESS", "task_id": "t"}"#)
        #expect(record.state == TaskState("PROGRESS"))
        #expect(record.group == nil && record.parent == nil && record.dateDone == nil && record.failure == nil)
    }

    @Test(
        "Reads every form of an exception's arguments",
        arguments: [
            (#"["boom", 42]"#, ["boom", 42]), (#""boom""#, ["boom"]), ("[]", []), ("null", []),
            (#"{"a": 1}"#, [["a": 1]]), (#"[["nested"]]"#, [["nested"]]),
        ] as [(String, [JSONValue])]
    )
    func exceptionArguments(_ message: String, _ arguments: [JSONValue]) throws {
        let record = try read(
            """
            {"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": \(message),
             "exc_module": "builtins"}, "traceback": "Traceback", "children": null, "date_done": null, "task_id": "t"}
            """
        )
        #expect(
            record.failure
                == TaskFailure(type: "ValueError", arguments: arguments, module: "builtins", traceback: "Traceback")
        )
    }

    @Test("Reads an exception without module or message")
    func bareException() throws {
        let record = try read(
            #"{"status": "RETRY", "result": {"exc_type": "KeyError", "exc_module": null}, "task_id": "t"}"#
        )
        #expect(record.failure == TaskFailure(type: "KeyError", arguments: [], module: nil))
    }

    @Test(
        "Tells a failure even when its result is no exception",
        arguments: [("null", nil), ("\"text\"", "text"), ("[1]", [1]), (#"{"done": 3}"#, ["done": 3])]
            as [(String, JSONValue)]
    )
    func oddFailure(_ result: String, _ argument: JSONValue) throws {
        let record = try read(#"{"status": "FAILURE", "result": \#(result), "traceback": "T", "task_id": "t"}"#)
        let failure = try #require(record.failure)
        #expect(failure.arguments == (argument == .null ? [] : [argument]))
        #expect(failure.traceback == "T")
    }

    @Test(
        "Takes a success's value for a value, whatever it looks like",
        arguments: [
            #"{"exc_type": 5}"#, #"{"exc_type": "ValueError", "exc_message": ["x"]}"#, "[]", "\"text\"", "null", "1.5",
            "true", #"[["id", null], null]"#,
        ]
    )
    func oddSuccess(_ result: String) throws {
        let record = try read(#"{"status": "SUCCESS", "result": \#(result), "task_id": "t"}"#)
        #expect(record.failure == nil)
        let expected = try PayloadCoding.decode(JSONValue.self, from: Array(result.utf8))
        #expect(try record.value(as: JSONValue.self) == expected)
    }

    @Test("Gives the value in the type asked for, or says what it is not")
    func value() throws {
        let record = TaskRecord(task: task, state: .success, value: Array("[1, null]".utf8), at: instant)
        #expect(try record.value(as: [Int?].self) == [1, nil])
        let error = #expect(throws: CeleriacError.self) { try record.value(as: String.self) }
        #expect(error?.code == .undecodable)
        #expect(error?.message.contains(task.rawValue) == true)
        let null = TaskRecord(task: task, state: .success, value: JSONText.null, at: instant)
        #expect(try null.value(as: Int?.self) == nil)
    }

    @Test(
        "Refuses what is no result document",
        arguments: [
            "", "{}", "[]", "null", #"{"status": "SUCCESS"}"#, #"{"status": 1, "task_id": "t"}"#, "{\"status\"",
        ]
    )
    func malformed(_ text: String) {
        let error = #expect(throws: CeleriacError.self) { try read(text) }
        #expect(error?.code == .undecodable)
    }
}

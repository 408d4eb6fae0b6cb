import FoundationEssentials
import Testing

@testable import CeleriacCore

@Suite("Task messages") struct TaskMessageTests {
    private static let when = Date(timeIntervalSince1970: 1_795_160_182.5)

    private static func headers(_ changes: MessageHeaders = [:]) -> MessageHeaders {
        var headers: MessageHeaders = ["task": "proj.add", "id": "an-id"]
        for change in changes { headers[change.name] = change.value }
        return headers
    }

    private static func decoded(_ changes: MessageHeaders = [:]) throws -> TaskMessage {
        try TaskMessage(decoding: Message(headers: headers(changes), body: []))
    }

    @Test("Sends every header, null included, in Celery's order")
    func allHeaders() {
        let message = TaskMessage(id: "an-id", task: "proj.add", body: []).encoded()
        #expect(
            message.headers == [
                "lang": "swift", "task": "proj.add", "id": "an-id", "shadow": nil, "eta": nil, "expires": nil,
                "group": nil, "group_index": nil, "retries": 0, "timelimit": [nil, nil], "root_id": "an-id",
                "parent_id": nil, "argsrepr": nil, "kwargsrepr": nil, "origin": nil, "ignore_result": nil,
                "replaced_task_nesting": 0, "stamped_headers": nil, "stamps": .table([:]),
            ]
        )
    }

    @Test("Sends what is set in Celery's types, hard limit first, own headers last")
    func values() {
        var task = TaskMessage(id: "an-id", task: "proj.add", body: [1])
        task.shadow = "shown"
        task.eta = Self.when
        task.expires = Self.when.addingTimeInterval(0.5)
        task.group = "g"
        task.groupIndex = 3
        task.retries = 2
        task.timeLimits = .init(hard: .seconds(60), soft: .milliseconds(1500))
        task.root = "root"
        task.parent = "parent"
        task.argumentsText = "(2, 3)"
        task.keywordsText = "{}"
        task.origin = "gen1@host"
        task.ignoresResult = false
        task.headers = ["mine": 1]
        task.replyTo = "reply"
        task.priority = 4
        let message = task.encoded(expiration: .seconds(3))
        #expect(message.headers["shadow"] == "shown")
        #expect(message.headers["eta"] == "2026-11-20T07:36:22.500000+00:00")
        #expect(message.headers["expires"] == "2026-11-20T07:36:23+00:00")
        #expect(message.headers["group_index"] == 3)
        #expect(message.headers["retries"] == 2)
        #expect(message.headers["timelimit"] == [60, 1.5])
        #expect(message.headers["root_id"] == "root")
        #expect(message.headers["parent_id"] == "parent")
        #expect(message.headers["ignore_result"] == false)
        #expect(message.headers.last?.name == "mine")
        #expect(message.correlationID == "an-id")
        #expect(message.replyTo == "reply")
        #expect(message.priority == 4)
        #expect(message.isPersistent)
        #expect(message.contentType == "application/json")
        #expect(message.contentEncoding == "utf-8")
        #expect(message.expiration == .seconds(3))
        #expect(message.body == [1])
    }

    @Test("Reads back what it sent, with headers it does not know")
    func roundTrip() throws {
        var task = TaskMessage(id: "an-id", task: "proj.add", body: [1])
        task.eta = Self.when
        task.group = "g"
        task.groupIndex = 0
        task.retries = 1
        task.timeLimits = .init(hard: .seconds(60), soft: .seconds(30))
        task.stampedHeaders = ["t"]
        task.stamps = .table(["t": "x"])
        task.compression = "application/x-gzip"
        task.headers = ["mine": ["a", nil], "theirs": .table(["b": .octets([255])])]
        task.replyTo = "reply"
        #expect(try TaskMessage(decoding: task.encoded()) == task)
    }

    @Test("An id too long for a property stays in the headers")
    func longID() throws {
        let id = TaskID(String(repeating: "x", count: 256))
        let message = TaskMessage(id: id, task: "t", body: []).encoded()
        #expect(message.correlationID == nil)
        #expect(try TaskMessage(decoding: message).id == id)
    }

    @Test("Missing headers count as null")
    func missing() throws {
        let task = try Self.decoded()
        #expect(task.root == "an-id")
        #expect(task.retries == 0)
        #expect(task.ignoresResult == nil)
        #expect(task.timeLimits == .init())
        #expect(task.eta == nil)
        #expect(task.headers.isEmpty)
    }

    @Test(
        "Null and values of another type count as missing",
        arguments: [
            "lang", "shadow", "group", "group_index", "retries", "timelimit", "root_id", "parent_id", "argsrepr",
            "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting", "compression",
        ]
    )
    func wrongTypes(_ name: String) throws {
        var bare = try Self.decoded()
        bare.language = ""
        for value in [nil, .octets([1]), .table([:]), .double(.nan)] as [HeaderValue] {
            var task = try Self.decoded([name: value] as MessageHeaders)
            task.language = ""
            #expect(task == bare)
        }
    }

    @Test(
        "Hostile numbers are bounded",
        arguments: [.int(.max), .int(.min), .double(1e308), .double(-1e308), .double(.infinity), .double(.nan)]
            as [HeaderValue]
    )
    func hostileNumbers(_ value: HeaderValue) throws {
        let task = try Self.decoded([
            "retries": value, "group_index": value, "replaced_task_nesting": value, "timelimit": [value, value],
        ])
        #expect((0...Int(Int32.max)).contains(task.retries))
        #expect(task.timeLimits.hard == nil)
        let context = TaskContext(message: task, queue: "q", isRedelivered: false, deadline: nil, logger: .silent)
        #expect(context.attempt >= 1)
        var generator = SystemRandomNumberGenerator()
        _ = RetryPolicy.exponential(attempts: .max).delay(afterRetries: task.retries, using: &generator)
        _ = task.encoded()
    }

    @Test("Limits of zero mean none", arguments: [0, 0.0, -1] as [HeaderValue])
    func zeroLimits(_ value: HeaderValue) throws {
        #expect(try Self.decoded(["timelimit": [value, 5]]).timeLimits == .init(soft: .seconds(5)))
        #expect(try Self.decoded(["timelimit": [value]]).timeLimits == .init())
    }

    @Test(
        "A message without a name or an id, or with a time that is none, is no task",
        arguments: [
            ["task": 7], ["task": ""], ["task": nil], ["id": nil], ["id": ""], ["id": 7], ["eta": "soon"], ["eta": 5],
            ["expires": "2026-13-01T00:00:00"], ["expires": .double(.nan)],
        ] as [MessageHeaders]
    )
    func defects(_ changes: MessageHeaders) {
        #expect(throws: MessageDefect.self) { try Self.decoded(changes) }
    }

    @Test("The broker's record of dead-lettering does not travel on")
    func deadLetterHeaders() throws {
        let task = try Self.decoded([
            "x-death": [.table(["queue": "celery_delayed_1"])], "x-first-death-queue": "a", "x-last-death-reason": "b",
            "x-deathly": "kept",
        ])
        #expect(task.headers == ["x-deathly": "kept"])
    }
}

@Suite("Task messages of protocol 1") struct Protocol1Tests {
    private static func decoded(
        _ body: String,
        contentType: String? = "application/json"
    ) throws -> TaskMessage {
        try TaskMessage(decoding: Message(contentType: contentType, headers: [:], body: Array(body.utf8)))
    }

    private static func body(_ members: String = #""callbacks": null"#) -> String {
        #"""
        {"task": "proj.add", "id": "62f8", "args": [1, "it's"], "kwargs": {"z": true},
         "group": null, "group_index": null, "retries": 1,
         "eta": "2026-11-20T07:42:03.153163+00:00", "expires": null, "utc": true,
         "errbacks": null, "timelimit": [null, 2.5], "taskset": "the-group", "chord": null,
        """# + " \(members)}"
    }

    @Test("Reads a captured message")
    func captured() throws {
        let task = try Self.decoded(Self.body())
        #expect(task.id == "62f8")
        #expect(task.task == "proj.add")
        #expect(task.root == "62f8")
        #expect(task.retries == 1)
        #expect(task.group == "the-group")
        #expect(task.timeLimits == .init(soft: .milliseconds(2500)))
        #expect(task.eta == WireTime.date(from: "2026-11-20T07:42:03.153163+00:00"))
        #expect(task.argumentsText == #"(1, "it's")"#)
        #expect(task.keywordsText == "{'z': True}")
        #expect(String(decoding: task.body, as: UTF8.self) == #"[[1, "it's"], {"z": true}, {}]"#)
    }

    @Test(
        "Links, missing names and other bodies are refused",
        arguments: [
            body(#""callbacks": [{"task": "proj.add"}]"#), #"{"task": "", "id": "x"}"#, #"{"task": "t", "id": ""}"#,
            #"{"task": "t"}"#, #"{"id": "x"}"#, #"[[], {}, {}]"#, "7", "", "{",
            #"{"task": "t", "id": "x", "eta": "soon"}"#, #"{"task": "t", "id": "x", "chord": {"task": "u"}}"#,
        ]
    )
    func refused(_ body: String) {
        #expect(throws: MessageDefect.self) { try Self.decoded(body) }
    }

    @Test("Another content type than JSON is refused unread")
    func contentType() {
        #expect(throws: MessageDefect.self) {
            try Self.decoded(Self.body(), contentType: "application/x-python-serialize")
        }
    }

    @Test("Hostile numbers are bounded", arguments: ["0", "-1", "1e308", "1e20", "9e15"])
    func hostile(_ number: String) throws {
        let task = try Self.decoded(
            #"{"task": "t", "id": "x", "retries": 9223372036854775807, "timelimit": [\#(number), \#(number)]}"#
        )
        #expect(task.timeLimits == .init())
        #expect(task.retries == Int(Int32.max))
        _ = task.encoded()
    }
}

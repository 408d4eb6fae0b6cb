import CeleriacCore
import CeleriacWorker
import Testing

@Suite("Messages that cannot run", .timeLimit(.minutes(1))) struct BadMessageTests {
    struct Sample: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let reason: HeaderValue
        let failure: String
        var message: Message
    }

    static func message(
        task: String = "add",
        body: String = #"[[1, 2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]"#,
        headers: MessageHeaders = [:],
        contentType: String? = "application/json"
    ) -> Message {
        var all: MessageHeaders = ["task": .string(task), "id": "some-id"]
        for header in headers { all[header.name] = header.value }
        return Message(contentType: contentType, headers: all, body: Array(body.utf8))
    }

    static let samples: [Sample] = [
        Sample(
            testDescription: "not JSON",
            reason: "malformed",
            failure: "InvalidTaskError",
            message: message(body: "[[1, 2")
        ),
        Sample(
            testDescription: "an object",
            reason: "malformed",
            failure: "InvalidTaskError",
            message: message(body: #"{"x": 1}"#)
        ),
        Sample(
            testDescription: "a number",
            reason: "malformed",
            failure: "InvalidTaskError",
            message: message(body: "7")
        ),
        Sample(testDescription: "empty", reason: "malformed", failure: "InvalidTaskError", message: message(body: "")),
        Sample(
            testDescription: "args not a list",
            reason: "malformed",
            failure: "InvalidTaskError",
            message: message(body: "[1, {}, {}]")
        ),
        Sample(
            testDescription: "kwargs not an object",
            reason: "malformed",
            failure: "InvalidTaskError",
            message: message(body: "[[1, 2], [], {}]")
        ),
        Sample(
            testDescription: "too deep",
            reason: "malformed",
            failure: "InvalidTaskError",
            message: message(body: String(repeating: "[", count: 50_000))
        ),
        Sample(
            testDescription: "not UTF-8",
            reason: "malformed",
            failure: "InvalidTaskError",
            message: {
                var m = message(); m.body = [0xFF, 0xFE, 0x00]; return m
            }()
        ),
        Sample(
            testDescription: "too few arguments",
            reason: "wrong-arguments",
            failure: "TypeError",
            message: message(body: "[[1], {}, {}]")
        ),
        Sample(
            testDescription: "too many arguments",
            reason: "wrong-arguments",
            failure: "TypeError",
            message: message(body: "[[1, 2, 3], {}, {}]")
        ),
        Sample(
            testDescription: "a wrong type",
            reason: "wrong-arguments",
            failure: "TypeError",
            message: message(body: #"[[1, "two"], {}, {}]"#)
        ),
        Sample(
            testDescription: "an unknown keyword",
            reason: "wrong-arguments",
            failure: "TypeError",
            message: message(body: #"[[1, 2], {"z": 1}, {}]"#)
        ),
        Sample(
            testDescription: "unknown task",
            reason: "unknown-task",
            failure: "NotRegistered",
            message: message(task: "nobody.knows")
        ),
        Sample(
            testDescription: "pickle",
            reason: "unsupported",
            failure: "InvalidTaskError",
            message: message(contentType: "application/x-python-serialize")
        ),
        Sample(
            testDescription: "no content type",
            reason: "unsupported",
            failure: "InvalidTaskError",
            message: message(contentType: nil)
        ),
        Sample(
            testDescription: "compressed by an unknown method",
            reason: "unsupported",
            failure: "InvalidTaskError",
            message: message(headers: ["compression": "application/x-bz2"])
        ),
        Sample(
            testDescription: "compressed data that is none",
            reason: "malformed",
            failure: "InvalidTaskError",
            message: message(headers: ["compression": "application/x-gzip"])
        ),
        Sample(
            testDescription: "an eta that is no time",
            reason: "malformed",
            failure: "InvalidTaskError",
            message: message(headers: ["eta": "soon"])
        ),
        Sample(
            testDescription: "a chain, which would be skipped",
            reason: "unsupported",
            failure: "InvalidTaskError",
            message: message(body: #"[[1, 2], {}, {"chain": [{"task": "add"}]}]"#)
        ),
        Sample(
            testDescription: "larger than the limit",
            reason: "too-large",
            failure: "InvalidTaskError",
            message: message(body: "[[1, 2], {}, {}" + String(repeating: " ", count: 70_000) + "]")
        ),
    ]

    @Test("Ends in the dead-letter queue with a reason and a recorded failure; the worker goes on", arguments: samples)
    func deadLetters(_ sample: Sample) async throws {
        let app = memoryApp { $0.maximumBodySize = 65_536 }
        let add = app.task("add") { (x: Int, y: Int) in x + y }
        let broker = try app.drivers().broker
        try await broker.publish(
            sample.message,
            to: Route(to: QueueDeclaration("celery")),
            delay: nil,
            within: .seconds(5)
        )
        let (_, statistics) = try await withWorker(app) { _ async throws in
            let failure = await #expect(throws: TaskFailure.self) {
                try await app.handle("some-id").value(within: .seconds(10))
            }
            #expect(failure?.type == sample.failure)
            #expect(try await add.delay(2, 2).value(within: .seconds(10)) == 4)
        }
        #expect(statistics.deadLettered == 1)
        let letter = try await takeDeadLetter(app)
        #expect(letter?.body == sample.message.body)
        #expect(letter?.headers["x-celeriac-reason"] == sample.reason)
        #expect(letter?.headers["x-celeriac-error"]?.string?.isEmpty == false)
        #expect(letter?.headers["x-celeriac-queue"] == "celery")
        #expect(try await broker.depth(of: "celery") == 0)
    }

    @Test("A message without an id is kept too")
    func withoutID() async throws {
        let app = memoryApp()
        let events = EventLog()
        let broker = try app.drivers().broker
        for headers in [[:], ["task": "add"]] as [MessageHeaders] {
            let message = Message(headers: headers, body: Array("hello".utf8))
            try await broker.publish(
                message,
                to: Route(to: QueueDeclaration("celery")),
                delay: nil,
                within: .seconds(5)
            )
        }
        let (_, statistics) = try await withWorker(app, events: events) { worker in
            while worker.statistics.deadLettered < 2 { try await turn() }
        }
        #expect(statistics.deadLettered == 2)
        #expect(try await broker.depth(of: "celery.dlq") == 2)
    }
}

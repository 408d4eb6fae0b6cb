import Celeriac
import FleetSupport
import Foundation
import ProcessSupport
import TestSupport
import Testing

@testable import CeleriacCore

extension FaultTests.Processes {
    /// A message that no worker can run.
    struct BadMessage: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let reason: String
        var task = "fleet.add"
        var body = #"[[1, 2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]"#
        var contentType = "application/json"

        func message(_ id: TaskID) -> Message {
            var message = TaskMessage(id: id, task: TaskName(task), body: Array(body.utf8)).encoded()
            message.contentType = contentType
            return message
        }
    }

    static let badMessages = [
        BadMessage(testDescription: "not JSON", reason: "malformed", body: "{nope"),
        BadMessage(testDescription: "another shape", reason: "malformed", body: #"{"x": 1, "y": 2}"#),
        BadMessage(testDescription: "too few arguments", reason: "wrong-arguments", body: "[[1], {}, {}]"),
        BadMessage(testDescription: "too many arguments", reason: "wrong-arguments", body: "[[1, 2, 3], {}, {}]"),
        BadMessage(testDescription: "wrong types", reason: "wrong-arguments", body: #"[["a", []], {}, {}]"#),
        BadMessage(testDescription: "unknown task", reason: "unknown-task", task: "fleet.nosuch"),
        BadMessage(testDescription: "pickle", reason: "unsupported", contentType: "application/x-python-serialize"),
    ]

    @Test("Bad messages end in the dead-letter queue with a recorded failure, and the worker goes on")
    func badMessages() async throws {
        try await Fleet.withSharedServers { fleet in
            let worker = try await fleet.worker()
            let broker = try fleet.app.drivers().broker
            var sent: [String: BadMessage] = [:]
            for bad in Self.badMessages {
                let id = TaskID(UUID().uuidString)
                sent[id.rawValue] = bad
                try await broker.publish(
                    bad.message(id),
                    to: Route(to: QueueDeclaration(fleet.queue)),
                    delay: nil,
                    within: .seconds(20)
                )
            }

            for (id, bad) in sent {
                let record = try await fleet.app.drivers().results.outcome(of: TaskID(id), within: .seconds(20))
                #expect(record.state == .failure, "\(bad.testDescription)")
                #expect(record.failure?.message.isEmpty == false, "\(bad.testDescription)")
            }
            for _ in sent {
                let letter = try #require(try await deadLetter(of: fleet))
                let id = try #require(letter.headers["id"]?.string)
                let unseen = sent.removeValue(forKey: id)
                let bad = try #require(unseen, "one letter for each message")
                #expect(letter.headers["x-celeriac-reason"]?.string == bad.reason, "\(bad.testDescription)")
                #expect(letter.headers["x-celeriac-queue"]?.string == fleet.queue.rawValue)
                #expect(letter.body == Array(bad.body.utf8), "\(bad.testDescription): kept untouched")
            }
            let sum = fleet.app.signature("fleet.add", 2, 3, returning: Int.self)
            #expect(try await sum.apply().value(within: .seconds(20)) == 5)
            #expect(worker.end == nil, "\(fleet.transcript)")
        }
    }

    private func deadLetter(of fleet: Fleet) async throws -> Message? {
        var message: Message?
        try await eventually("a message is in \(fleet.queue.deadLetters)") {
            guard let delivery = try await fleet.app.drivers().broker.get(fleet.queue.deadLetters) else { return false }
            message = delivery.message
            delivery.acknowledge()
            return true
        }
        return message
    }

    @Test("A queue that exists with other arguments is adopted with a warning")
    func adoptedQueue() async throws {
        try await Fleet.withSharedServers { fleet in
            _ = try await fleet.app.drivers().broker.declare(QueueDeclaration(fleet.queue, maximumPriority: 5))
            let worker = try await fleet.worker()

            let sum = fleet.app.signature("fleet.add", 2, 3, returning: Int.self)
            #expect(try await sum.apply().value(within: .seconds(20)) == 5)
            // Another process, which has not declared the queue itself.
            let call = try await fleet.run(["call", "fleet.add", "4", "5", "--wait"])
            #expect(call.end == .exit(0), "\(call.transcript)")
            #expect(call.output.hasSuffix("\n9\n"), "\(call.transcript)")
            let warning = worker.errors.split(separator: "\n").first {
                $0.contains("queue exists with other properties")
            }
            let text = try #require(warning, "\(worker.transcript)")
            #expect(text.contains("x-max-priority") && text.contains("none") && text.contains("5"), "\(text)")
        }
    }
}

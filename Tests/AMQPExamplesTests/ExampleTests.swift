import Foundation
import ProcessSupport
import TestSupport
import Testing

/// A program of `Examples/AMQP`, and what it prints.
private struct Example: CustomTestStringConvertible, Sendable {
    let name: String
    let lines: [String]

    init(_ name: String, _ lines: String...) {
        self.name = name
        self.lines = lines
    }

    var testDescription: String { name }

    static let all = [
        Example("simple", "sent: hello", "received: hello"),
        Example(
            "work-queue",
            "prefetch 10: the fast worker did 5 of 10, the slow one 5",
            "prefetch 1: the fast worker did 9 of 10, the slow one 1"
        ),
        Example(
            "publish-subscribe",
            "without subscribers the message comes back",
            #"anna: ["sunny", "rain"]"#,
            #"ben: ["sunny", "rain"]"#,
            #"carla, who came later: ["rain"]"#
        ),
        Example(
            "routing",
            #"screen: ["info message", "error message", "warning message"]"#,
            #"file: ["error message"]"#,
            "unbound from info: nobody takes it"
        ),
        Example(
            "topics",
            "*.temperature: cellar.temperature, attic.temperature",
            "cellar.#: cellar.temperature, cellar.door.left, cellar",
            "#: cellar.temperature, attic.temperature, cellar.door.left, cellar",
            "cellar.temperature: cellar.temperature"
        ),
        Example(
            "headers",
            #"all of format=pdf, pages=1: ["letter"]"#,
            #"any of format=pdf, pages=1: ["letter", "book", "note"]"#
        ),
        Example(
            "rpc",
            "the squares of 3 and 4: 9 and 16",
            #"the server's failure: NotANumber: "pi" has no square"#,
            "a queue that does not exist: returned, at once",
            "a server that is gone: timedOut, carried out perhaps: true"
        ),
        Example(
            "confirms",
            "confirmed: 1000 of 1000",
            "to a missing queue: returned (312)",
            "the same without mandatory: confirmed, and dropped",
            "to a queue of length 1, message 1: confirmed",
            "to a queue of length 1, message 2: nacked"
        ),
        Example(
            "transactions",
            "published: 0 orders, 0 invoices",
            "committed: 2 orders, 0 invoices",
            "rolled back: 2 orders, 0 invoices",
            "committed: 1 orders, 1 invoices"
        ),
        Example(
            "durability",
            "durable exchange, durable queue, persistent message: exchange found, queue found, messages: 1",
            "durable exchange, durable queue, transient message: exchange found, queue found, messages: 1",
            "durable exchange, transient queue, persistent message: exchange found, queue found, messages: 1",
            "transient exchange, durable queue, persistent message: exchange found, queue found, messages: 1"
        ),
        Example(
            "ttl",
            #"expired: ["shorter limit on the queue"]"#,
            #"expired: ["shorter limit on the message"]"#,
            #"still there: ["no limit"]"#,
            "in the queue: 2",
            "taken from the head: a minute",
            #"expired: ["1 ms, behind it"]"#
        ),
        Example(
            "dead-letters",
            "unreadable: rejected, times: 1",
            "stale: expired, times: 1",
            "oldest: maxLength, times: 1"
        ),
        Example(
            "delay-queue",
            "sent: cancel the order if unpaid",
            "sent: remind the customer",
            #"reminder, not before 100 ms have passed: true, ["remind the customer"]"#,
            #"cancellation, not before 500 ms have passed: true, ["cancel the order if unpaid"]"#
        ),
        Example(
            "priorities",
            #"sent: ["newsletter", "invoice", "alarm", "receipt"]"#,
            #"received: ["alarm", "invoice", "receipt", "newsletter"]"#
        ),
        Example(
            "exclusive-queues",
            "named by the broker: true",
            "for another connection: resourceLocked (405)",
            "for its own, on another channel: 0 messages",
            "when its connection has closed: notFound (404)"
        ),
        Example(
            "single-active-consumer",
            #"active: ["order 1 created", "order 1 changed"]"#,
            "on standby meanwhile: 0",
            #"on standby, now active: ["order 1 paid", "order 1 sent"]"#
        ),
        Example(
            "streams",
            #"from offset 0: ["event 0", "event 1", "event 2", "event 3", "event 4"]"#,
            #"from offset 3: ["event 3", "event 4"]"#
        ),
    ]
}

@Suite("Examples of messaging patterns", .timeLimit(.minutes(10)))
struct ExampleTests {
    @Test(
        "Prints what it did, and ends by itself",
        .enabled(if: variable("RABBITMQ_URL") != nil, "set RABBITMQ_URL"),
        arguments: Example.all
    )
    fileprivate func run(_ example: Example) async throws {
        let lines = try await Self.run(example.name).split(separator: "\n").map(String.init)
        // In this order; a program may say more in between.
        var rest = lines[...]
        for line in example.lines {
            let index = rest.firstIndex(of: line)
            #expect(index != nil, "\(line) is missing, or out of order, in \(lines)")
            if let index { rest = rest[(index + 1)...] }
        }
    }

    @Test(
        "After a restart the durable queue has its persistent message, and nothing else is left",
        .enabled(if: ServerScript.isAvailable, "run beside Scripts/with-servers.sh")
    )
    func restart() async throws {
        try await ServerTurn.take {
            try await ServerScript.withDirectory("amqp-examples", restarted)
        }
    }

    private func restarted(_ directory: String) async throws {
        let script = try #require(ServerScript.path)
        let url = try await ServerScript.run("start", "rabbitmq", directory)
        let restart = "'\(script)' restart rabbitmq '\(directory)' >/dev/null"
        let output = try await Self.run("durability", ["RABBITMQ_URL": url, "RESTART_COMMAND": restart])
        let lines = output.split(separator: "\n").suffix(5)
        #expect(
            lines == [
                "restarted",
                "durable exchange, durable queue, persistent message: exchange found, queue found, messages: 1",
                "durable exchange, durable queue, transient message: exchange found, queue found, messages: 0",
                "durable exchange, transient queue, persistent message: exchange found, queue gone",
                "transient exchange, durable queue, persistent message: exchange gone, queue found, messages: 1",
            ]
        )
    }

    @Test("Each example is run here, and described in the table")
    func complete() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let folder = root.appending(path: "Examples/AMQP")
        let table = try String(contentsOf: folder.appending(path: "README.md"), encoding: .utf8)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { $0 != "Support" && !$0.contains(".") }
        #expect(Set(names) == Set(Example.all.map(\.name)))
        for name in names { #expect(table.contains("| `swift run amqp-\(name)` |"), "\(name) is not described") }
    }

    /// Runs a program that was built beside these tests, and returns what it printed.
    private static func run(_ name: String, _ environment: [String: String] = [:]) async throws -> String {
        let process = try await FinishedProcess.run(FinishedProcess.product("amqp-\(name)"), environment: environment)
        #expect(process.end == .exit(0), "\(process.output)\(process.errors)")
        return process.output
    }
}

import ProcessSupport
import Testing

/// The built programs, and what they say.
private struct Example: CustomTestStringConvertible, Sendable {
    let program: String
    let lines: [String]

    var testDescription: String { program }

    static let all = [
        Example(program: "quickstart", lines: ["2 + 3 = 5"]),
        Example(
            program: "retries",
            lines: ["news: attempt 3", "news, fetched at attempt 3", "weather, not retried: NoSuchPage"]
        ),
        Example(
            program: "unique",
            lines: [
                "refused: an equal call is queued already: true", "the first call's handle instead: true",
                "report of October", "the first call has ended, so again: report of October",
            ]
        ),
        Example(
            program: "periodic",
            lines: [
                "kitchen: 21 degrees, at a multiple of 200 ms since 1970: true", "3 slots emitted and run",
            ]
        ),
        Example(
            program: "structs",
            lines: ["cat.png at 320 pixels, as jpeg", "dog.png at 640 pixels, as webp"]
        ),
        Example(
            program: "by-name",
            lines: [
                "1 / 2 = 0.5", "3 / 4 = 0.75", "kept in celery.dlq: NotRegistered: maths.devide",
                "the caller gets NotRegistered: maths.devide",
            ]
        ),
    ]
}

@Suite("Examples", .timeLimit(.minutes(1)))
struct ExampleTests {
    @Test("Runs without a server and prints what it did", arguments: Example.all)
    fileprivate func run(_ example: Example) async throws {
        let process = try await FinishedProcess.run(
            FinishedProcess.product(example.program),
            environment: ["NO_COLOR": "1"],
            inheritsEnvironment: false
        )
        #expect(process.end == .exit(0), "\(process.errors)")
        let lines = process.output.split(separator: "\n").map(String.init)
        for line in example.lines { #expect(lines.contains(line), "\(process.output)\(process.errors)") }
    }

    @Test("Each example is run here and described in the list of examples")
    func complete() throws {
        let list = try Documents.text(of: "Examples/README.md")
        for file in Documents.files(in: ["Examples"], ending: ".swift") {
            let name = file.split(separator: "/")[1]
            // The messaging patterns need a broker, and have a suite and a list of their own.
            if name == "AMQP" { continue }
            #expect(Example.all.contains { $0.program == name }, "\(name) is not run")
            #expect(list.contains("| `swift run \(name)` |"), "\(name) is not described")
        }
    }
}

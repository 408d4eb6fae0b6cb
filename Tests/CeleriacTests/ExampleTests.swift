import ProcessSupport
import Testing

/// Runs a program that was built beside the tests.
private func run(_ name: String, _ arguments: String...) async throws -> FinishedProcess {
    try await FinishedProcess.run(FinishedProcess.product(name), arguments, inheritsEnvironment: false)
}

@Suite("Examples", .timeLimit(.minutes(1))) struct ExampleTests {
    @Test("quickstart adds two numbers in a worker and prints the sum")
    func quickstart() async throws {
        let process = try await run("quickstart")
        #expect(process.end == .exit(0), "\(process.errors)")
        #expect(process.output.hasPrefix("2 + 3 = 5\n"))
    }

    @Test("quickstart is a program with commands too")
    func commands() async throws {
        let process = try await run("quickstart", "tasks")
        #expect(process.end == .exit(0), "\(process.errors)")
        #expect(process.output.contains("quickstart.add  (Int, Int) -> Int  celery"))
    }
}

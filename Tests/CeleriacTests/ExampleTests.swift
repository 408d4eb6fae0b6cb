import Foundation
import Testing

/// Runs a program that was built beside the tests.
private func run(_ name: String, _ arguments: String...) async throws -> (status: Int32, output: String) {
    let tests = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    let process = Process()
    process.executableURL = tests.deletingLastPathComponent().appending(path: name)
    process.arguments = arguments
    process.environment = [:]
    let output = Pipe()
    process.standardOutput = output
    return try await withCheckedThrowingContinuation { continuation in
        process.terminationHandler = { process in
            // What these programs write fits into the pipe, so it can be read when they have ended.
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            continuation.resume(returning: (process.terminationStatus, text))
        }
        do { try process.run() } catch { continuation.resume(throwing: error) }
    }
}

@Suite("Examples", .timeLimit(.minutes(1))) struct ExampleTests {
    @Test("quickstart adds two numbers in a worker and prints the sum")
    func quickstart() async throws {
        let (status, output) = try await run("quickstart")
        #expect(status == 0)
        #expect(output.hasPrefix("2 + 3 = 5\n"))
    }

    @Test("quickstart is a program with commands too")
    func commands() async throws {
        let (status, output) = try await run("quickstart", "tasks")
        #expect(status == 0)
        #expect(output.contains("quickstart.add  (Int, Int) -> Int  celery"))
    }
}

import Foundation
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
        let (status, output, errors) = try await Self.run(example.program)
        #expect(status == 0, "\(errors)")
        let lines = output.split(separator: "\n").map(String.init)
        for line in example.lines { #expect(lines.contains(line), "\(output)\(errors)") }
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

    private static func run(_ program: String) async throws -> (status: Int32, output: String, errors: String) {
        // The programs are built beside the bundle that this code is in.
        let products = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        let process = Process()
        process.executableURL = products.appending(path: program)
        process.environment = ["NO_COLOR": "1"]
        let folder = FileManager.default.temporaryDirectory.appending(path: "celeriac-example-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // Files rather than pipes: nobody need read while the program writes.
        let (output, errors) = (folder.appending(path: "output"), folder.appending(path: "errors"))
        for file in [output, errors] { try Data().write(to: file) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        let (end, ended) = AsyncStream.makeStream(of: Never.self)
        process.terminationHandler = { _ in ended.finish() }
        try process.run()
        await withTaskCancellationHandler {
            for await _ in end {}
        } onCancel: {
            ended.finish()
        }
        // The test's time limit has cancelled it: the program must not outlive its test.
        if process.isRunning { process.terminate() }
        process.waitUntilExit()
        return (
            process.terminationStatus, try String(contentsOf: output, encoding: .utf8),
            try String(contentsOf: errors, encoding: .utf8)
        )
    }
}

internal import Foundation

/// A program that has run to its end, and what it has written.
package struct FinishedProcess: Sendable {
    package let end: ChildProcess.End
    package let output: String
    package let errors: String

    /// Runs a program; it ends with the task that waits for it, and does not outlive its time.
    ///
    /// - Parameter environment: Added to this process's own, or instead of it.
    package static func run(
        _ executable: String,
        _ arguments: [String] = [],
        environment: [String: String] = [:],
        inheritsEnvironment: Bool = true,
        within limit: Duration = .seconds(90)
    ) async throws -> FinishedProcess {
        let directory = FileManager.default.temporaryDirectory.appending(path: "process-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let process = try ChildProcess(
            URL(filePath: executable).lastPathComponent,
            executable,
            arguments,
            environment: environment,
            inheritsEnvironment: inheritsEnvironment,
            directory: directory
        )
        do {
            let end = try await process.wait(within: limit)
            return FinishedProcess(end: end, output: process.output, errors: process.errors)
        } catch {
            await process.destroy()
            throw error
        }
    }

    /// The path of a program that was built beside the tests.
    package static func product(_ name: String) -> String {
        URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().appending(path: name).path
    }
}

/// A variable of the environment; `nil` if it is empty.
package func variable(_ name: String) -> String? {
    ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
}

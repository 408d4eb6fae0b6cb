internal import Foundation

/// `Scripts/server.sh`, as `with-servers.sh` names it: it runs servers of the tests' own.
package enum ServerScript {
    package static let path = variable("CELERIAC_SERVERS")
    /// Where servers live that end in any case.
    package static let parent = variable("CELERIAC_SERVERS_DIR")

    /// Whether servers can be started; tests that need them are skipped otherwise.
    package static var isAvailable: Bool { path != nil && parent != nil }

    /// Makes a directory for servers of a test's own, among those that end in any case.
    package static func makeDirectory(_ prefix: String) throws -> String {
        let directory = "\(parent ?? NSTemporaryDirectory())/\(prefix)-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        return directory
    }

    /// Gives a closure such a directory; its servers are ended afterwards, whatever happens.
    package static func withDirectory<Value>(
        _ prefix: String,
        _ body: (String) async throws -> Value
    ) async throws -> Value {
        let directory = try makeDirectory(prefix)
        let result: Result<Value, any Error>
        do { result = .success(try await body(directory)) } catch { result = .failure(error) }
        // Not a child: the servers must end even when the test was cancelled.
        await Task { _ = try? await run("clear", directory) }.value
        return try result.get()
    }

    /// Runs the script to its end and returns what it has written.
    @discardableResult
    package static func run(_ arguments: String..., environment: [String: String] = [:]) async throws -> String {
        try await run(arguments, environment: environment)
    }

    /// Runs the script to its end and returns what it has written.
    package static func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> String {
        guard let path else { throw ChildProcess.Failure(description: "CELERIAC_SERVERS is not set") }
        let process = try await FinishedProcess.run(path, arguments, environment: environment)
        guard process.end == .exit(0) else {
            let words = process.output + process.errors
            throw ChildProcess.Failure(
                description: "server.sh \(arguments.joined(separator: " ")): \(process.end)\n\(words)"
            )
        }
        return process.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

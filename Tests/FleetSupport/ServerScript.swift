internal import Foundation
internal import TestSupport

/// `Scripts/server.sh`, as the environment names it.
enum ServerScript {
    static let path = variable("CELERIAC_SERVERS")

    /// Makes a directory for servers of a test's own, among those that end in any case.
    static func makeDirectory(_ prefix: String) throws -> String {
        let parent = variable("CELERIAC_SERVERS_DIR") ?? NSTemporaryDirectory()
        let directory = "\(parent)/\(prefix)-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        return directory
    }

    /// Runs the script to its end and returns what it has written.
    static func run(_ arguments: [String], in directory: String) async throws -> String {
        guard let path else { throw NotInTime(description: "CELERIAC_SERVERS is not set") }
        let process = try ChildProcess("server-\(arguments.first ?? "")", path, arguments, directory: directory)
        do {
            guard try await process.wait(within: .seconds(90)) == .exit(0) else {
                throw NotInTime(description: process.transcript)
            }
        } catch {
            await process.destroy()
            throw error
        }
        return process.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

import Foundation
import Redis
import Testing

/// A master, its replica and three sentinels of a test's own, by `server.sh`.
struct SentinelServers {
    static let script = ProcessInfo.processInfo.environment["CELERIAC_SERVERS"]
    static let parent = ProcessInfo.processInfo.environment["CELERIAC_SERVERS_DIR"]
    static var areAvailable: Bool { script != nil && parent != nil }

    let directory: String
    let url: String

    var configuration: RedisConfiguration {
        get throws {
            var configuration = RedisConfiguration(try RedisURL(url))
            configuration.backoff = RedisBackoff(base: .milliseconds(20), cap: .milliseconds(300))
            configuration.commandTimeout = .seconds(30)
            return configuration
        }
    }

    /// Runs a body beside the servers, and ends them.
    static func with(_ body: (SentinelServers) async throws -> Void) async throws {
        let directory = "\(try #require(parent))/sentinel-\(UUID().uuidString.prefix(8))"
        do {
            let url = try await run("sentinel", directory)
            try await body(SentinelServers(directory: directory, url: url))
        } catch {
            _ = try? await run("clear", directory)
            throw error
        }
        _ = try await run("clear", directory)
    }

    /// Servers 1 and 2 hold data, 3 to 5 are sentinels.
    func control(_ action: String, _ number: Int) async throws -> String {
        try await Self.run(action, "redis", "\(directory)/\(number)")
    }

    /// The number of the server at a client's far end.
    func serving(_ redis: RedisClient) async throws -> Int {
        let reply = try await redis.send(RedisCommand("CONFIG", "GET", "port"), retry: .idempotent)
        let port = try #require(reply.array?.last?.string)
        for number in 1...2 {
            if try await control("url", number).contains(":\(port)/") { return number }
        }
        Issue.record("port \(port) is neither server's")
        return 0
    }

    private static func run(_ arguments: String...) async throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: try #require(script))
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        let status = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<Int32, any Error>) in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do {
                try process.run()
            } catch {
                process.terminationHandler = nil
                continuation.resume(throwing: error)
            }
        }
        try #require(status == 0, "server.sh \(arguments) ended with \(status)")
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

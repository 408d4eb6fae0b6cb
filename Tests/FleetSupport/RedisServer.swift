package import CeleriacCore
internal import Foundation
internal import ProcessSupport
internal import TestSupport

/// A Redis of a test's own; with sentinels and a replica if it wants.
package struct RedisServer: Sendable {
    /// What clients are given: the server, or the sentinels that know it.
    package let url: ServerURL
    private let state: String

    /// Starts a server that keeps every write for the duration of a closure; it ends whatever happens.
    ///
    /// - Parameter settings: Arguments of `redis-server`, such as `["--maxmemory", "100mb"]`.
    package static func with<Value>(
        settings: [String] = ["--appendfsync", "always"],
        _ body: (RedisServer) async throws -> Value
    ) async throws -> Value {
        try await ServerScript.withDirectory("redis") { directory in
            try FileManager.default.createDirectory(atPath: "\(directory)/redis", withIntermediateDirectories: true)
            try settings.joined(separator: "\n").appending("\n")
                .write(toFile: "\(directory)/redis/settings", atomically: true, encoding: .utf8)
            let url = try await ServerScript.run("start", "redis", directory)
            return try await body(RedisServer(url: ServerURL(url), state: directory))
        }
    }

    /// Starts a master, its replica and three sentinels for the duration of a closure.
    package static func withSentinels<Value>(_ body: (RedisServer) async throws -> Value) async throws -> Value {
        try await ServerScript.withDirectory("sentinels") { directory in
            let url = try await ServerScript.run("sentinel", directory)
            return try await body(RedisServer(url: ServerURL(url), state: "\(directory)/1"))
        }
    }

    /// The port of the server, or of the first master.
    package var port: UInt16 {
        get async throws {
            let url = try await run("url")
            guard let port = URLComponents(string: url)?.port.flatMap({ UInt16(exactly: $0) }) else {
                throw NotInTime(description: "no port in \(url)")
            }
            return port
        }
    }

    /// Ends the server; with sentinels, the first master.
    package func end(by ending: ServerPair.Ending) async throws { _ = try await run(ending.rawValue) }

    /// Starts it again, at the same address and with the data it had.
    package func start() async throws { _ = try await run("start") }

    /// Stops it in its tracks, its connections staying open; or lets it go on.
    package func freeze(_ isFrozen: Bool) async throws {
        guard let pid = Int32(try await run("pid")) else { return }
        kill(pid, isFrozen ? SIGSTOP : SIGCONT)
    }

    private func run(_ action: String) async throws -> String {
        try await ServerScript.run(action, "redis", state)
    }
}

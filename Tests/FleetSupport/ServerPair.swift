package import CeleriacCore
internal import Foundation
internal import TestSupport

/// A RabbitMQ and a Redis of a test's own, which it may stop and kill.
package struct ServerPair: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        case rabbitMQ = "rabbitmq"
        case redis
    }

    /// How a server is ended before it is started again.
    package enum Ending: String, Sendable, CaseIterable {
        case stop
        case kill
    }

    /// The script that runs servers, from `CELERIAC_SERVERS`; tests that need it are skipped without.
    package static let script = ServerScript.path

    package let rabbitMQ: ServerURL
    package let redis: ServerURL
    private let directory: String

    /// Starts both servers for the duration of a closure; they end whatever happens.
    package static func with<Value>(_ body: (ServerPair) async throws -> Value) async throws -> Value {
        try await ServerTurn.take { try await start(body) }
    }

    private static func start<Value>(_ body: (ServerPair) async throws -> Value) async throws -> Value {
        let directory = try ServerScript.makeDirectory("pair")
        let result: Result<Value, any Error>
        do {
            async let rabbitMQ = run("start", .rabbitMQ, directory)
            async let redis = run("start", .redis, directory)
            let pair = ServerPair(
                rabbitMQ: ServerURL(try await rabbitMQ),
                redis: ServerURL(try await redis),
                directory: directory
            )
            result = .success(try await body(pair))
        } catch {
            result = .failure(error)
        }
        // Not a child: the servers must end even when the test was cancelled.
        await Task {
            for kind in Kind.allCases { _ = try? await run("kill", kind, directory) }
            try? FileManager.default.removeItem(atPath: directory)
        }.value
        return try result.get()
    }

    /// Ends a server; what has it open loses its connection.
    package func end(_ kind: Kind, by ending: Ending) async throws {
        _ = try await Self.run(ending.rawValue, kind, directory)
    }

    /// Starts a server again, at the same address and with the data it had.
    package func start(_ kind: Kind) async throws {
        _ = try await Self.run("start", kind, directory)
    }

    /// Stops a server in its tracks, its connections staying open; or lets it go on.
    package func freeze(_ kind: Kind, _ isFrozen: Bool) async throws {
        guard let pid = Int32(try await Self.run("pid", kind, directory)) else { return }
        kill(pid, isFrozen ? SIGSTOP : SIGCONT)
    }

    private static func run(_ action: String, _ kind: Kind, _ directory: String) async throws -> String {
        try await ServerScript.run([action, kind.rawValue, directory], in: directory)
    }
}

/// A variable of the environment; `nil` if it is empty.
package func variable(_ name: String) -> String? {
    ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
}

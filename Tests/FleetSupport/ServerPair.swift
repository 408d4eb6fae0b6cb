package import CeleriacCore
internal import Glibc
internal import ProcessSupport
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

    package let rabbitMQ: ServerURL
    package let redis: ServerURL
    private let directory: String

    /// Starts both servers for the duration of a closure; they end whatever happens.
    package static func with<Value>(_ body: (ServerPair) async throws -> Value) async throws -> Value {
        try await ServerTurn.take { try await start(body) }
    }

    private static func start<Value>(_ body: (ServerPair) async throws -> Value) async throws -> Value {
        try await ServerScript.withDirectory("pair") { directory in
            async let rabbitMQ = run("start", .rabbitMQ, directory)
            async let redis = run("start", .redis, directory)
            return try await body(
                ServerPair(
                    rabbitMQ: ServerURL(try await rabbitMQ),
                    redis: ServerURL(try await redis),
                    directory: directory
                )
            )
        }
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
        try await ServerScript.run(action, kind.rawValue, directory)
    }
}

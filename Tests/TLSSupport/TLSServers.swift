internal import ProcessSupport
internal import Synchronization

/// Servers of the tests' own that speak TLS: each is started when first asked for, and serves all suites.
///
/// They live in the directory of `with-servers.sh`, which ends them.
package enum TLSServers {
    package enum Kind: String, Sendable {
        case rabbitMQ = "rabbitmq"
        case redis
    }

    package struct Server: Sendable {
        /// Without TLS.
        package let plainURL: String
        /// With TLS, and nobody's certificates trusted in particular.
        package let url: String
        /// With TLS, the tests' authority trusted.
        package var trustingURL: String { "\(url)?cacertfile=\(TestCertificates.shared.path("ca.pem"))" }
    }

    /// Whether servers can be started; tests that need them are skipped otherwise.
    package static var areAvailable: Bool { ServerScript.isAvailable }

    private static let starting = Mutex<[Kind: Task<Server, any Error>]>([:])

    package static func server(_ kind: Kind) async throws -> Server {
        // Kept for the whole process: whoever comes first must not end it for the others.
        let task = starting.withLock { starting in
            if let task = starting[kind] { return task }
            let task = Task { try await start(kind) }
            starting[kind] = task
            return task
        }
        return try await task.value
    }

    private static func start(_ kind: Kind) async throws -> Server {
        let directory = try ServerScript.makeDirectory("tls")
        let plainURL = try await run("start", kind, directory)
        return Server(plainURL: plainURL, url: try await run("tls-url", kind, directory))
    }

    private static func run(_ action: String, _ kind: Kind, _ directory: String) async throws -> String {
        let certificates = TestCertificates.shared.directory
        return try await ServerScript.run(
            action,
            kind.rawValue,
            directory,
            environment: ["CELERIAC_RABBITMQ_TLS": certificates, "CELERIAC_REDIS_TLS": certificates]
        )
    }
}

internal import Foundation
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

    package struct Failure: Error { package let text: String }

    private static let script = variable("CELERIAC_SERVERS")
    private static let parent = variable("CELERIAC_SERVERS_DIR")

    /// Whether servers can be started; tests that need them are skipped otherwise.
    package static var areAvailable: Bool { script != nil && parent != nil }

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
        guard let script, let parent else { throw Failure(text: "CELERIAC_SERVERS is not set") }
        let directory = "\(parent)/tls-\(UUID().uuidString.prefix(8))"
        let plainURL = try await run(script, "start", kind, directory)
        return Server(plainURL: plainURL, url: try await run(script, "tls-url", kind, directory))
    }

    private static func run(_ script: String, _ action: String, _ kind: Kind, _ directory: String) async throws
        -> String
    {
        let process = Process()
        process.executableURL = URL(filePath: script)
        process.arguments = [action, kind.rawValue, directory]
        let certificates = TestCertificates.shared.directory
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["CELERIAC_RABBITMQ_TLS": certificates, "CELERIAC_REDIS_TLS": certificates]
        ) { $1 }
        let output = Pipe()
        process.standardOutput = output
        let status = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<Int32, any Error>) in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        // A URL fits the pipe, so the script has not waited for a reader.
        let text = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard status == 0 else { throw Failure(text: "server.sh \(action) \(kind.rawValue) failed: \(status)") }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private static func variable(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
}

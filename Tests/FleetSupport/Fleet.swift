package import Celeriac
internal import Foundation
package import ProcessSupport
internal import Synchronization
internal import TestSupport

/// The processes of one test, which end with it, and an application in the test's own process that calls them.
package final class Fleet: Sendable {
    /// A queue of the test's own, the default queue of all of them.
    package let queue: QueueName
    package let app: TaskApp
    /// Where executions are noted.
    package let journal: FleetJournal
    /// Where its processes work, deleted afterwards.
    package let directory: String
    private let environment: [String: String]
    private let processes = Mutex<[ChildProcess]>([])

    private init(broker: ServerURL, results: ServerURL, queue: QueueName?, publishTimeout: Duration) throws {
        let id = UUID().uuidString.lowercased()
        self.queue = queue ?? QueueName("fleet-\(id)")
        directory = "\(NSTemporaryDirectory())/fleet-\(id)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        journal = FleetJournal(path: "\(directory)/journal")
        environment = [
            "CELERIAC_BROKER_URL": broker.secret,
            "CELERIAC_RESULT_BACKEND": results.secret,
            "FLEET_QUEUE": self.queue.rawValue,
            "FLEET_LOG": journal.path,
            "FLEET_PARENT": String(getpid()),
        ]
        app = TaskApp(
            "fleet-tests",
            configuration: Configuration(
                brokerURL: broker,
                resultBackendURL: results,
                defaultQueue: self.queue,
                publishTimeout: publishTimeout
            )
        )
    }

    /// Gives a closure a fleet; its processes are killed at the end, and their last words added to an error.
    package static func with<Value>(
        broker: ServerURL,
        results: ServerURL,
        queue: QueueName? = nil,
        publishTimeout: Duration = .seconds(30),
        _ body: (Fleet) async throws -> Value
    ) async throws -> Value {
        let fleet = try Fleet(broker: broker, results: results, queue: queue, publishTimeout: publishTimeout)
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(fleet))
        } catch {
            result = .failure(FleetFailure(error: error, transcript: fleet.transcript))
        }
        // Not a child: the processes must end even when the test was cancelled.
        await Task {
            for process in fleet.processes.withLock({ $0 }) { await process.destroy() }
            await fleet.app.close(grace: .seconds(1))
            try? FileManager.default.removeItem(atPath: fleet.directory)
        }.value
        return try result.get()
    }

    /// A fleet with servers of its own.
    package static func withServers<Value>(
        publishTimeout: Duration = .seconds(30),
        _ body: (Fleet, ServerPair) async throws -> Value
    ) async throws -> Value {
        try await ServerPair.with { servers in
            try await with(
                broker: servers.rabbitMQ,
                results: servers.redis,
                publishTimeout: publishTimeout
            ) { try await body($0, servers) }
        }
    }

    /// A fleet on the servers that `RABBITMQ_URL` and `REDIS_URL` name, shared with other tests.
    package static func withSharedServers<Value>(_ body: (Fleet) async throws -> Value) async throws -> Value {
        guard let rabbitMQ = variable("RABBITMQ_URL"), let redis = variable("REDIS_URL") else {
            throw NotInTime(description: "set RABBITMQ_URL and REDIS_URL")
        }
        return try await with(broker: ServerURL(rabbitMQ), results: ServerURL(redis), body)
    }

    // MARK: Processes

    /// Starts the program with a command line.
    package func start(
        _ name: String,
        _ arguments: [String],
        environment: [String: String] = [:]
    ) throws -> ChildProcess {
        try start(name, FinishedProcess.product("fleet"), arguments, environment)
    }

    /// Starts another program that belongs to the test.
    package func start(
        _ name: String,
        _ executable: String,
        _ arguments: [String],
        _ environment: [String: String]
    ) throws -> ChildProcess {
        let process = try ChildProcess(
            name,
            executable,
            arguments,
            environment: self.environment.merging(environment) { $1 },
            directory: directory
        )
        processes.withLock { $0.append(process) }
        return process
    }

    /// Starts a worker and waits until it consumes.
    package func worker(
        _ name: String = "worker",
        concurrency: Int = 8,
        prefetch: Int? = nil,
        grace: Int = 10,
        _ more: [String] = []
    ) async throws -> ChildProcess {
        var arguments = ["worker", "--concurrency", "\(concurrency)", "--grace", "\(grace)", "--log-level", "info"]
        if let prefetch { arguments += ["--prefetch", "\(prefetch)"] }
        let worker = try start(name, arguments + more)
        try await eventually(within: .seconds(60), "\(name) is ready") {
            if let end = worker.end { throw NotInTime(description: "\(name) ended: \(end)") }
            return worker.errors.contains("worker is ready")
        }
        return worker
    }

    /// Runs a command to its end.
    package func run(
        _ arguments: [String],
        environment: [String: String] = [:],
        within limit: Duration = .seconds(60)
    ) async throws -> ChildProcess {
        let process = try start(arguments.first ?? "fleet", arguments, environment: environment)
        _ = try await process.wait(within: limit)
        return process
    }

    // MARK: Calls

    /// A call of `fleet.work`.
    package func work(_ key: String, milliseconds: Int = 0) -> Signature<String> {
        app.signature("fleet.work", key, milliseconds, returning: String.self)
    }

    /// A call of `fleet.hold`.
    package func hold(_ key: String) -> Signature<String> {
        app.signature("fleet.hold", key, returning: String.self)
    }

    /// The processes' last words, for a failed test.
    package var transcript: String {
        processes.withLock { $0 }.map(\.transcript).joined(separator: "\n")
    }
}

/// Why a test failed, and what its processes had to say.
package struct FleetFailure: Error, CustomStringConvertible {
    let error: any Error
    let transcript: String

    package var description: String { "\(error)\n\(transcript)" }
}

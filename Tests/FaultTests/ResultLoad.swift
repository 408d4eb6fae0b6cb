import Celeriac
import FleetSupport
import Foundation
import Synchronization
import TestSupport

@testable import CeleriacCore

/// Ten thousand calls, somebody waiting for the value of each, and workers of this process that run them while
/// something goes wrong with Redis.
///
/// The broker is the real one that the tests share: what a worker has not acknowledged must come back from it.
final class ResultLoad: Sendable {
    /// What became of the calls.
    struct Account: Sendable, CustomStringConvertible {
        /// Waits that ended with the right value.
        var right = 0
        /// Waits that ended with another one.
        var wrong: [Int] = []
        /// Waits that ended with an error, by its code; in time, as the whole run has a limit.
        var errors: [String: Int] = [:]
        /// How often bodies ran.
        var runs = 0
        /// Waits that went on when the fault had begun.
        var disturbed = 0
        /// Calls whose message was acknowledged.
        var acknowledged = 0
        /// Those of them without their result in Redis afterwards.
        var lost = 0

        var description: String {
            let errors = errors.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
            return "\(right) right, \(wrong.count) wrong, errors: \(errors.isEmpty ? "none" : errors); "
                + "\(disturbed) waits disturbed; \(runs) runs, \(acknowledged) acknowledged, \(lost) of them without result"
        }
    }

    private struct State {
        var account = Account()
        var acknowledged: Set<TaskID> = []
        var handles: [(number: Int, id: TaskID)] = []
    }

    static let count = 10_000
    private let results: ServerURL
    private let limit: Duration
    private let resultTimeout: Duration
    private let queue = QueueName(uniqueName("results"))
    private let state = Mutex(State())

    /// - Parameters:
    ///   - limit: How long each wait lasts at most.
    ///   - resultTimeout: How long a worker tries to store a result.
    init(_ results: ServerURL, limit: Duration = .seconds(90), resultTimeout: Duration = .seconds(60)) {
        self.results = results
        self.limit = limit
        self.resultTimeout = resultTimeout
    }

    /// Waits until so many calls have their values.
    func reaches(_ count: Int) async throws {
        try await eventually(within: .seconds(60), "\(count) calls have ended") {
            state.withLock { $0.account.right } >= count
        }
    }

    /// Notes that the fault has begun.
    func isDisturbed() {
        state.withLock { state in
            let ended = state.account.right + state.account.errors.values.reduce(0, +)
            state.account.disturbed = max(state.account.disturbed, Self.count - ended)
        }
    }

    /// Runs the load; the fault's closure runs beside it.
    func run(_ fault: @escaping @Sendable (ResultLoad) async throws -> Void) async throws -> Account {
        let producer = try makeApp()
        let workers = try (0..<2).map { _ in
            let app = try makeApp()
            let configuration = WorkerConfiguration(concurrency: 16, prefetch: 200, resultTimeout: resultTimeout)
            return (app, Worker(app, configuration: configuration) { self.note($0) })
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (_, worker) in workers { group.addTask { try await worker.run() } }
            async let waits: Void = withDeadline(limit + .seconds(20), "every wait ends") {
                _ = try await concurrently(0..<Self.count, width: Self.count) { await self.call($0, producer) }
            }
            try await fault(self)
            try await waits
            try await eventually("every message is acknowledged") {
                state.withLock { $0.acknowledged.count } == Self.count
            }
            for (_, worker) in workers { worker.shutDown() }
            try await group.waitForAll()
        }
        let account = try await checked(producer)
        _ = try await producer.drivers().broker.purge(queue)
        for app in [producer] + workers.map(\.0) { await app.close(grace: .seconds(1)) }
        return account
    }

    private func makeApp() throws -> TaskApp {
        let app = TaskApp(
            "results",
            configuration: Configuration(
                brokerURL: ServerURL(try TestServer.require(.rabbitMQ)),
                resultBackendURL: results,
                defaultQueue: queue
            )
        )
        _ = app.task("results.square") { (number: Int) in
            self.state.withLock { $0.account.runs += 1 }
            return number * number
        }
        return app
    }

    private func note(_ event: WorkerEvent) {
        switch event {
        case .succeeded(let context, _): state.withLock { _ = $0.acknowledged.insert(context.id) }
        case .skipped(let id): state.withLock { _ = $0.acknowledged.insert(id) }
        default: break
        }
    }

    private func call(_ number: Int, _ app: TaskApp) async {
        do {
            let handle = try await app.signature("results.square", number, returning: Int.self).apply()
            state.withLock { $0.handles.append((number, handle.id)) }
            let value = try await handle.value(within: limit)
            state.withLock { state in
                if value == number * number { state.account.right += 1 } else { state.account.wrong.append(number) }
            }
        } catch {
            // Typed, or its type is told.
            let name = (error as? CeleriacError)?.code.description ?? "\(type(of: error))"
            state.withLock { $0.account.errors[name, default: 0] += 1 }
        }
    }

    /// Adds what Redis holds at the end, by the calls whose messages are gone.
    private func checked(_ app: TaskApp) async throws -> Account {
        let (handles, acknowledged) = state.withLock { ($0.handles, $0.acknowledged) }
        let backend = try app.drivers().results
        let lost = try await concurrently(handles.filter { acknowledged.contains($0.id) }, width: 200) { number, id in
            guard let record = try await backend.record(of: id), record.state == .success else { return true }
            return try record.value(as: Int.self) != number * number
        }
        var account = state.withLock { $0.account }
        account.acknowledged = acknowledged.count
        account.lost = lost.count { $0 }
        return account
    }
}

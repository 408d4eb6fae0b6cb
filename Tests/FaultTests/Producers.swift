import Celeriac
import FleetSupport
import Synchronization
import TestSupport

/// Keeps enqueuing until told to stop, and remembers which calls were accepted.
final class Producers: Sendable {
    struct Call: Sendable {
        let key: String
        let handle: TaskHandle<String>
        /// How often the servers had come back when the call was begun.
        let era: Int
    }

    private struct State {
        var accepted: [Call] = []
        var refused = 0
        var era = 0
        var isStopped = false
    }

    static let lanes = 4
    private let fleet: Fleet
    private let state = Mutex(State())

    init(_ fleet: Fleet) {
        self.fleet = fleet
    }

    var accepted: [Call] { state.withLock { $0.accepted } }

    /// Notes that the servers are back.
    func beginEra() { state.withLock { $0.era += 1 } }

    func stop() { state.withLock { $0.isStopped = true } }

    /// Waits until so many more calls were accepted.
    func accept(_ more: Int) async throws {
        let target = accepted.count + more
        try await eventually(within: .seconds(60), "\(more) more calls are accepted") { accepted.count >= target }
    }

    /// Enqueues until ``stop()``, whatever the closure does meanwhile.
    func run(_ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<Self.lanes { group.addTask { try await self.enqueue(lane) } }
            do {
                try await body()
            } catch {
                group.cancelAll()
                throw error
            }
            stop()
            try await group.waitForAll()
        }
    }

    private func enqueue(_ lane: Int) async throws {
        var number = 0
        while let era = state.withLock({ $0.isStopped ? nil : $0.era }) {
            let key = "\(lane)-\(number)"
            number += 1
            do throws(CeleriacError) {
                let handle = try await fleet.work(key, milliseconds: 2).apply()
                state.withLock { $0.accepted.append(Call(key: key, handle: handle, era: era)) }
            } catch {
                // Not accepted, so nothing was promised.
                state.withLock { $0.refused += 1 }
            }
            // A steady load, not as much as possible: the results of all of it are read later.
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}

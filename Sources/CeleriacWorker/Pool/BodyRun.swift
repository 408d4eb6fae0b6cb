internal import CeleriacCore
internal import Synchronization

/// How a task's body ended.
enum BodyEnd: Sendable {
    case value([UInt8])
    case error(any Error)
    /// The worker stops and did not wait for it; the body may still be running.
    case abandoned
}

/// One run of a task's body, which can be cancelled, or abandoned when it does not react.
///
/// The body is a task of its own, so that a time limit or a stopping worker cancels it without cancelling the
/// settlement that follows.
final class BodyRun: Sendable {
    enum CancelReason: Sendable {
        case timeLimit
        case stopping
    }

    private struct State {
        var end: BodyEnd?
        var waiter: CheckedContinuation<BodyEnd, Never>?
        var cancelReason: CancelReason?
        var task: Task<Void, Never>?
    }

    private let state = Mutex(State())

    /// Why the body was cancelled, if it was.
    var cancelReason: CancelReason? { state.withLock { $0.cancelReason } }

    /// Starts the body at once, on the caller's thread up to its first suspension: a short body costs no hop.
    func start(_ body: @escaping @Sendable () async throws -> [UInt8]) {
        let task = Task.immediate {
            do {
                finish(.value(try await body()))
            } catch {
                finish(.error(error))
            }
        }
        let wasCancelled = state.withLock { state in
            guard state.end == nil else { return false }
            state.task = task
            return state.cancelReason != nil
        }
        if wasCancelled { task.cancel() }
    }

    /// Waits until the body has ended or was abandoned.
    func end() async -> BodyEnd {
        if let end = state.withLock({ $0.end }) { return end }
        return await withCheckedContinuation { continuation in
            let end = state.withLock { state in
                if state.end == nil { state.waiter = continuation }
                return state.end
            }
            if let end { continuation.resume(returning: end) }
        }
    }

    /// Asks the body to end.
    func cancel(_ reason: CancelReason) {
        let task = state.withLock { state -> Task<Void, Never>? in
            guard state.end == nil, state.cancelReason == nil else { return nil }
            state.cancelReason = reason
            return state.task
        }
        task?.cancel()
    }

    /// Stops waiting for the body.
    func abandon() {
        finish(.abandoned)
    }

    private func finish(_ end: BodyEnd) {
        let waiter = state.withLock { state -> CheckedContinuation<BodyEnd, Never>? in
            guard state.end == nil else { return nil }
            state.end = end
            state.task = nil
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: end)
    }
}

/// The bodies that are running, so that a stopping worker reaches them all.
final class RunningBodies: Sendable {
    private struct State {
        var runs: [ObjectIdentifier: BodyRun] = [:]
        var phase = Phase.open
    }

    private enum Phase { case open, cancelled, abandoned }

    private let state = Mutex(State())

    var count: Int { state.withLock { $0.runs.count } }

    func insert(_ run: BodyRun) {
        let phase = state.withLock { state in
            state.runs[ObjectIdentifier(run)] = run
            return state.phase
        }
        if phase != .open { run.cancel(.stopping) }
        if phase == .abandoned { run.abandon() }
    }

    func remove(_ run: BodyRun) {
        _ = state.withLock { $0.runs.removeValue(forKey: ObjectIdentifier(run)) }
    }

    func cancelAll() {
        for run in advance(to: .cancelled) { run.cancel(.stopping) }
    }

    func abandonAll() {
        for run in advance(to: .abandoned) { run.abandon() }
    }

    private func advance(to phase: Phase) -> [BodyRun] {
        state.withLock { state in
            state.phase = phase
            return Array(state.runs.values)
        }
    }
}

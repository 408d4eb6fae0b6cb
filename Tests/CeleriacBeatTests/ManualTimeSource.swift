import CeleriacCore
import FoundationEssentials
import Synchronization

/// A clock that stands still until a test advances it.
final class ManualTimeSource: TimeSource {
    private struct Sleeper {
        let wakesAt: Duration
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var elapsed = Duration.zero
        var lastID = 0
        var sleepers: [Int: Sleeper] = [:]
    }

    private let start: Date
    private let state = Mutex(State())

    init(start: Date) { self.start = start }

    var now: Date { start.addingTimeInterval(state.withLock { $0.elapsed }.inSeconds) }

    func sleep(for duration: Duration) async throws(CancellationError) {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        let hasSlept = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> Bool? in
                    if Task.isCancelled { return false }
                    if duration <= .zero { return true }
                    state.sleepers[id] = Sleeper(wakesAt: state.elapsed + duration, continuation: continuation)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            state.withLock { $0.sleepers.removeValue(forKey: id) }?.continuation.resume(returning: false)
        }
        if !hasSlept { throw CancellationError() }
    }

    /// Moves the clock on and wakes, in order, those whose time has come.
    func advance(by duration: Duration) {
        let due = state.withLock { state in
            state.elapsed += duration
            let due = state.sleepers.filter { $0.value.wakesAt <= state.elapsed }
            for id in due.keys { state.sleepers.removeValue(forKey: id) }
            return due.sorted { ($0.value.wakesAt, $0.key) < ($1.value.wakesAt, $1.key) }
        }
        for (_, sleeper) in due { sleeper.continuation.resume(returning: true) }
    }
}

/// What was awaited did not happen in time.
struct NotInTime: Error {
    let what: String
}

/// Waits until a condition holds, looking again every few milliseconds.
func eventually(_ what: String, within limit: Duration = .seconds(20), _ condition: () throws -> Bool) async throws {
    let deadline = ContinuousClock.now.advanced(by: limit)
    while !(try condition()) {
        guard ContinuousClock.now < deadline else { throw NotInTime(what: what) }
        try await Task.sleep(for: .milliseconds(2))
    }
}

public import CeleriacCore
public import FoundationEssentials
internal import Synchronization

/// A clock that stands still until a test advances it.
public final class ManualTimeSource: TimeSource {
    private struct Sleeper {
        let id: UInt64
        let wakesAt: Duration
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var elapsed = Duration.zero
        var lastID: UInt64 = 0
        var sleepers: [Sleeper] = []
    }

    private let start: Date
    private let state = Mutex(State())

    /// A clock that stands at the given time.
    public init(start: Date = Date(timeIntervalSince1970: 1_800_000_000)) {
        self.start = start
    }

    /// Where the clock stands.
    public var now: Date { start.addingTimeInterval(state.withLock { $0.elapsed }.inSeconds) }

    /// How many tasks are asleep.
    public var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    /// How long until the first sleeper wakes; `nil` if nobody sleeps.
    public var untilFirstWake: Duration? {
        state.withLock { state in state.sleepers.map(\.wakesAt).min().map { $0 - state.elapsed } }
    }

    /// Sleeps until the clock was advanced by so much.
    public func sleep(for duration: Duration) async throws(CancellationError) {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        let wasSlept = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDue = state.withLock { state -> Bool? in
                    if Task.isCancelled { return false }
                    if duration <= .zero { return true }
                    state.sleepers.append(
                        Sleeper(id: id, wakesAt: state.elapsed + duration, continuation: continuation)
                    )
                    return nil
                }
                if let isDue { continuation.resume(returning: isDue) }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                state.sleepers.firstIndex { $0.id == id }.map { state.sleepers.remove(at: $0) }
            }
            sleeper?.continuation.resume(returning: false)
        }
        if !wasSlept { throw CancellationError() }
    }

    /// Moves the clock on and wakes, in order, those whose time has come.
    ///
    /// Whoever is about to sleep is missed: await ``sleepers(_:)`` first.
    public func advance(by duration: Duration) {
        let due = state.withLock { state in
            state.elapsed += duration
            let due = state.sleepers.filter { $0.wakesAt <= state.elapsed }
            state.sleepers.removeAll { $0.wakesAt <= state.elapsed }
            return due.sorted { ($0.wakesAt, $0.id) < ($1.wakesAt, $1.id) }
        }
        for sleeper in due { sleeper.continuation.resume(returning: true) }
    }

    /// Waits until so many tasks are asleep.
    public func sleepers(_ count: Int = 1) async throws {
        try await eventually("\(count) tasks are asleep") { sleeperCount >= count }
    }
}

internal import FoundationEssentials
internal import Synchronization

/// Acts at a set time with a single sleeping task, however many things are due later.
///
/// The task belongs to the alarm and is cancelled with it.
final class Alarm: Sendable {
    private struct State {
        var due: Date?
        var setting: UInt64 = 0
        var task: Task<Void, Never>?
    }

    private let time: any TimeSource
    private let state = Mutex(State())

    init(time: any TimeSource) {
        self.time = time
    }

    deinit {
        state.withLock { $0.task }?.cancel()
    }

    /// Acts at `due`, unless the alarm is set for an earlier time; whoever acts then must set it again for what is left.
    func set(for due: Date, action: @escaping @Sendable () -> Void) {
        let superseded = state.withLock { state -> Task<Void, Never>? in
            if let earlier = state.due, earlier <= due { return nil }
            let superseded = state.task
            state.setting += 1
            state.due = due
            state.task = Task { [weak self, time, setting = state.setting] in
                // A bounded nap: `Duration` cannot hold every distance between two dates.
                let wait = min(max(0, due.timeIntervalSince(time.now)), 86_400)
                do { try await time.sleep(for: .seconds(wait)) } catch { return }
                self?.ring(setting, action: action)
            }
            return superseded
        }
        superseded?.cancel()
    }

    /// Forgets what was set.
    func cancel() {
        let task = state.withLock { state in
            state.setting += 1
            state.due = nil
            return state.task.take()
        }
        task?.cancel()
    }

    private func ring(_ setting: UInt64, action: @Sendable () -> Void) {
        let isCurrent = state.withLock { state in
            guard state.setting == setting else { return false }
            state.due = nil
            state.task = nil
            return true
        }
        if isCurrent { action() }
    }
}

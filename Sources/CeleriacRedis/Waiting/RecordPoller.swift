internal import CeleriacCore
internal import Redis
internal import Synchronization

/// Looks at records that are waited for, now and then, so that a lost announcement delays a wait rather than end it in vain.
///
/// Announcements get lost: when the server drops a subscriber that is too slow, in a fail-over, or when a program stores a
/// result without announcing it. One task looks for all waits, at the beginnings of many records with one write; it exists
/// as long as there are waits, and a moment longer.
final class RecordPoller: Sendable {
    private struct State {
        var schedule: PollSchedule
        var watchers: [PollSchedule.ID: @Sendable (Bool) -> Void] = [:]
        var running: Task<Void, Never>?
        var isClosed = false
    }

    /// Looks that travel together.
    private static let batch = 512
    /// Between two batches, so that the load is bounded however many wait.
    private static let breath = Duration.milliseconds(100)
    /// Of a document, enough for its status.
    private static let prefix = 40

    private let link: RedisLink
    private let settings: PollSchedule.Settings
    private let state: Mutex<State>

    init(_ link: RedisLink, _ settings: PollSchedule.Settings) {
        self.link = link
        self.settings = settings
        state = Mutex(State(schedule: PollSchedule(settings)))
    }

    deinit { state.withLock { $0.running }?.cancel() }

    /// A place among those for whom records are looked at; dropping it ends it.
    final class Watch: Sendable {
        private let poller: RecordPoller
        private let id: PollSchedule.ID

        fileprivate init(_ poller: RecordPoller, _ id: PollSchedule.ID) {
            self.poller = poller
            self.id = id
        }

        deinit { poller.leave(id) }
    }

    /// Waits that are looked after.
    var watchedCount: Int { state.withLock { $0.schedule.count } }

    /// Begins to look at a task's record.
    ///
    /// - Parameter onRecord: Called whenever there is a record, and told whether it may be final. Must be quick.
    func watch(_ task: TaskID, onRecord: @escaping @Sendable (Bool) -> Void) -> Watch {
        let id = state.withLock { state in
            let id = state.schedule.join(task, now: .now)
            state.watchers[id] = onRecord
            if state.running == nil, !state.isClosed {
                // Ends when nobody waits; `close` cancels and awaits it.
                state.running = Task { [weak self, settings] in
                    while let pause = self?.pause(), (try? await Task.sleep(for: pause)) != nil {
                        await self?.look(pause: settings.first)
                    }
                }
            }
            return id
        }
        return Watch(self, id)
    }

    private func leave(_ id: PollSchedule.ID) {
        // What the closure holds is let go outside the lock.
        _ = state.withLock { state in
            state.schedule.leave(id)
            return state.watchers.removeValue(forKey: id)
        }
    }

    /// How long to sleep; `nil` when nobody waits any more, and the task is to end.
    private func pause() -> Duration? {
        state.withLock { state in
            guard state.schedule.count > 0, !state.isClosed, let next = state.schedule.next else {
                state.running = nil
                return nil
            }
            // Whoever comes meanwhile is to be looked after in time.
            return max(Self.breath, min(settings.first, ContinuousClock.now.duration(to: next)))
        }
    }

    private func look(pause: Duration) async {
        let due = state.withLock { $0.schedule.due(now: .now, atMost: Self.batch) }
        guard !due.isEmpty else { return }
        let commands = due.map { RedisCommand("GETRANGE", RedisResultBackend.key(of: $0.task), 0, Self.prefix - 1) }
        // Without an answer there is another look; a server that is away is noticed by others.
        guard let replies = try? await link.client.pipeline(commands, timeout: .seconds(5), retry: .idempotent) else {
            return
        }
        for ((id, _), reply) in zip(due, replies) {
            guard let beginning = reply.bytes, !beginning.isEmpty else { continue }
            state.withLock { $0.watchers[id] }?(Self.mayBeFinal(beginning))
        }
    }

    /// Whether a document that begins so may tell of an end; of a compressed or unusual one nothing is known.
    static func mayBeFinal(_ beginning: [UInt8]) -> Bool {
        let text = String(decoding: beginning, as: UTF8.self)
        guard let status = text.firstMatch(of: /^\{"status": ?"([A-Z]+)"/) else { return true }
        return TaskState(String(status.1)).isFinal
    }

    /// Ends the looks.
    func close() async {
        let running = state.withLock { state in
            state.isClosed = true
            return state.running
        }
        running?.cancel()
        await running?.value
    }
}

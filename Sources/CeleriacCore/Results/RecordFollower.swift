internal import Synchronization

/// Follows tasks to their ends: what is stored of each, then what is stored anew.
///
/// It keeps the ids of tasks of which there is news, never the news: a slow reader sees the latest record, and memory is
/// bounded by the number of tasks. Used by one reader at a time.
final class RecordFollower: Sendable {
    private enum Wake: Sendable {
        case news, timedOut, cancelled, closed
    }

    private struct State {
        /// Those that have not ended, as far as was read.
        var pending: Set<TaskID>
        var news = FIFO<TaskID>()
        var isNews: Set<TaskID> = []
        var waiter: CheckedContinuation<Wake, Never>?
        var isClosed = false
        var listening: (any ResultListening)?
    }

    /// Records read ahead; this many are in memory at most.
    private static let batch = 16
    /// Between looks at a backend that cannot answer.
    private static let pause = Duration.milliseconds(250)

    private let results: any ResultBackend
    private let time: any TimeSource
    private let state: Mutex<State>

    /// Listens to the tasks, and counts all as news, so that what is stored already is read first.
    static func start(
        _ tasks: [TaskID],
        _ results: any ResultBackend,
        time: any TimeSource,
        within timeout: Duration
    ) async throws(CeleriacError) -> RecordFollower {
        let follower = RecordFollower(tasks, results, time)
        let listening = try await results.listen(to: tasks, within: timeout) { [weak follower] event in
            follower?.note(event)
        }
        follower.state.withLock { $0.listening = listening }
        for task in tasks { follower.note(.stored(task)) }
        return follower
    }

    private init(_ tasks: [TaskID], _ results: any ResultBackend, _ time: any TimeSource) {
        self.results = results
        self.time = time
        state = Mutex(State(pending: Set(tasks)))
    }

    /// Whether all tasks have ended.
    var isDone: Bool { state.withLock { $0.pending.isEmpty } }

    /// Whether this is the first time that the task is seen to have ended; it is not followed further.
    func end(_ task: TaskID) -> Bool {
        let (isFirst, listening) = state.withLock { state in
            (state.pending.remove(task) != nil, state.listening)
        }
        if isFirst { listening?.leave(task) }
        return isFirst
    }

    /// Waits for news and reads some of it; the reader puts what it gets into a buffer of its own.
    ///
    /// A backend that cannot answer is asked again: the driver's patience for one look may be shorter than the reader's for
    /// all of them.
    ///
    /// - Throws: ``CeleriacError``: `.timedOut`, `.cancelled`, `.closed`, or the backend's.
    func read(within timeout: Duration) async throws(CeleriacError) -> [TaskRecord] {
        let deadline = ContinuousClock.now + timeout
        while true {
            let tasks = takeNews()
            if !tasks.isEmpty {
                do throws(CeleriacError) {
                    return try await records(of: tasks)
                } catch {
                    let remaining = ContinuousClock.now.duration(to: deadline)
                    guard error.isPassing || error.code == .timedOut, remaining > Self.pause else { throw error }
                    for task in tasks { note(.stored(task)) }
                }
                guard (try? await time.sleep(for: Self.pause)) != nil else {
                    throw CeleriacError(.cancelled, "waiting for tasks was cancelled")
                }
                continue
            }
            switch await wait(within: ContinuousClock.now.duration(to: deadline)) {
            case .news: break
            case .timedOut:
                let count = state.withLock { $0.pending.count }
                throw CeleriacError(.timedOut, "\(count) of the tasks have not ended in time")
            case .cancelled: throw CeleriacError(.cancelled, "waiting for tasks was cancelled")
            case .closed: throw CeleriacError(.closed, "the result backend was closed")
            }
        }
    }

    private func takeNews() -> [TaskID] {
        state.withLock { state in
            var tasks: [TaskID] = []
            while tasks.count < Self.batch, let task = state.news.popFirst() {
                state.isNews.remove(task)
                if state.pending.contains(task) { tasks.append(task) }
            }
            return tasks
        }
    }

    private func records(of tasks: [TaskID]) async throws(CeleriacError) -> [TaskRecord] {
        if tasks.count == 1 { return try await results.record(of: tasks[0]).map { [$0] } ?? [] }
        let read = await withTaskGroup(of: (Int, Result<TaskRecord?, CeleriacError>).self) { group in
            for (index, task) in tasks.enumerated() {
                group.addTask { [results] in
                    do throws(CeleriacError) {
                        return (index, .success(try await results.record(of: task)))
                    } catch {
                        return (index, .failure(error))
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        var records: [TaskRecord] = []
        for (_, result) in read.sorted(by: { $0.0 < $1.0 }) {
            if let record = try result.get() { records.append(record) }
        }
        return records
    }

    private func note(_ event: ResultEvent) {
        let (waiter, wake) = state.withLock { state -> (CheckedContinuation<Wake, Never>?, Wake) in
            switch event {
            case .stored(let task):
                guard state.pending.contains(task), state.isNews.insert(task).inserted else { return (nil, .news) }
                state.news.append(task)
                return (state.waiter.take(), .news)
            case .closed:
                state.isClosed = true
                return (state.waiter.take(), .closed)
            }
        }
        waiter?.resume(returning: wake)
    }

    private func wait(within timeout: Duration) async -> Wake {
        guard timeout > .zero else { return .timedOut }
        return await withTaskGroup(of: Wake.self) { group in
            group.addTask { await self.news() }
            group.addTask { [time] in (try? await time.sleep(for: timeout)) == nil ? .cancelled : .timedOut }
            let first = await group.next() ?? .cancelled
            group.cancelAll()
            return first
        }
    }

    private func news() async -> Wake {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let immediate = state.withLock { state -> Wake? in
                    if !state.news.isEmpty { return .news }
                    if state.isClosed { return .closed }
                    // Looked at under the lock: a cancellation that is not seen here finds the waiter.
                    if Task.isCancelled { return .cancelled }
                    state.waiter = continuation
                    return nil
                }
                if let immediate { continuation.resume(returning: immediate) }
            }
        } onCancel: {
            state.withLock { $0.waiter.take() }?.resume(returning: .cancelled)
        }
    }
}

/// Reads what a ``RecordFollower`` finds, record by record, under one deadline.
struct RecordReader {
    private let tasks: [TaskID]
    private let app: TaskApp
    private let timeout: Duration
    private var follower: RecordFollower?
    private var deadline = ContinuousClock.now
    private var isOver = false
    private var buffer: ArraySlice<TaskRecord> = []

    init(_ tasks: [TaskID], _ app: TaskApp, within timeout: Duration) {
        self.tasks = tasks
        self.app = app
        self.timeout = timeout
    }

    /// The next record that was stored; `nil` once the end of every task was given, or after an error.
    mutating func next() async throws(CeleriacError) -> TaskRecord? {
        guard !isOver else { return nil }
        do throws(CeleriacError) {
            let follower = try await started()
            while true {
                if let record = buffer.popFirst() {
                    if !record.state.isFinal || follower.end(record.task) { return record }
                } else if follower.isDone {
                    break
                } else {
                    let remaining = ContinuousClock.now.duration(to: deadline)
                    buffer = try await follower.read(within: remaining)[...]
                }
            }
            finish()
            return nil
        } catch {
            finish()
            throw error
        }
    }

    private mutating func started() async throws(CeleriacError) -> RecordFollower {
        if let follower { return follower }
        deadline = .now + timeout
        let results = try app.drivers().results
        let made = try await RecordFollower.start(tasks, results, time: app.configuration.time, within: timeout)
        follower = made
        return made
    }

    /// Listens no longer, even if the reader is kept.
    private mutating func finish() {
        isOver = true
        follower = nil
        buffer = []
    }
}

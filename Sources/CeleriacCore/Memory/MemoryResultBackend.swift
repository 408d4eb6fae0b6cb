internal import FoundationEssentials
internal import Synchronization

/// A result backend inside this process; everything in it is lost when the process ends.
public final class MemoryResultBackend: ResultBackend {
    fileprivate enum Outcome: Sendable {
        case ended(TaskRecord)
        case timedOut
        case cancelled
        case closed
    }

    fileprivate struct Waiter {
        let task: TaskID
        let deadline: Date
        let continuation: CheckedContinuation<Outcome, Never>
    }

    fileprivate struct Kept {
        let record: TaskRecord
        let expiresAt: Date
        var octets: Int { 512 + record.document.count }
    }

    /// Something that ends at a time.
    ///
    /// Times are looked up again when they come, so an outdated entry does no harm.
    fileprivate struct Due<Subject: Sendable>: Comparable {
        let date: Date
        let subject: Subject

        static func < (left: Due, right: Due) -> Bool { left.date < right.date }
        static func == (left: Due, right: Due) -> Bool { left.date == right.date }
    }

    fileprivate struct State {
        var kept: [TaskID: Kept] = [:]
        var heldOctets = 0
        /// One entry for each record, except that a record deleted early leaves its entry for a while.
        var expiries = Heap<Due<TaskID>>()
        var waiters: [UInt64: Waiter] = [:]
        var waiting: [TaskID: [UInt64]] = [:]
        var deadlines = Heap<Due<UInt64>>()
        var listeners: [TaskID: [UInt64: @Sendable (ResultEvent) -> Void]] = [:]
        var lastWaiter: UInt64 = 0
        var isClosed = false
    }

    private let maximumOctets: Int
    private let time: any TimeSource
    private let alarm: Alarm
    private let state = Mutex(State())

    /// An empty backend.
    ///
    /// - Parameters:
    ///   - maximumOctets: The most that is kept over all records; beyond, storing is refused.
    ///   - time: The clock of expiry and time limits.
    public init(maximumOctets: Int = 1 << 30, time: any TimeSource = SystemTimeSource()) {
        self.maximumOctets = maximumOctets
        self.time = time
        alarm = Alarm(time: time)
    }

    /// `memory://`.
    public var address: String { "memory://" }

    /// Everything within this process.
    public var abilities: ResultAbilities { [.anyCall, .immediate] }

    /// Does nothing, as there is nothing to connect to.
    public func open(within timeout: Duration) async throws(CeleriacError) {
        try withState { _, _ in }
    }

    /// Stores a record and wakes those who wait for it, unless what is stored already is to stay.
    ///
    /// - Throws: ``CeleriacError``: `.refused` beyond the limit, `.closed`.
    @discardableResult
    public func store(
        _ record: TaskRecord,
        ttl: Duration,
        within timeout: Duration
    ) async throws(CeleriacError) -> Bool {
        enum Storing {
            case stored([Waiter], [@Sendable (ResultEvent) -> Void])
            case formerStays
            case full(held: Int)
        }
        let storing = try withState { state, now -> Storing in
            // A few at a time, so that no caller pays for all.
            state.sweep(at: now, atMost: 8)
            let former = state.valid(record.task, at: now)
            if let former, former.record.outlasts(record) { return .formerStays }
            var noted = record
            noted.attempt = record.fence
            let kept = Kept(record: noted, expiresAt: now.addingTimeInterval(ttl.inSeconds))
            if state.heldOctets + kept.octets > maximumOctets {
                state.sweep(at: now, atMost: .max)
                guard state.heldOctets + kept.octets <= maximumOctets else { return .full(held: state.heldOctets) }
            }
            state.keep(kept)
            let waiters = record.state.isFinal ? state.removeWaiters(of: record.task) : []
            return .stored(waiters, state.listeners[record.task].map { Array($0.values) } ?? [])
        }
        switch storing {
        case .stored(let waiters, let listeners):
            for waiter in waiters { waiter.continuation.resume(returning: .ended(record)) }
            for listener in listeners { listener(.stored(record.task)) }
            return true
        case .formerStays:
            return false
        case .full(let held):
            throw CeleriacError(
                .refused,
                "the result backend in memory is full: \(held) octets held, the record does not fit its limit any more"
            )
        }
    }

    /// The latest record of a task; `nil` if there is none.
    public func record(of task: TaskID) async throws(CeleriacError) -> TaskRecord? {
        try withState { state, now in state.valid(task, at: now)?.record }
    }

    /// Waits until a task has ended.
    ///
    /// - Throws: ``CeleriacError``: `.timedOut`, `.cancelled`, `.closed`.
    public func outcome(of task: TaskID, within timeout: Duration) async throws(CeleriacError) -> TaskRecord {
        let waiter = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                wait(for: task, within: timeout, as: waiter, continuation)
            }
        } onCancel: {
            state.withLock { $0.removeWaiter(waiter) }?.continuation.resume(returning: .cancelled)
        }
        switch outcome {
        case .ended(let record): return record
        case .timedOut: throw CeleriacError(.timedOut, "task \(task) has not ended within \(timeout)")
        case .cancelled: throw CeleriacError(.cancelled, "waiting for task \(task) was cancelled")
        case .closed: throw Self.closed
        }
    }

    /// Deletes a task's record.
    public func forget(_ task: TaskID) async throws(CeleriacError) {
        try withState { state, _ in state.drop(task) }
    }

    /// Tells of each record that is stored of some tasks, from now on.
    ///
    /// - Throws: ``CeleriacError`` `.closed`.
    public func listen(
        to tasks: [TaskID],
        within timeout: Duration,
        onEvent: @escaping @Sendable (ResultEvent) -> Void
    ) async throws(CeleriacError) -> any ResultListening {
        let id = try withState { state, _ in
            state.lastWaiter += 1
            for task in tasks { state.listeners[task, default: [:]][state.lastWaiter] = onEvent }
            return state.lastWaiter
        }
        return Listening(self, id, tasks)
    }

    /// Tasks that somebody listens to.
    package var listenedCount: Int { state.withLock { $0.listeners.count } }

    private final class Listening: ResultListening {
        private let backend: MemoryResultBackend
        private let id: UInt64
        private let tasks: [TaskID]

        init(_ backend: MemoryResultBackend, _ id: UInt64, _ tasks: [TaskID]) {
            self.backend = backend
            self.id = id
            self.tasks = tasks
        }

        deinit {
            for task in tasks { leave(task) }
        }

        func leave(_ task: TaskID) {
            backend.state.withLock { state in
                guard state.listeners[task]?.removeValue(forKey: id) != nil else { return }
                if state.listeners[task]?.isEmpty == true { state.listeners[task] = nil }
            }
        }
    }

    /// Forgets all records; waits in progress end with `.closed`.
    public func close() async {
        alarm.cancel()
        let (waiters, listeners) = state.withLock { state in
            let waiters = Array(state.waiters.values)
            let listeners = state.listeners.values.flatMap(\.values)
            state = State()
            state.isClosed = true
            return (waiters, listeners)
        }
        for waiter in waiters { waiter.continuation.resume(returning: .closed) }
        for listener in listeners { listener(.closed) }
    }

    private static var closed: CeleriacError { CeleriacError(.closed, "the result backend in memory was closed") }

    private func withState<Value>(_ body: (inout State, Date) -> sending Value) throws(CeleriacError) -> Value {
        let now = time.now
        return try state.withLock { state throws(CeleriacError) in
            if state.isClosed { throw Self.closed }
            return body(&state, now)
        }
    }

    private func wait(
        for task: TaskID,
        within timeout: Duration,
        as id: UInt64,
        _ continuation: CheckedContinuation<Outcome, Never>
    ) {
        let now = time.now
        let deadline = now.addingTimeInterval(timeout.inSeconds)
        let outcome = state.withLock { state -> Outcome? in
            if state.isClosed { return .closed }
            if let record = state.valid(task, at: now)?.record, record.state.isFinal { return .ended(record) }
            if timeout <= .zero { return .timedOut }
            // Looked at under the lock: a cancellation that is not seen here finds the waiter.
            if Task.isCancelled { return .cancelled }
            state.waiters[id] = Waiter(task: task, deadline: deadline, continuation: continuation)
            state.waiting[task, default: []].append(id)
            state.deadlines.insert(Due(date: deadline, subject: id))
            return nil
        }
        if let outcome { continuation.resume(returning: outcome) } else { setAlarm(for: deadline) }
    }

    private func setAlarm(for due: Date) {
        alarm.set(for: due) { [weak self] in self?.endOverdueWaits() }
    }

    private func endOverdueWaits() {
        // Without tolerance a sum of floating-point times may miss its own time by the last bit.
        let limit = time.now.addingTimeInterval(0.001)
        let (overdue, next) = state.withLock { state in
            var overdue: [Waiter] = []
            while let first = state.deadlines.first, first.date <= limit {
                _ = state.deadlines.popFirst()
                if let waiter = state.removeWaiter(first.subject) { overdue.append(waiter) }
            }
            return (overdue, state.deadlines.first?.date)
        }
        for waiter in overdue { waiter.continuation.resume(returning: .timedOut) }
        if let next { setAlarm(for: next) }
    }
}

extension MemoryResultBackend.State {
    fileprivate func valid(_ task: TaskID, at now: Date) -> MemoryResultBackend.Kept? {
        guard let kept = kept[task], kept.expiresAt > now else { return nil }
        return kept
    }

    fileprivate mutating func keep(_ new: MemoryResultBackend.Kept) {
        let former = kept.updateValue(new, forKey: new.record.task)
        heldOctets += new.octets - (former?.octets ?? 0)
        guard former == nil else { return }
        expiries.insert(.init(date: new.expiresAt, subject: new.record.task))
        if expiries.count > 2 * kept.count + 1024 {
            expiries = Heap(kept.values.map { .init(date: $0.expiresAt, subject: $0.record.task) })
        }
    }

    fileprivate mutating func drop(_ task: TaskID) {
        if let dropped = kept.removeValue(forKey: task) { heldOctets -= dropped.octets }
    }

    fileprivate mutating func sweep(at now: Date, atMost limit: Int) {
        var count = 0
        while count < limit, let first = expiries.first, first.date <= now {
            _ = expiries.popFirst()
            count += 1
            guard let kept = kept[first.subject] else { continue }
            if kept.expiresAt <= now {
                drop(first.subject)
            } else {
                expiries.insert(.init(date: kept.expiresAt, subject: first.subject))
            }
        }
    }

    fileprivate mutating func removeWaiters(of task: TaskID) -> [MemoryResultBackend.Waiter] {
        guard let ids = waiting.removeValue(forKey: task) else { return [] }
        let removed = ids.compactMap { waiters.removeValue(forKey: $0) }
        forgetOldDeadlines()
        return removed
    }

    fileprivate mutating func removeWaiter(_ id: UInt64) -> MemoryResultBackend.Waiter? {
        guard let waiter = waiters.removeValue(forKey: id) else { return nil }
        waiting[waiter.task]?.removeAll { $0 == id }
        if waiting[waiter.task]?.isEmpty == true { waiting[waiter.task] = nil }
        forgetOldDeadlines()
        return waiter
    }

    /// Those woken early leave their deadlines behind; with long limits and quick tasks these would pile up.
    private mutating func forgetOldDeadlines() {
        guard deadlines.count > 2 * waiters.count + 1024 else { return }
        deadlines = Heap(waiters.map { .init(date: $0.value.deadline, subject: $0.key) })
    }
}

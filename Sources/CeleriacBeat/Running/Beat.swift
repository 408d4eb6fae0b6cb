public import CeleriacCore
internal import FoundationEssentials
internal import Synchronization

/// Emits the tasks of a schedule when they are due.
///
/// Any number of beats may run with the same store and schedule name. One of them leads, by a lease that it renews at a
/// third of its length; the others wait and ask for the leadership fifteen times per lease. When the leader dies, another
/// takes over once the lease has ended, and goes on where it stopped: a slot is emitted once, and late slots follow their
/// entry's ``MisfirePolicy``.
///
/// Before each emission the slot is claimed in the store, which refuses whoever does not lead any more. When a leader dies
/// between claim and confirm, the next one emits that slot again with the same task id, so that a worker that sees both
/// can tell.
///
/// While the store cannot be reached, no beat emits: before the lease could have ended, the leader stops. Beats keep
/// trying and never exit by themselves.
public final class Beat: Sendable {
    enum Event: Sendable {
        case lead(generation: Int, Result<Bool, CeleriacError>)
        case leaseEnds(generation: Int)
        case loaded(Int, slot: Date?, isSent: Bool)
        case claimed(Int, Planner.Claim)
        case sent(Int, slot: Date, id: TaskID)
        case overlapped(Int, slot: Date, running: TaskID?)
        case marked(Int)
        case failed(Int, slot: Date?, reason: String)
        case shutDown
        case shutDownDeadline
    }

    let entries: [ScheduleEntry]
    let plans: [Planner.Plan]
    let store: any ScheduleStore
    /// The name under which beats share their leadership and slots.
    public let scheduleName: String
    /// The name of this beat among those of the schedule.
    public let identity: String
    let lease: Duration
    let time: any TimeSource
    let logger: TaskLogger
    let onEvent: @Sendable (BeatEvent) -> Void
    let mailbox = Mailbox<Event>()
    private let wasRun = Mutex(false)

    /// Steps under way at once: a slow broker then holds back some entries, not all.
    static let maximumConcurrency = 64
    /// How long one call of store or broker may take.
    static let stepLimit: Duration = .seconds(30)
    /// How long ``shutDown()`` waits for what is being emitted.
    static let shutDownLimit: Duration = .seconds(10)

    /// A beat, not yet running.
    ///
    /// - Parameters:
    ///   - schedule: What to emit when. Beats of one schedule name should have the same schedule.
    ///   - scheduleName: The name under which beats share their leadership and slots.
    ///   - identity: The name of this beat, unique among those of the schedule; by default a random one.
    ///   - lease: How long a leadership lasts without renewal, at least 100 milliseconds.
    ///   - onEvent: Called with each event, in order; it must not block.
    /// - Throws: ``CeleriacError``, code `.configuration`, if the schedule or the lease is not valid.
    public init(
        _ schedule: Schedule,
        store: any ScheduleStore,
        scheduleName: String = "celeriac",
        identity: String? = nil,
        lease: Duration = .seconds(15),
        time: any TimeSource = SystemTimeSource(),
        logger: TaskLogger = .silent,
        onEvent: @escaping @Sendable (BeatEvent) -> Void = { _ in }
    ) throws(CeleriacError) {
        guard lease >= .milliseconds(100) else {
            throw CeleriacError(.configuration, "beat lease \(lease) is shorter than 0.1 seconds")
        }
        entries = schedule.entries
        plans = try schedule.plans()
        self.store = store
        self.scheduleName = scheduleName
        self.identity = identity ?? UUID().uuidString
        self.lease = lease
        self.time = time
        self.logger = logger.with(("schedule", scheduleName), ("beat", self.identity))
        self.onEvent = onEvent
    }

    /// Emits tasks until the task is cancelled or ``shutDown()`` is called; at the end gives up the leadership.
    ///
    /// Cancellation interrupts what is being emitted; the next leader then emits it again, with the same id.
    ///
    /// - Throws: `CancellationError` when cancelled; ``CeleriacError``, code `.closed`, if it was run before.
    public func run() async throws {
        let isFirst = wasRun.withLock { wasRun in
            defer { wasRun = true }
            return !wasRun
        }
        guard isFirst else { throw CeleriacError(.closed, "a beat runs only once") }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.keepAskingForLeadership() }
            await decide(in: &group)
            group.cancelAll()
        }
        await resign()
        try Task.checkCancellation()
    }

    /// Starts nothing new, lets what is being emitted finish for up to ten seconds, then ends ``run()``.
    public func shutDown() {
        mailbox.post(.shutDown)
    }

    /// Gives the leadership up, also when this task is cancelled.
    private func resign() async {
        // Awaited, and a task of its own only because cancellation must not reach it.
        let resigning = Task { [self] in
            try await limited(to: min(lease / 3, .seconds(5))) { try await $0.resign($1, as: $2) }
        }
        if case .failure(let error) = await resigning.result {
            logger.warning("Could not resign; the leadership ends with its lease", metadata: [("error", "\(error)")])
        }
    }

    /// Calls the store, for a limited time.
    func limited<Value: Sendable>(
        to limit: Duration,
        _ call: @escaping @Sendable (any ScheduleStore, _ schedule: String, _ owner: String) async throws -> Value
    ) async throws -> Value {
        try await withTimeLimit(limit, time) { [store, scheduleName, identity] in
            try await call(store, scheduleName, identity)
        }
    }
}

/// Ends a call that takes too long, by cancelling it.
func withTimeLimit<Value: Sendable>(
    _ limit: Duration,
    _ time: any TimeSource,
    _ call: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await call() }
        group.addTask {
            try await time.sleep(for: limit)
            return nil
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() ?? nil else {
            throw CeleriacError(.timedOut, "no answer within \(limit)", isIndeterminate: true)
        }
        return value
    }
}

public import FoundationEssentials
internal import Synchronization

/// What a running task knows of its own call.
public struct TaskContext: Sendable {
    /// The running call, in code below a task's body that was not handed the context.
    @TaskLocal public static var current: TaskContext?

    /// Kept apart, so that copies of the context are cheap.
    private final class Call: Sendable {
        let message: TaskMessage
        let queue: QueueName
        let isRedelivered: Bool
        let deliveryCount: Int?
        let deadline: Date?
        let logger: TaskLogger
        let run: Attempt
        let reporter: (any StateReporter)?
        let children = Mutex<[TaskID]>([])
        let lockFence = Mutex<UInt64?>(nil)

        init(
            _ message: TaskMessage,
            _ queue: QueueName,
            isRedelivered: Bool,
            deliveryCount: Int?,
            deadline: Date?,
            logger: TaskLogger,
            run: Attempt,
            reporter: (any StateReporter)?
        ) {
            self.message = message
            self.queue = queue
            self.isRedelivered = isRedelivered
            self.deliveryCount = deliveryCount
            self.deadline = deadline
            self.logger = logger
            self.run = run
            self.reporter = reporter
        }
    }

    private let call: Call

    package init(
        message: TaskMessage,
        queue: QueueName,
        isRedelivered: Bool,
        deliveryCount: Int? = nil,
        deadline: Date?,
        logger: TaskLogger,
        run: Attempt = .first,
        reporter: (any StateReporter)? = nil
    ) {
        call = Call(
            message,
            queue,
            isRedelivered: isRedelivered,
            deliveryCount: deliveryCount,
            deadline: deadline,
            logger: logger,
            run: run,
            reporter: reporter
        )
    }

    package var message: TaskMessage { call.message }
    /// Which run of the message this is.
    package var run: Attempt { call.run }
    /// The tasks published by the running one so far.
    package var childIDs: [TaskID] { call.children.withLock { $0 } }

    /// More children than these are not recorded: the record would grow without bound.
    package static let maximumChildren = 10_000

    package func note(child: TaskID) {
        call.children.withLock { children in
            if children.count < Self.maximumChildren { children.append(child) }
        }
    }

    /// Tells the body under which fence its lock is held.
    package func note(lockFence: UInt64?) {
        call.lockFence.withLock { $0 = lockFence }
    }

    /// The fencing number of the call's lock, if it is unique until it has finished.
    ///
    /// It grows with every change of the lock's owner. A body whose worker was stopped for longer than the lease runs on
    /// while an equal call has the lock already; so let what stores the body's effects refuse a number smaller than one it
    /// has seen. `nil` if the call has no lock while it runs, if an equal call had it when this one began, and with
    /// ``UniquePolicy/celeryOnce(keys:timeout:unlockBeforeRun:onConflict:)``.
    public var lockFence: UInt64? { call.lockFence.withLock { $0 } }

    /// The call's id.
    public var id: TaskID { call.message.id }
    /// The task's name.
    public var name: TaskName { call.message.task }
    /// Which run this is, from 1.
    public var attempt: Int { call.message.retries + 1 }
    /// The first call of the workflow.
    public var rootID: TaskID { call.message.root }
    /// The call that published this one.
    public var parentID: TaskID? { call.message.parent }
    /// The group the call belongs to.
    public var groupID: String? { call.message.group }
    /// The queue the call was taken from.
    public var queue: QueueName { call.queue }
    /// Whether the message was delivered before and not acknowledged, so that the task may have run, wholly or in part.
    public var isRedelivered: Bool { call.isRedelivered }
    /// How often the message was delivered before; `nil` the first time, and on classic queues, which do not count.
    ///
    /// Only RabbitMQ's quorum queues do. A retry, and a call that has waited for its eta, is a message of its own.
    public var deliveryCount: Int? { call.deliveryCount }
    /// The caller's own headers.
    public var headers: MessageHeaders { call.message.headers }
    /// When the call's eta was, if it had one.
    public var eta: Date? { call.message.eta }
    /// When the soft time limit cancels the task.
    public var deadline: Date? { call.deadline }
    /// Writes log lines that carry the task's name, id and attempt.
    public var logger: TaskLogger {
        call.logger.with(("task", name.rawValue), ("id", id.rawValue), ("attempt", String(attempt)))
    }
}

extension TaskContext {
    /// Tells how far the task is: its state is ``TaskState/progress`` until it tells another, or ends.
    ///
    /// - Throws: ``CeleriacError``; see ``update(state:meta:)``.
    public func report(progress: TaskProgress) async throws(CeleriacError) {
        try await update(state: .progress, meta: progress)
    }

    /// Puts the task into a state of its own, for ``TaskHandle/state()`` and Python's `AsyncResult.state`.
    ///
    /// Each call is a write and an announcement in the result backend, so a task with many small steps should tell every
    /// so many. Nothing is written if the call's result is ignored, or once a later run has written.
    ///
    /// - Parameters:
    ///   - state: A word of the task's own, or ``TaskState/progress`` or ``TaskState/started``.
    ///   - meta: What there is to know; Python's `AsyncResult.info`.
    /// - Throws: ``CeleriacError``: `.invalidPayload` for a state that is not a task's to set, or what has no JSON form;
    ///   `.tooLarge` beyond ``Configuration/maximumResultSize``; else the backend's. Most tasks will go on: `try?`.
    public func update<Meta: Encodable & Sendable>(state: TaskState, meta: Meta) async throws(CeleriacError) {
        guard state.isOnTheWay else {
            throw CeleriacError(.invalidPayload, "a running task cannot say of itself that it is \(state)")
        }
        try await call.reporter?.report(state, PayloadCoding.encode(meta), from: self)
    }
}

extension TaskContext {
    /// Has an effect outside at most once for a key, however often the call is retried or delivered again.
    ///
    /// ```swift
    /// try await context.once("charge") { try await bank.charge(order) }
    /// ```
    ///
    /// The key is noted before the effect, in the lock store: after a crash in between, or an error of the effect itself,
    /// it is not tried again. That is the price of never having it twice.
    ///
    /// - Parameters:
    ///   - key: Names the effect within the call.
    ///   - lifetime: How long the note is kept; longer than the call may go on being retried.
    /// - Returns: What the effect came to; `nil` if it was begun before.
    /// - Throws: The effect's error; ``CeleriacError`` if the key cannot be noted, and then the effect did not begin.
    public func once<Value>(
        _ key: String,
        keptFor lifetime: Duration = .seconds(7 * 86_400),
        _ effect: () async throws -> Value
    ) async throws -> Value? {
        if let reporter = call.reporter {
            guard try await reporter.claim("celeriac-once:\(id):\(key)", for: lifetime) else { return nil }
        }
        return try await effect()
    }
}

/// Stores what running tasks tell of themselves.
package protocol StateReporter: Sendable {
    /// Notes a key; `false` if it was noted before.
    func claim(_ key: String, for lease: Duration) async throws(CeleriacError) -> Bool
    func report(_ state: TaskState, _ meta: [UInt8], from context: TaskContext) async throws(CeleriacError)
}

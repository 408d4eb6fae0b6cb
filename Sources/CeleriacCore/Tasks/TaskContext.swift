public import FoundationEssentials

/// What a running task knows of its own call.
public struct TaskContext: Sendable {
    /// The running call, in code below a task's body that was not handed the context.
    @TaskLocal public static var current: TaskContext?

    /// Kept apart, so that copies of the context are cheap.
    private final class Call: Sendable {
        let message: TaskMessage
        let queue: QueueName
        let isRedelivered: Bool
        let deadline: Date?
        let logger: TaskLogger

        init(message: TaskMessage, queue: QueueName, isRedelivered: Bool, deadline: Date?, logger: TaskLogger) {
            self.message = message
            self.queue = queue
            self.isRedelivered = isRedelivered
            self.deadline = deadline
            self.logger = logger
        }
    }

    private let call: Call

    package init(message: TaskMessage, queue: QueueName, isRedelivered: Bool, deadline: Date?, logger: TaskLogger) {
        call = Call(message: message, queue: queue, isRedelivered: isRedelivered, deadline: deadline, logger: logger)
    }

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

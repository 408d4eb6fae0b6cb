public import CeleriacCore
internal import FoundationEssentials

/// A name no other test uses.
public func uniqueName(_ prefix: String = "test") -> String { "\(prefix).\(UUID().uuidString.lowercased())" }

/// A queue no other test uses.
public func uniqueQueue(maximumPriority: UInt8? = nil, messageTTL: Duration? = nil) -> QueueDeclaration {
    QueueDeclaration(QueueName(uniqueName()), maximumPriority: maximumPriority, messageTTL: messageTTL)
}

/// A task id no other test uses.
public func uniqueTask() -> TaskID { TaskID(UUID().uuidString.lowercased()) }

extension Message {
    /// A message with a text as its body.
    public static func text(_ text: String, priority: UInt8 = 0, expiration: Duration? = nil) -> Message {
        Message(priority: priority, expiration: expiration, body: Array(text.utf8))
    }

    /// The body as text.
    public var text: String { String(decoding: body, as: UTF8.self) }
}

extension Broker {
    /// Publishes texts one after the other.
    public func publish(_ texts: String..., to queue: QueueDeclaration) async throws {
        for text in texts { try await publish(.text(text), to: Route(to: queue)) }
    }

    /// Publishes a message with a time limit fit for tests.
    public func publish(_ message: Message, to route: Route, delay: Duration? = nil) async throws {
        try await publish(message, to: route, delay: delay, within: .seconds(20))
    }
}

extension TaskRecord {
    /// The record of a success with a JSON value.
    package static func success(_ task: TaskID, _ value: JSONValue = 42) -> TaskRecord {
        TaskRecord(task: task, state: .success, value: JSONText.value(value), at: Date())
    }

    /// The record of a failure.
    package static func failure(_ task: TaskID, _ text: String = "boom") -> TaskRecord {
        TaskRecord(
            task: task,
            state: .failure,
            failure: TaskFailure(type: "ValueError", arguments: [.string(text)], module: "builtins"),
            at: Date()
        )
    }

    /// The record of a task that has begun.
    package static func started(_ task: TaskID) -> TaskRecord {
        TaskRecord(task: task, state: .started, value: JSONText.object([("pid", JSONText.value(1))]), at: Date())
    }
}

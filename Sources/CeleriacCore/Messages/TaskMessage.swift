public import FoundationEssentials

/// One call of a task on the wire: Celery's message protocol 2.
///
/// Decoding keeps what it does not understand, so that a retried or forwarded message loses nothing.
public struct TaskMessage: Sendable, Hashable {
    /// How long a task may run, as its caller asked.
    public struct TimeLimits: Sendable, Hashable {
        /// After this the task is killed.
        public var hard: Duration?
        /// After this the task is cancelled.
        public var soft: Duration?

        /// Limits; none by default.
        public init(hard: Duration? = nil, soft: Duration? = nil) {
            self.hard = hard
            self.soft = soft
        }
    }

    /// The id of this call.
    public var id: TaskID
    /// The task to run.
    public var task: TaskName
    /// The sender's language.
    public var language = "swift"
    /// The name to show in logs in place of the task's.
    public var shadow: String?
    /// Not to be started before.
    public var eta: Date?
    /// Not to be started after.
    public var expires: Date?
    /// The group this call belongs to.
    public var group: String?
    /// The position in the group, from 0.
    public var groupIndex: Int?
    /// How often the call has been retried.
    public var retries = 0
    /// How long it may run.
    public var timeLimits = TimeLimits()
    /// The first call of the workflow; its own id if there is none.
    public var root: TaskID
    /// The call that published this one.
    public var parent: TaskID?
    /// The positional arguments as text, for logs and monitors.
    public var argumentsText: String?
    /// The keyword arguments as text, for logs and monitors.
    public var keywordsText: String?
    /// The process that published the call.
    public var origin: String?
    /// Whether the caller wants no result; `nil` leaves it to the task.
    public var ignoresResult: Bool?
    /// How often the task has replaced itself.
    public var replacedTaskNesting = 0
    /// The names of the stamps.
    public var stampedHeaders: HeaderValue = .null
    /// The stamps.
    public var stamps: HeaderValue = .table([:])
    /// How the body is compressed, as a content type; `nil` if it is not.
    public var compression: String?
    /// The caller's own headers.
    public var headers: MessageHeaders = [:]
    /// `[args, kwargs, embed]`, encoded as ``contentType`` says.
    public var body: [UInt8]
    /// The MIME type of the body.
    public var contentType: String? = "application/json"
    /// The character encoding of the body.
    public var contentEncoding: String? = "utf-8"
    /// Where results by message go.
    public var replyTo: String?
    /// What ties results by message to the call; the call's id if `nil`.
    public var correlationID: String?
    /// Larger is more urgent.
    public var priority: UInt8 = 0
    /// Whether the message survives a restart of the broker.
    public var isPersistent = true

    /// A call that is its own root.
    public init(id: TaskID, task: TaskName, body: [UInt8]) {
        self.id = id
        self.task = task
        self.body = body
        root = id
    }

    /// The name for logs and events.
    public var displayName: String { shadow ?? task.rawValue }
}

extension TaskMessage {
    /// The message as a broker carries it.
    ///
    /// - Parameter expiration: How long the broker may keep it; left out of delayed messages, whose stay in the delay
    ///   queues must not be cut short.
    package func encoded(expiration: Duration? = nil) -> Message {
        // Every header is sent, null included, in Celery's order (wire document §1.2).
        var table = MessageHeaders(capacity: 20 + headers.count)
        table.append("lang", .string(language))
        table.append("task", .string(task.rawValue))
        table.append("id", .string(id.rawValue))
        table.append("shadow", .optional(shadow))
        table.append("eta", .optional(eta.map(WireTime.text(of:))))
        table.append("expires", .optional(expires.map(WireTime.text(of:))))
        table.append("group", .optional(group))
        table.append("group_index", groupIndex.map { .int(Int64($0)) } ?? .null)
        table.append("retries", .int(Int64(retries)))
        table.append("timelimit", .array([.seconds(timeLimits.hard), .seconds(timeLimits.soft)]))  // hard first
        table.append("root_id", .string(root.rawValue))
        table.append("parent_id", .optional(parent?.rawValue))
        table.append("argsrepr", .optional(argumentsText))
        table.append("kwargsrepr", .optional(keywordsText))
        table.append("origin", .optional(origin))
        table.append("ignore_result", ignoresResult.map { .bool($0) } ?? .null)
        table.append("replaced_task_nesting", .int(Int64(replacedTaskNesting)))
        table.append("stamped_headers", stampedHeaders)
        table.append("stamps", stamps)
        if let compression { table.append("compression", .string(compression)) }
        for header in headers { table.append(header.name, header.value) }
        return Message(
            contentType: contentType,
            contentEncoding: contentEncoding,
            // A property holds 255 octets; the id of a foreign call may be longer, and is in the headers all the same.
            correlationID: correlationID ?? (id.rawValue.utf8.count <= 255 ? id.rawValue : nil),
            replyTo: replyTo ?? "",
            priority: priority,
            isPersistent: isPersistent,
            expiration: expiration,
            headers: table,
            body: body
        )
    }
}

extension HeaderValue {
    fileprivate static func optional(_ text: String?) -> HeaderValue { text.map { .string($0) } ?? .null }

    /// Whole seconds as an integer, as Python sends them; fractions as floating point.
    fileprivate static func seconds(_ duration: Duration?) -> HeaderValue {
        guard let duration else { return .null }
        return duration.components.attoseconds == 0
            ? .int(duration.components.seconds)
            : .double(duration.inSeconds)
    }
}

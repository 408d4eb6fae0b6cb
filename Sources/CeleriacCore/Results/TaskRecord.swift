public import FoundationEssentials

/// What a result backend knows of one task: Celery's meta document.
public struct TaskRecord: Sendable, Hashable {
    /// The task.
    public let task: TaskID
    /// Where it stands.
    public let state: TaskState
    /// What went wrong, in the states ``TaskState/isError``.
    public let failure: TaskFailure?
    /// When it ended, in the states ``TaskState/isFinal``.
    public let dateDone: Date?
    /// The group it belongs to.
    public let group: String?
    /// The task that published it.
    public let parent: TaskID?
    /// The tasks that it published while running; for a group its members.
    public let children: [TaskID]
    /// The whole document: JSON, as stored.
    package let document: [UInt8]
    /// The run that writes it; kept beside the document, where Celery does not look.
    package var attempt = Attempt.first
    /// Whether any later run may replace the record, an older one by its numbers too: a dead letter that is published
    /// again begins to count anew.
    package var isOpen = false
    /// Where the caller waits, for backends that send records rather than keep them.
    package var reply: ReplyAddress?

    /// Reads a stored document.
    ///
    /// - Throws: ``CeleriacError`` `.undecodable`.
    package init(document: [UInt8]) throws(CeleriacError) {
        do {
            let fields = try PayloadCoding.decode(Fields.self, from: document)
            task = TaskID(fields.task_id)
            state = TaskState(fields.status)
            failure = state.isError ? try fields.failure ?? Self.unusualFailure(document, fields.traceback) : nil
            dateDone = fields.date_done.flatMap(WireTime.date(from:))
            group = fields.group_id
            parent = fields.parent_id.map { TaskID($0) }
            children = Self.tasks(in: fields.children)
            self.document = document
        } catch {
            throw CeleriacError(
                .undecodable,
                "a stored result is not a Celery result document: \(error)",
                underlying: error
            )
        }
    }

    /// The record of a state whose result is a value, already encoded as JSON.
    package init(
        task: TaskID,
        state: TaskState,
        value: [UInt8],
        at now: Date,
        group: String? = nil,
        parent: TaskID? = nil,
        children: [TaskID] = [],
        call: Call? = nil
    ) {
        self.init(
            task: task,
            state: state,
            result: value,
            failure: nil,
            at: now,
            group: group,
            parent: parent,
            children: children,
            call: call
        )
    }

    /// The record of a state whose result is an error.
    package init(
        task: TaskID,
        state: TaskState,
        failure: TaskFailure,
        at now: Date,
        group: String? = nil,
        parent: TaskID? = nil,
        children: [TaskID] = [],
        call: Call? = nil
    ) {
        var result = JSONObjectWriter(capacity: 128)
        result.add("exc_type", failure.type)
        result.add("exc_message", json: JSONText.array(failure.arguments.map(JSONText.value)))
        result.add("exc_module", failure.module)
        self.init(
            task: task,
            state: state,
            result: result.finished(),
            failure: failure,
            at: now,
            group: group,
            parent: parent,
            children: children,
            call: call
        )
    }

    private init(
        task: TaskID,
        state: TaskState,
        result: [UInt8],
        failure: TaskFailure?,
        at now: Date,
        group: String?,
        parent: TaskID?,
        children: [TaskID],
        call: Call?
    ) {
        self.task = task
        self.state = state
        self.failure = failure
        self.group = group
        self.parent = parent
        self.children = children
        dateDone = state.isFinal ? now : nil
        // The order of the fields is Celery's; `task_id` comes last.
        var document = JSONObjectWriter(capacity: result.count + 256)
        document.add("status", state.rawValue)
        document.add("result", json: result)
        document.add("traceback", failure?.traceback)
        document.add("children", json: children.isEmpty ? Self.noChildren : Self.tuples(of: children))
        document.add("date_done", state.isFinal ? WireTime.text(of: now) : nil)
        if let group { document.add("group_id", group) }
        if let parent { document.add("parent_id", parent.rawValue) }
        call?.write(to: &document)
        document.add("task_id", task.rawValue)
        self.document = document.finished()
    }

    private static let noChildren = Array("[]".utf8)

    /// Result tuples of single tasks (wire document §3.6).
    private static func tuples(of tasks: [TaskID]) -> [UInt8] {
        JSONText.array(
            tasks.map { task in
                JSONText.array([JSONText.array([JSONText.string(task.rawValue), JSONText.null]), JSONText.null])
            }
        )
    }

    /// The tasks in a list of result tuples, and for a group its members; anything else is passed over.
    private static func tasks(in tuples: JSONValue?) -> [TaskID] {
        (tuples?.array ?? []).flatMap { tuple -> [TaskID] in
            guard let parts = tuple.array, let task = parts.first?.array?.first?.string else { return [] }
            guard parts.count > 1, case .array = parts[1] else { return [TaskID(task)] }
            return Self.tasks(in: parts[1])
        }
    }

    /// The failure of a task that set an error state itself, with anything as its result.
    private static func unusualFailure(_ document: [UInt8], _ traceback: String?) throws -> TaskFailure {
        let result = try PayloadCoding.decode(AnyResult.self, from: document).result
        return TaskFailure(
            type: "Exception",
            arguments: result.map { [$0] } ?? [],
            module: "builtins",
            traceback: traceback
        )
    }

    /// The run that a backend notes with the record.
    package var fence: Attempt { isOpen ? .first : max(attempt, .first) }

    /// Whether this record, being stored, is to stay when another one arrives: a success always, any record of a newer
    /// run, and an end unless the other is an end too.
    package func outlasts(_ other: TaskRecord) -> Bool {
        state == .success || fence > other.attempt || (state.isFinal && !other.state.isFinal)
    }

    /// The record's result: the task's value, or what it told of itself in a state of its own.
    ///
    /// - Throws: ``CeleriacError`` `.undecodable` if it is not of that type.
    public func value<Value: Decodable>(as type: Value.Type) throws(CeleriacError) -> Value {
        do {
            return try PayloadCoding.decode(ValueOnly<Value>.self, from: document).result
        } catch {
            throw CeleriacError(
                .undecodable,
                "the result of task \(task) is not a \(Value.self): \(error)",
                underlying: error
            )
        }
    }

    /// The value of a task that has ended; throws its failure.
    func outcome<Value: Decodable>(knowing errors: KnownErrors) throws -> Value {
        guard state == .success else {
            let failure =
                failure ?? TaskFailure(type: "TaskFailure", arguments: [.string("ended as \(state)")], module: nil)
            if let error = errors.error(of: failure) { throw error }
            throw failure
        }
        return try value(as: Value.self)
    }

    private struct ValueOnly<Value: Decodable>: Decodable {
        let result: Value
    }

    private struct AnyResult: Decodable {
        let result: JSONValue?
    }

    // The names are the document's.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct Fields: Decodable {
        let status: String
        let result: ErrorOnly?
        let traceback: String?
        let date_done: String?
        let group_id: String?
        let parent_id: String?
        let children: JSONValue?
        let task_id: String

        var failure: TaskFailure? {
            guard let result, let type = result.type else { return nil }
            return TaskFailure(type: type, arguments: result.arguments, module: result.module, traceback: traceback)
        }
    }

    /// The error in `result`, if it looks like one; a value of any other shape is left alone.
    private struct ErrorOnly: Decodable {
        let type: String?
        let arguments: [JSONValue]
        let module: String?

        enum CodingKeys: String, CodingKey {
            case type = "exc_type"
            case arguments = "exc_message"
            case module = "exc_module"
        }

        init(from decoder: any Decoder) throws {
            guard let container = try? decoder.container(keyedBy: CodingKeys.self),
                let type = try? container.decode(String.self, forKey: .type)
            else {
                (self.type, arguments, module) = (nil, [], nil)
                return
            }
            self.type = type
            module = try? container.decodeIfPresent(String.self, forKey: .module)
            // A list of constructor arguments; older workers stored one text.
            switch try container.decodeIfPresent(JSONValue.self, forKey: .arguments) {
            case .array(let list)?: arguments = list
            case .null?, nil: arguments = []
            case let single?: arguments = [single]
            }
        }
    }
}

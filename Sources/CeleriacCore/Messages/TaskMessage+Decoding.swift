internal import FoundationEssentials

/// Why a message cannot be run as a task; it goes to the dead-letter queue with this.
public struct MessageDefect: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong, for people.
    public let reason: String
    /// The task's id, where the message has one, to record the failure under.
    public let task: TaskID?

    package init(_ reason: String, task: TaskID? = nil) {
        self.reason = reason
        self.task = task
    }

    /// What is wrong.
    public var description: String { reason }
}

extension TaskMessage {
    /// Reads a message of protocol 2, or of protocol 1, which old clients send.
    ///
    /// Missing headers count as null, except the task's name and id.
    package init(decoding message: Message) throws(MessageDefect) {
        guard let name = message.headers["task"] else {
            try self.init(decodingProtocol1: message)
            return
        }
        let id = message.headers["id"]?.string ?? ""
        guard !id.isEmpty else { throw MessageDefect("the message has no task id (header \"id\")") }
        guard let name = name.string, !name.isEmpty else {
            throw MessageDefect("the header \"task\" is not a task name", task: TaskID(id))
        }
        self.init(id: TaskID(id), task: TaskName(name), body: message.body)
        takeProperties(of: message)
        for header in message.headers { try take(header) }
    }

    private mutating func takeProperties(of message: Message) {
        contentType = message.contentType
        contentEncoding = message.contentEncoding
        replyTo = message.replyTo
        correlationID = message.correlationID.flatMap { $0 == id.rawValue ? nil : $0 }
        priority = message.priority
        isPersistent = message.isPersistent
    }

    private mutating func take(_ header: MessageHeaders.Element) throws(MessageDefect) {
        let value = header.value
        switch header.name {
        case "task", "id": break
        case "lang": language = value.string ?? ""
        case "shadow": shadow = value.string
        case "eta": eta = try time(value, of: "eta")
        case "expires": expires = try time(value, of: "expires")
        case "group": group = value.string
        case "group_index": groupIndex = value.int
        case "retries": retries = Self.count(value.int)
        case "timelimit":
            let limits = value.array ?? []
            timeLimits.hard = Self.limit(limits.first?.double)
            timeLimits.soft = limits.count > 1 ? Self.limit(limits[1].double) : nil
        case "root_id": if let text = value.string { root = TaskID(text) }
        case "parent_id": parent = value.string.map { TaskID($0) }
        case "argsrepr": argumentsText = value.string
        case "kwargsrepr": keywordsText = value.string
        case "origin": origin = value.string
        case "ignore_result": ignoresResult = value.bool
        case "replaced_task_nesting": replacedTaskNesting = value.int ?? 0
        case "stamped_headers": stampedHeaders = value
        case "stamps": stamps = value
        case "compression": compression = value.string
        // The broker's own entries must not travel on with a retry (wire document §1.2).
        // The broker's, of this message alone: a retry or a parked call must not carry them on.
        case "x-death", "x-delivery-count", "x-acquired-count": break
        case let name where name.hasPrefix("x-first-death-") || name.hasPrefix("x-last-death-"): break
        default: headers.append(header.name, value)
        }
    }

    /// A count within bounds that arithmetic on it cannot leave, whatever the sender says.
    private static func count(_ value: Int?) -> Int { min(max(0, value ?? 0), Int(Int32.max)) }

    /// A limit in seconds; zero and null mean none, as does what no clock reaches.
    private static func limit(_ seconds: Double?) -> Duration? {
        guard let seconds, seconds > 0, seconds < 1e12 else { return nil }
        return .seconds(seconds)
    }

    private func time(_ value: HeaderValue, of name: String) throws(MessageDefect) -> Date? {
        switch value {
        case .null: return nil
        case .string(let text):
            if let date = WireTime.date(from: text) { return date }
            throw MessageDefect("the header \"\(name)\" is not an ISO 8601 time: \"\(text)\"", task: id)
        default: throw MessageDefect("the header \"\(name)\" is not a text", task: id)
        }
    }

    // MARK: Protocol 1

    private init(decodingProtocol1 message: Message) throws(MessageDefect) {
        guard message.contentType == "application/json" else {
            throw MessageDefect(
                "no header \"task\", and the content type \(message.contentType ?? "(none)") is not application/json"
            )
        }
        let call: Protocol1
        do {
            call = try PayloadCoding.decode(Protocol1.self, from: message.body)
        } catch {
            throw MessageDefect("no header \"task\", and the body is not a protocol 1 task: \(error.brief)")
        }
        guard !call.id.isEmpty else { throw MessageDefect("the message has no task id") }
        guard !call.task.isEmpty else { throw MessageDefect("the message names no task", task: TaskID(call.id)) }
        guard call.callbacks.isNothing, call.errbacks.isNothing, call.chord.isNothing else {
            throw MessageDefect("links of protocol 1 messages are not supported", task: TaskID(call.id))
        }
        let body = JSONText.array([
            JSONText.value(call.args ?? []), JSONText.value(call.kwargs ?? [:]), JSONText.object([]),
        ])
        self.init(id: TaskID(call.id), task: TaskName(call.task), body: body)
        takeProperties(of: message)
        eta = try time(call.eta.map { .string($0) } ?? .null, of: "eta")
        expires = try time(call.expires.map { .string($0) } ?? .null, of: "expires")
        retries = Self.count(call.retries)
        group = call.group ?? call.taskset
        groupIndex = call.group_index
        argumentsText = PythonText.tuple(call.args?.array ?? [])
        keywordsText = PythonText.repr(of: call.kwargs ?? [:])
        if let limits = call.timelimit {
            timeLimits.hard = Self.limit(limits.first ?? nil)
            timeLimits.soft = limits.count > 1 ? Self.limit(limits[1]) : nil
        }
    }

    // The names are the document's.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct Protocol1: Decodable {
        let task: String
        let id: String
        let args: JSONValue?
        let kwargs: JSONValue?
        let retries: Int?
        let eta: String?
        let expires: String?
        let group: String?
        let group_index: Int?
        let taskset: String?
        let timelimit: [Double?]?
        let callbacks: JSONValue?
        let errbacks: JSONValue?
        let chord: JSONValue?
    }
}

extension JSONValue? {
    /// Absent, null or empty.
    fileprivate var isNothing: Bool {
        switch self {
        case nil, .null?: true
        case .array(let elements)?: elements.isEmpty
        default: false
        }
    }
}

extension Error {
    /// A decoding error as one line that names the place; any other error as it describes itself.
    package var brief: String {
        guard let error = self as? DecodingError else { return String(describing: self) }
        switch error {
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            return context.brief
        case .keyNotFound(let key, let context):
            return "\"\(key.stringValue)\" is missing" + (context.codingPath.isEmpty ? "" : " in \(context.place)")
        @unknown default: return String(describing: error)
        }
    }
}

extension DecodingError.Context {
    fileprivate var place: String {
        codingPath.map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)" }.joined()
    }

    fileprivate var brief: String {
        let text = debugDescription.hasSuffix(".") ? String(debugDescription.dropLast()) : debugDescription
        return codingPath.isEmpty ? text : "\(text) (at \(place))"
    }
}

/// The arguments of a received call, as far as JSON tells them, for choosing a limit's key or cost.
public struct CallArguments: Sendable, Hashable {
    /// The task that is called.
    public let task: TaskName
    /// The arguments given by position.
    public let positional: [JSONValue]
    /// The arguments given by keyword; for a ``StructTask`` its properties.
    public let keywords: [String: JSONValue]
    /// The names of the task's parameters, if it was defined with them.
    public let parameters: [String]

    /// Arguments of their parts.
    public init(
        task: TaskName,
        positional: [JSONValue] = [],
        keywords: [String: JSONValue] = [:],
        parameters: [String] = []
    ) {
        self.task = task
        self.positional = positional
        self.keywords = keywords
        self.parameters = parameters
    }

    /// Reads a body of protocol 2; `nil` if it is not one.
    package init?(of task: TaskName, body: [UInt8], parameters: [String]) {
        guard let parts = try? PayloadCoding.decode([JSONValue].self, from: body), parts.count >= 2,
            let positional = parts[0].array, let keywords = parts[1].object
        else { return nil }
        self.init(task: task, positional: positional, keywords: keywords, parameters: parameters)
    }

    /// An argument by its name; `nil` if it was not given.
    public subscript(name: String) -> JSONValue? {
        if let value = keywords[name] { return value }
        return parameters.firstIndex(of: name).flatMap { self[$0] }
    }

    /// An argument by its position, from 0; `nil` if it was not given by position.
    public subscript(position: Int) -> JSONValue? {
        positional.indices.contains(position) ? positional[position] : nil
    }

    /// A value as part of a key: text as it is, everything else as JSON with sorted keys.
    func text(of value: JSONValue?) -> String {
        guard let value else { return "null" }
        if let text = value.string { return text }
        return (try? PayloadCoding.encode(value, sortedKeys: true)).map { String(decoding: $0, as: UTF8.self) }
            ?? "null"
    }
}

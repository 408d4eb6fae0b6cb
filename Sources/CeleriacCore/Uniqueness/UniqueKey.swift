/// Which calls of a task count as equal.
public struct UniqueKey: Sendable {
    enum Source: Sendable {
        case arguments
        case fields([String])
        case custom(@Sendable (UniqueCall) throws -> String)
    }

    let source: Source

    private var isByArguments: Bool { if case .arguments = source { true } else { false } }

    /// Calls with equal arguments.
    ///
    /// Equal means equal as JSON values: the order of an object's members does not matter; `1`, `1.0` and `1e0` are one
    /// number; `1`, `"1"` and `true` are three different values; a member that is `null` differs from one that is missing. An
    /// argument by position differs from the same one by keyword: programs that call a task by name do not know its
    /// parameters' names, and must come to the same key.
    public static let arguments = UniqueKey(source: .arguments)

    /// All calls of the task, whatever their arguments.
    public static let task = UniqueKey(source: .fields([]))

    /// Calls in which the named arguments are equal; the others do not matter.
    ///
    /// The names are those of a struct task's properties, of keywords, or of `TaskApp.task`'s `parameters`. One that
    /// a call leaves out counts as `null`; that all are left out, or that the task has no such parameter, is refused with
    /// ``CeleriacError`` `.configuration` when the call is sent. No names at all are ``task``.
    public static func fields(_ names: String...) -> UniqueKey { UniqueKey(source: .fields(names)) }

    /// Calls for which a closure makes the same text.
    ///
    /// What it throws, the call throws, as ``CeleriacError`` `.invalidPayload`.
    public static func custom(_ make: @escaping @Sendable (UniqueCall) throws -> String) -> UniqueKey {
        UniqueKey(source: .custom(make))
    }
}

/// A call as ``UniqueKey/custom(_:)`` sees it.
public struct UniqueCall: Sendable {
    /// The task's name.
    public let task: TaskName
    /// The arguments by position that have no name.
    public let arguments: [JSONValue]
    /// The arguments by name, those included that were given by position to a parameter with a name.
    public let keywords: [String: JSONValue]

    /// The argument of that name, if the call has it.
    public subscript(name: String) -> JSONValue? { keywords[name] }
}

/// A call's arguments, each under its name where it has one.
struct BoundArguments {
    let positional: [JSONTree]
    /// In no order.
    let keywords: [JSONTree.Member]

    init(_ payload: Payload, parameters: [String]) throws(CeleriacError) {
        try self.init(try JSONTree(payload.positional), try JSONTree(payload.keywords), parameters: parameters)
    }

    /// The arguments in a message's body.
    init(body: [UInt8], parameters: [String]) throws(CeleriacError) {
        guard case .array(let parts) = try JSONTree(body), parts.count >= 2 else {
            throw CeleriacError(.invalidPayload, "the body is not [args, kwargs, embed]")
        }
        try self.init(parts[0], parts[1], parameters: parameters)
    }

    private init(_ positional: JSONTree, _ keywords: JSONTree, parameters: [String]) throws(CeleriacError) {
        guard case .array(let given) = positional, case .object(var named) = keywords else {
            throw CeleriacError(.invalidPayload, "a call's arguments are an array and an object")
        }
        for (name, value) in zip(parameters, given) { named.append(JSONTree.Member(name: name, value: value)) }
        self.positional = Array(given.dropFirst(parameters.count))
        self.keywords = named
    }

    func value(_ name: String) -> JSONTree? { keywords.last { $0.name == name }?.value }
}

extension UniqueKey {
    /// Names longer than this are replaced by their digest.
    static let longestText = 160

    /// The name of a call's lock.
    func name(of task: TaskName, _ payload: Payload, parameters: [String]) throws(CeleriacError) -> String {
        let text = try text(of: task, payload, parameters: parameters)
        let short = text.utf8.count <= Self.longestText ? text : "sha256:" + SHA256.hexDigest(of: Array(text.utf8))
        return "\(UniqueLock.prefix)\(task):\(short)"
    }

    private func text(of task: TaskName, _ payload: Payload, parameters: [String]) throws(CeleriacError) -> String {
        // Names are not needed to compare everything.
        let call = try BoundArguments(payload, parameters: isByArguments ? [] : parameters)
        switch source {
        case .arguments:
            return JSONTree.array(call.positional).canonical + JSONTree.object(call.keywords).canonical
        case .fields(let names):
            guard !names.isEmpty else { return "*" }
            let known = names.filter { parameters.contains($0) || call.value($0) != nil }
            guard known.count == names.count || !known.isEmpty && parameters.isEmpty && call.positional.isEmpty else {
                let missing = names.filter { !known.contains($0) }.joined(separator: ", ")
                throw CeleriacError(
                    .configuration,
                    "\(task) is unique by \(missing), which is no parameter of this call; name its parameters"
                )
            }
            let members = names.map { JSONTree.Member(name: $0, value: call.value($0) ?? .null) }
            return JSONTree.object(members).canonical
        case .custom(let make):
            func decoded<Value: Decodable>(_ type: Value.Type, _ tree: JSONTree) throws -> Value {
                try PayloadCoding.decode(type, from: Array(tree.canonical.utf8))
            }
            do {
                return "="
                    + (try make(
                        UniqueCall(
                            task: task,
                            arguments: try decoded([JSONValue].self, .array(call.positional)),
                            keywords: try decoded([String: JSONValue].self, .object(call.keywords))
                        )
                    ))
            } catch {
                throw CeleriacError(
                    .invalidPayload,
                    "cannot make the key of a call of \(task): \(error)",
                    underlying: error
                )
            }
        }
    }
}

/// The lock names of the Python package `celery-once`: `qo_<task>_<name>-<value>_…`, values as Python's `str` writes them.
package enum CeleryOnceKey {
    package static let prefix = "qo_"

    /// The lock's name for a call.
    ///
    /// - Parameter keys: The arguments that count; all if `nil`, none if empty.
    /// - Throws: ``CeleriacError`` `.configuration` if an argument has no name, or a chosen one is not in the call:
    ///   `celery-once` fails there, too.
    static func name(of task: TaskName, _ call: BoundArguments, keys: [String]?) throws(CeleriacError) -> String {
        guard call.positional.isEmpty else {
            throw CeleriacError(.configuration, "celery-once names arguments: tell the parameters of \(task)")
        }
        var members = call.keywords
        if let keys {
            members = []
            for key in keys {
                guard let value = call.value(key) else {
                    throw CeleriacError(.configuration, "\(task) is unique by \(key), which this call does not give")
                }
                members.append(JSONTree.Member(name: key, value: value))
            }
        }
        let parts = JSONTree.sorted(members).map { "\($0.name)-\(text(forced($0.value)))" }
        return ([prefix + task.rawValue] + parts).joined(separator: "_")
    }

    /// `str`: a text is itself.
    private static func text(_ value: JSONTree) -> String {
        if case .string(let text) = value { text } else { repr(value) }
    }

    /// Objects become texts, at every level; what is then printed shows them in quotes.
    private static func forced(_ value: JSONTree) -> JSONTree {
        switch value {
        case .object(let members):
            let parts = JSONTree.sorted(members).map { "\(repr(.string($0.name))): \(repr(forced($0.value)))" }
            return .string("{" + parts.joined(separator: ", ") + "}")
        case .array(let elements): return .array(elements.map(forced))
        case .literal, .number, .string: return value
        }
    }

    private static func repr(_ value: JSONTree) -> String {
        switch value {
        case .literal("null"): "None"
        case .literal("true"): "True"
        case .literal("false"): "False"
        case .literal("NaN"): "nan"
        case .literal(let text): text.hasPrefix("-") ? "-inf" : "inf"
        case .number(let text): number(text)
        case .string(let text): PythonText.repr(of: .string(text))
        case .array(let elements): "[" + elements.map(repr).joined(separator: ", ") + "]"
        case .object: text(forced(value))
        }
    }

    /// Python reads a number with a fraction or an exponent as `float`, any other as `int`.
    private static func number(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") }) else {
            return text == "-0" ? "0" : text
        }
        return Double(text).map { PythonText.repr(of: .double($0)) } ?? text
    }
}

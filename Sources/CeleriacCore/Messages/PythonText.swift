/// Values as Python would print them: what `argsrepr` and events carry for logs and monitors.
package enum PythonText {
    /// Python's `repr` of a value.
    package static func repr(of value: JSONValue) -> String {
        switch value {
        case .null: "None"
        case .bool(let value): value ? "True" : "False"
        case .int(let value): String(value)
        case .double(let value): value.isNaN ? "nan" : value.isInfinite ? (value < 0 ? "-inf" : "inf") : "\(value)"
        case .string(let value): quoted(value)
        case .array(let elements): "[" + elements.map(repr(of:)).joined(separator: ", ") + "]"
        case .object(let members):
            "{"
                + members.sorted { $0.key < $1.key }.map { "\(quoted($0.key)): \(repr(of: $0.value))" }.joined(
                    separator: ", "
                ) + "}"
        }
    }

    /// A tuple, with Python's comma after a single element.
    package static func tuple(_ elements: [JSONValue]) -> String {
        "(" + elements.map(repr(of:)).joined(separator: ", ") + (elements.count == 1 ? ",)" : ")")
    }

    private static func quoted(_ text: String) -> String {
        let quote: Character = text.contains("'") && !text.contains("\"") ? "\"" : "'"
        var quoted = String(quote)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case _ where Character(scalar) == quote: quoted += "\\\(quote)"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                quoted += "\\x" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        quoted.append(quote)
        return quoted
    }
}

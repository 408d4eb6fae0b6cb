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

    /// Python's `repr` of a JSON text, cut at `limit` characters; one walk, without decoding.
    ///
    /// - Parameter isTuple: Whether an outer array is shown as a tuple.
    package static func repr(ofJSON json: [UInt8], isTuple: Bool = false, limit: Int = 1024) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(min(json.count + 8, limit + 8))
        var depth = 0
        var commas = 0
        var index = 0
        while index < json.count, text.count < limit {
            let octet = json[index]
            switch octet {
            case UInt8(ascii: "\""):
                index = appendString(from: json, at: index, to: &text, limit: limit)
                continue
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                text.append(isTuple && depth == 1 ? UInt8(ascii: "(") : octet)
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                if isTuple, depth == 1 {
                    if commas == 0, text.count > 1 { text.append(UInt8(ascii: ",")) }
                    text.append(UInt8(ascii: ")"))
                } else {
                    text.append(octet)
                }
                depth -= 1
            case UInt8(ascii: ","):
                if depth == 1 { commas += 1 }
                text += [octet, UInt8(ascii: " ")]
            case UInt8(ascii: ":"): text += [octet, UInt8(ascii: " ")]
            case UInt8(ascii: "n"):
                text += Array("None".utf8)
                index += 3
            case UInt8(ascii: "t"):
                text += Array("True".utf8)
                index += 3
            case UInt8(ascii: "f"):
                text += Array("False".utf8)
                index += 4
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): break
            default: text.append(octet)
            }
            index += 1
        }
        guard index < json.count else { return String(decoding: text, as: UTF8.self) }
        return String(decoding: text.prefix(limit), as: UTF8.self) + "..."
    }

    /// Copies a JSON string with Python's quotes; JSON's other escapes read the same in Python.
    private static func appendString(from json: [UInt8], at start: Int, to text: inout [UInt8], limit: Int) -> Int {
        var index = start + 1
        text.append(UInt8(ascii: "'"))
        while index < json.count, json[index] != UInt8(ascii: "\""), text.count < limit {
            if json[index] == UInt8(ascii: "\\"), index + 1 < json.count {
                if json[index + 1] != UInt8(ascii: "\""), json[index + 1] != UInt8(ascii: "/") {
                    text.append(json[index])
                }
                index += 1
            } else if json[index] == UInt8(ascii: "'") {
                text.append(UInt8(ascii: "\\"))
            }
            text.append(json[index])
            index += 1
        }
        text.append(UInt8(ascii: "'"))
        return index + 1
    }
}

extension PythonText {
    /// The texts of a body's positional and keyword arguments, for logs and monitors; none if it is no such body.
    package static func arguments(ofBody body: [UInt8]) -> (positional: String?, keywords: String?) {
        guard let tree = try? JSONTree(body), case .array(let parts) = tree, parts.count >= 2 else { return (nil, nil) }
        return (
            repr(ofJSON: Array(parts[0].canonical.utf8), isTuple: true), repr(ofJSON: Array(parts[1].canonical.utf8))
        )
    }
}

/// Pieces of JSON text, for documents with a fixed layout that are written once per task.
package enum JSONText {
    package static let null = Array("null".utf8)

    /// Members in the given order, spaced as Python spaces them.
    package static func object(_ members: [(String, [UInt8])]) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(members.reduce(2) { $0 + $1.0.utf8.count + $1.1.count + 6 })
        text.append(UInt8(ascii: "{"))
        for (index, member) in members.enumerated() {
            if index > 0 { text += [UInt8(ascii: ","), UInt8(ascii: " ")] }
            append(string: member.0, to: &text)
            text += [UInt8(ascii: ":"), UInt8(ascii: " ")]
            text += member.1
        }
        text.append(UInt8(ascii: "}"))
        return text
    }

    package static func array(_ elements: [[UInt8]]) -> [UInt8] {
        [UInt8(ascii: "[")] + elements.joined(separator: [UInt8(ascii: ","), UInt8(ascii: " ")]) + [UInt8(ascii: "]")]
    }

    package static func string(_ value: String) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(value.utf8.count + 2)
        append(string: value, to: &text)
        return text
    }

    package static func optional(_ value: String?) -> [UInt8] {
        value.map(string) ?? null
    }

    /// Any value; non-finite numbers bare, as Python writes them.
    package static func value(_ value: JSONValue) -> [UInt8] {
        switch value {
        case .null: null
        case .bool(let value): Array((value ? "true" : "false").utf8)
        case .int(let value): Array(String(value).utf8)
        case .double(let value):
            Array((value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : "\(value)").utf8)
        case .string(let value): string(value)
        case .array(let elements): array(elements.map(Self.value))
        case .object(let members): object(members.sorted { $0.key < $1.key }.map { ($0.key, Self.value($0.value)) })
        }
    }

    fileprivate static func append(string value: String, to text: inout [UInt8]) {
        text.append(UInt8(ascii: "\""))
        var value = value
        value.withUTF8 { octets in
            if octets.contains(where: needsEscape) {
                for octet in octets { append(escaping: octet, to: &text) }
            } else {
                text.append(contentsOf: octets)
            }
        }
        text.append(UInt8(ascii: "\""))
    }

    private static func needsEscape(_ octet: UInt8) -> Bool {
        octet < 0x20 || octet == UInt8(ascii: "\"") || octet == UInt8(ascii: "\\")
    }

    private static func append(escaping octet: UInt8, to text: inout [UInt8]) {
        switch octet {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): text += [UInt8(ascii: "\\"), octet]
        case UInt8(ascii: "\n"): text += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
        case 0..<0x20:
            let digits = Array("0123456789abcdef".utf8)
            text += Array("\\u00".utf8) + [digits[Int(octet >> 4)], digits[Int(octet & 15)]]
        default: text.append(octet)
        }
    }
}

/// Writes one JSON object member by member into a single buffer, for documents that are written once per task.
package struct JSONObjectWriter {
    private var text: [UInt8] = [UInt8(ascii: "{")]

    package init(capacity: Int) {
        text.reserveCapacity(capacity)
    }

    /// Adds a member whose value is JSON already; the name needs no escaping.
    package mutating func add(_ name: StaticString, json: [UInt8]) {
        begin(name)
        text += json
    }

    /// Adds a text, or null.
    package mutating func add(_ name: StaticString, _ value: String?) {
        begin(name)
        if let value { JSONText.append(string: value, to: &text) } else { text += JSONText.null }
    }

    /// The whole object.
    package consuming func finished() -> [UInt8] {
        text.append(UInt8(ascii: "}"))
        return text
    }

    /// Spaced as Python spaces it.
    private mutating func begin(_ name: StaticString) {
        if text.count > 1 { text.append(contentsOf: [UInt8(ascii: ","), UInt8(ascii: " ")]) }
        text.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { text.append(contentsOf: $0) }
        text.append(contentsOf: [UInt8(ascii: "\""), UInt8(ascii: ":"), UInt8(ascii: " ")])
    }
}

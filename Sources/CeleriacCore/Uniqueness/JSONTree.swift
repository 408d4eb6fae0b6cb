/// JSON taken apart without loss: numbers keep their text, so that whole numbers of any size stay themselves.
package indirect enum JSONTree: Sendable, Hashable {
    /// A member of an object.
    package struct Member: Sendable, Hashable {
        package let name: String
        package let value: JSONTree
    }

    /// `null`, `true`, `false`, or one of kombu's bare `NaN`, `Infinity` and `-Infinity`.
    case literal(String)
    case number(String)
    case string(String)
    case array([JSONTree])
    case object([Member])

    package static let null = JSONTree.literal("null")

    /// Takes a text apart.
    ///
    /// - Throws: ``CeleriacError`` `.invalidPayload` for what is not JSON or is nested too deep.
    package init(_ json: [UInt8]) throws(CeleriacError) {
        var parser = JSONTreeParser(json)
        self = try parser.parse()
    }

    /// The text that equal values have in common: members in order, no spaces, numbers by their value.
    package var canonical: String {
        var text = ""
        write(to: &text)
        return text
    }

    private func write(to text: inout String) {
        switch self {
        case .literal(let literal): text += literal
        case .number(let number): text += Self.canonical(number)
        case .string(let string): text += String(decoding: JSONText.string(string), as: UTF8.self)
        case .array(let elements):
            text += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { text += "," }
                element.write(to: &text)
            }
            text += "]"
        case .object(let members):
            text += "{"
            for (index, member) in Self.sorted(members).enumerated() {
                if index > 0 { text += "," }
                text += String(decoding: JSONText.string(member.name), as: UTF8.self) + ":"
                member.value.write(to: &text)
            }
            text += "}"
        }
    }

    /// `1`, `1.0` and `1e0` are one number in JSON, and coders write any of them for it.
    private static func canonical(_ number: String) -> String {
        guard number.utf8.contains(where: { $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") }) else {
            return number == "-0" ? "0" : number
        }
        guard let value = Double(number), value.isFinite else { return number }
        return Int64(exactly: value).map { String($0) } ?? "\(value)"
    }

    /// In the order of their octets, which is that of Python's strings; of equal names the last counts.
    package static func sorted(_ members: [Member]) -> [Member] {
        var latest: [[UInt8]: Member] = [:]
        for member in members { latest[Array(member.name.utf8)] = member }
        return latest.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
    }
}

/// Reads one JSON text.
private struct JSONTreeParser {
    private let octets: [UInt8]
    private var index = 0

    init(_ octets: [UInt8]) {
        self.octets = octets
    }

    mutating func parse() throws(CeleriacError) -> JSONTree {
        let value = try value(depth: 1)
        skipSpace()
        guard index == octets.count else { throw defect("more than one value") }
        return value
    }

    private func defect(_ what: String) -> CeleriacError {
        CeleriacError(.invalidPayload, "the arguments are not JSON: \(what) at octet \(index)")
    }

    private var next: UInt8? { index < octets.count ? octets[index] : nil }

    private mutating func skipSpace() {
        while let octet = next, octet == 0x20 || octet == 0x0A || octet == 0x0D || octet == 0x09 { index += 1 }
    }

    private mutating func take(_ octet: UInt8) -> Bool {
        skipSpace()
        guard next == octet else { return false }
        index += 1
        return true
    }

    private mutating func value(depth: Int) throws(CeleriacError) -> JSONTree {
        guard depth <= PayloadCoding.maximumDepth else { throw defect("nested too deep") }
        skipSpace()
        switch next {
        case UInt8(ascii: "\"")?: return .string(try string())
        case UInt8(ascii: "[")?:
            index += 1
            var elements: [JSONTree] = []
            if take(UInt8(ascii: "]")) { return .array([]) }
            repeat { elements.append(try value(depth: depth + 1)) } while take(UInt8(ascii: ","))
            guard take(UInt8(ascii: "]")) else { throw defect("an array without end") }
            return .array(elements)
        case UInt8(ascii: "{")?:
            index += 1
            var members: [JSONTree.Member] = []
            if take(UInt8(ascii: "}")) { return .object([]) }
            repeat {
                skipSpace()
                let name = try string()
                guard take(UInt8(ascii: ":")) else { throw defect("a name without value") }
                members.append(JSONTree.Member(name: name, value: try value(depth: depth + 1)))
            } while take(UInt8(ascii: ","))
            guard take(UInt8(ascii: "}")) else { throw defect("an object without end") }
            return .object(members)
        default: return try word()
        }
    }

    /// A number or a literal.
    private mutating func word() throws(CeleriacError) -> JSONTree {
        let start = index
        while let octet = next, Self.isWord(octet) { index += 1 }
        let text = String(decoding: octets[start..<index], as: UTF8.self)
        switch text {
        case "null", "true", "false", "NaN", "Infinity", "-Infinity": return .literal(text)
        default:
            let digits = text.utf8.drop { $0 == UInt8(ascii: "-") }
            guard let first = digits.first, (0x30...0x39).contains(first) else { throw defect("no value") }
            return .number(text)
        }
    }

    private static func isWord(_ octet: UInt8) -> Bool {
        switch octet {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."): true
        default: false
        }
    }

    private mutating func string() throws(CeleriacError) -> String {
        guard next == UInt8(ascii: "\"") else { throw defect("no text") }
        index += 1
        var text: [UInt8] = []
        while let octet = next {
            index += 1
            switch octet {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): try escape(into: &text)
            default: text.append(octet)
            }
        }
        throw defect("a text without end")
    }

    private mutating func escape(into text: inout [UInt8]) throws(CeleriacError) {
        guard let octet = next else { throw defect("a text without end") }
        index += 1
        switch octet {
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(octet)
        case UInt8(ascii: "u"):
            var code = try unit()
            if (0xD800...0xDBFF).contains(code), next == UInt8(ascii: "\\"), octets.dropFirst(index + 1).first == 0x75 {
                index += 2
                let low = try unit()
                code = 0x10000 + (code - 0xD800) << 10 + (low &- 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw defect("half a surrogate pair") }
            text += Array(String(Character(scalar)).utf8)
        default: throw defect("an unknown escape")
        }
    }

    /// The four digits of `\uXXXX`.
    private mutating func unit() throws(CeleriacError) -> UInt32 {
        let digits = octets[index..<min(index + 4, octets.count)]
        guard digits.count == 4, let code = UInt32(String(decoding: digits, as: UTF8.self), radix: 16) else {
            throw defect("an unknown escape")
        }
        index += 4
        return code
    }
}

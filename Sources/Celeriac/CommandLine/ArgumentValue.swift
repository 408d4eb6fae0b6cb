internal import CeleriacCore
internal import FoundationEssentials

/// A type whose values can be written on a command line.
protocol ArgumentValue: Sendable {
    /// What a usage error says is wanted: "a whole number".
    static var expectation: String { get }

    /// Reads the text of one argument; `nil` if it is no such value.
    init?(argument: String)

    /// The value as one would type it, for the defaults in help texts.
    var argument: String { get }
}

extension String: ArgumentValue {
    static var expectation: String { "text" }

    init?(argument: String) { self = argument }

    var argument: String { self }
}

extension Int: ArgumentValue {
    static var expectation: String { "a whole number" }

    init?(argument: String) { self.init(argument) }

    var argument: String { String(self) }
}

extension UInt8: ArgumentValue {
    static var expectation: String { "a whole number from 0 to 255" }

    init?(argument: String) { self.init(argument) }

    var argument: String { String(self) }
}

extension Duration: ArgumentValue {
    static var expectation: String { "seconds, such as 30 or 0.5, or a number with ms, s, m, h or d" }

    private static let units = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)]
    /// A century; far more than anyone waits, far less than overflows.
    private static let longest = 3.2e9

    init?(argument: String) {
        let number = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = argument[number.endIndex...]
        let factor = unit.isEmpty ? 1 : Self.units.first { $0.0 == unit }?.1
        guard let factor, let value = Double(number), value * factor <= Self.longest else { return nil }
        self = .seconds(value * factor)
    }

    var argument: String {
        let seconds = inSeconds
        return seconds == seconds.rounded() ? String(Int(seconds)) : String(seconds)
    }
}

extension Date: ArgumentValue {
    static var expectation: String { "an ISO 8601 time, such as 2030-01-31T08:00:00+01:00" }

    init?(argument: String) {
        guard let date = WireTime.date(from: argument) else { return nil }
        self = date
    }

    var argument: String { WireTime.text(of: self) }
}

extension QueueName: ArgumentValue {
    static var expectation: String { "a queue's name of 1 to 255 octets" }

    init?(argument: String) {
        guard (1...255).contains(argument.utf8.count) else { return nil }
        self.init(argument)
    }

    var argument: String { rawValue }
}

extension TaskID: ArgumentValue {
    static var expectation: String { "a task's id" }

    init?(argument: String) {
        guard !argument.isEmpty else { return nil }
        self.init(argument)
    }

    var argument: String { rawValue }
}

extension TaskName: ArgumentValue {
    static var expectation: String { "a task's name" }

    init?(argument: String) {
        guard !argument.isEmpty else { return nil }
        self.init(argument)
    }

    var argument: String { rawValue }
}

extension ServerURL: ArgumentValue {
    static var expectation: String { "a URL, such as amqp://user:password@host:5672/vhost" }

    init?(argument: String) {
        self.init(argument)
        guard !scheme.isEmpty else { return nil }
    }

    var argument: String { description }
}

extension LogLevel: ArgumentValue {
    static var expectation: String { "one of " + allCases.map(\.rawValue).joined(separator: ", ") }

    init?(argument: String) { self.init(rawValue: argument.lowercased()) }

    var argument: String { rawValue }
}

/// A header of the caller's own, written `KEY=VALUE`.
struct HeaderArgument: ArgumentValue, Equatable {
    static var expectation: String { "KEY=VALUE" }

    let name: String
    let value: String

    init?(argument: String) {
        guard let sign = argument.firstIndex(of: "="), sign != argument.startIndex else { return nil }
        name = String(argument[..<sign])
        value = String(argument[argument.index(after: sign)...])
    }

    var argument: String { "\(name)=\(value)" }
}

/// The keyword arguments of a call: a JSON object.
struct KeywordsArgument: ArgumentValue, Equatable {
    static var expectation: String { "a JSON object, such as '{\"width\": 320}'" }

    let members: [String: JSONValue]

    init?(argument: String) {
        guard let members = try? PayloadCoding.decode(JSONValue.self, from: Array(argument.utf8)).object else {
            return nil
        }
        self.members = members
    }

    var argument: String { String(decoding: JSONText.value(.object(members)), as: UTF8.self) }
}

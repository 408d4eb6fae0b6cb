/// What can stand as an argument of a command.
public protocol RedisArgument: Sendable {
    /// Appends the argument's octets.
    func append(to bytes: inout [UInt8])
}

extension String: RedisArgument {
    /// Appends the text as UTF-8.
    public func append(to bytes: inout [UInt8]) { bytes.append(contentsOf: utf8) }
}

extension Int: RedisArgument {
    /// Appends the number in decimal.
    public func append(to bytes: inout [UInt8]) { bytes.append(contentsOf: String(self).utf8) }
}

extension Double: RedisArgument {
    /// Appends the number in Swift's shortest exact form.
    public func append(to bytes: inout [UInt8]) { bytes.append(contentsOf: String(self).utf8) }
}

extension [UInt8]: RedisArgument {
    /// Appends the octets as they are.
    public func append(to bytes: inout [UInt8]) { bytes.append(contentsOf: self) }
}

/// One command: its name and arguments, of any octets.
///
/// ```swift
/// RedisCommand("SET", "greeting", payload, "EX", 60)
/// ```
public struct RedisCommand: Sendable, CustomStringConvertible {
    /// The command's name, as given.
    public let name: String
    fileprivate var octets: [UInt8]
    fileprivate var ends: [Int]

    /// Makes a command of a fixed number of arguments.
    public init<each Argument: RedisArgument>(_ name: String, _ argument: repeat each Argument) {
        self.init(bare: name)
        for value in repeat each argument { append(value) }
    }

    /// Makes a command of a list of arguments.
    public init(_ name: String, arguments: [some RedisArgument]) {
        self.init(bare: name)
        for argument in arguments { append(argument) }
    }

    private init(bare name: String) {
        self.name = name
        octets = Array(name.utf8)
        ends = [octets.count]
    }

    /// Adds an argument at the end.
    public mutating func append(_ argument: some RedisArgument) {
        argument.append(to: &octets)
        ends.append(octets.count)
    }

    /// Adds arguments at the end.
    public mutating func append(contentsOf arguments: [some RedisArgument]) {
        for argument in arguments { append(argument) }
    }

    /// The name and the number of arguments: arguments may be secret.
    public var description: String { "\(name) (\(ends.count - 1) arguments)" }

    /// The octets of a list of commands as RESP, arrays of bulks, in one piece.
    package static func encoded(_ commands: some Sequence<RedisCommand>) -> [UInt8] {
        var room = 0
        for command in commands { room += BulkWriter.room(octets: command.octets.count, words: command.ends.count) }
        return [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
            var writer = BulkWriter(buffer)
            for command in commands {
                writer.beginArray(count: command.ends.count)
                writer.write(command.octets, endingAt: command.ends)
            }
            count = writer.position
        }
    }

    /// A script's command, written at once: most commands are that, and go no other way.
    ///
    /// - Parameter words: The keys, then the arguments.
    static func encodedScript(_ name: String, _ script: String, keyCount: Int, words: RedisArguments) -> [UInt8] {
        let head = name.utf8.count + script.utf8.count + BulkWriter.longestNumber
        let room = BulkWriter.room(octets: head + words.octets.count, words: 3 + words.ends.count)
        return [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
            var writer = BulkWriter(buffer)
            writer.beginArray(count: 3 + words.ends.count)
            writer.write(name)
            writer.write(script)
            writer.write(String(keyCount))
            writer.write(words.octets, endingAt: words.ends)
            count = writer.position
        }
    }
}

/// Writes RESP into memory that is known to suffice.
private struct BulkWriter {
    /// Digits of a count or length, its mark and CR LF.
    static let longestNumber = 20
    private static let overhead = longestNumber + 3

    private let buffer: UnsafeMutableBufferPointer<UInt8>
    private(set) var position = 0

    init(_ buffer: UnsafeMutableBufferPointer<UInt8>) {
        self.buffer = buffer
    }

    /// The most that an array of so many words, of so many octets in all, can take.
    static func room(octets: Int, words: Int) -> Int { octets + overhead + words * (overhead + 2) }

    mutating func beginArray(count: Int) { writeLine("*", count) }

    mutating func write(_ word: String) {
        var word = word
        word.withUTF8 { writeBulk(UnsafeRawBufferPointer($0)) }
    }

    /// Writes words that stand one after the other.
    mutating func write(_ octets: [UInt8], endingAt ends: [Int]) {
        octets.withUnsafeBytes { octets in
            var start = 0
            for end in ends {
                writeBulk(UnsafeRawBufferPointer(rebasing: octets[start..<end]))
                start = end
            }
        }
    }

    private mutating func writeBulk(_ octets: UnsafeRawBufferPointer) {
        writeLine("$", octets.count)
        if !octets.isEmpty {
            UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[position...])
                .copyMemory(from: octets)
            position += octets.count
        }
        writeEnd()
    }

    private mutating func writeLine(_ mark: Unicode.Scalar, _ number: Int) {
        buffer[position] = UInt8(ascii: mark)
        position += 1
        var (rest, digits) = (number, 1)
        while rest >= 10 { (rest, digits) = (rest / 10, digits + 1) }
        rest = number
        for place in (position..<position + digits).reversed() {
            buffer[place] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
        position += digits
        writeEnd()
    }

    private mutating func writeEnd() {
        buffer[position] = 0x0D
        buffer[position + 1] = 0x0A
        position += 2
    }
}

/// A list of arguments of mixed kinds: `["field", 3, octets]`.
public struct RedisArguments: Sendable, ExpressibleByArrayLiteral {
    fileprivate var octets: [UInt8] = []
    fileprivate var ends: [Int] = []

    /// Lists arguments of mixed kinds.
    public init(arrayLiteral elements: any RedisArgument...) {
        for element in elements { append(element) }
    }

    /// An empty list with room for so many arguments, of so many octets in all.
    public init(arguments: Int, octets: Int) {
        self.octets.reserveCapacity(octets)
        ends.reserveCapacity(arguments)
    }

    /// How many there are.
    public var count: Int { ends.count }

    /// Adds an argument at the end.
    public mutating func append(_ argument: some RedisArgument) {
        argument.append(to: &octets)
        ends.append(octets.count)
    }

    /// Adds arguments at the end.
    public mutating func append(contentsOf arguments: RedisArguments) {
        let offset = octets.count
        octets.append(contentsOf: arguments.octets)
        for end in arguments.ends { ends.append(offset + end) }
    }
}

extension RedisCommand {
    /// Adds arguments at the end.
    public mutating func append(contentsOf arguments: RedisArguments) {
        let offset = octets.count
        octets.append(contentsOf: arguments.octets)
        for end in arguments.ends { ends.append(offset + end) }
    }
}

internal import CHiredis

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

    /// Appends the command as RESP, an array of bulks.
    package func encode(into output: inout [UInt8]) throws(RedisError) {
        let count = ends.count
        let isEncoded = octets.withUnsafeBytes { octets in
            withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: count) { pointers in
                withUnsafeTemporaryAllocation(of: Int.self, capacity: count) { lengths in
                    var start = 0
                    for (index, end) in ends.enumerated() {
                        let base = octets.baseAddress?.assumingMemoryBound(to: CChar.self)
                        pointers.initializeElement(at: index, to: base.map { UnsafePointer($0 + start) })
                        lengths.initializeElement(at: index, to: end - start)
                        start = end
                    }
                    return format(count, pointers.baseAddress, lengths.baseAddress, into: &output)
                }
            }
        }
        guard isEncoded else { throw RedisError(.outOfMemoryLocally, "no memory to format \(name)") }
    }

    private func format(
        _ count: Int,
        _ pointers: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
        _ lengths: UnsafeMutablePointer<Int>?,
        into output: inout [UInt8]
    ) -> Bool {
        var target: UnsafeMutablePointer<CChar>?
        let length = redisFormatCommandArgv(&target, Int32(count), pointers, lengths)
        guard length > 0, let target else { return false }
        defer { redisFreeCommand(target) }
        output.append(contentsOf: UnsafeRawBufferPointer(start: target, count: Int(length)))
        return true
    }

    /// The octets of a list of commands, in one piece.
    package static func encoded(_ commands: some Sequence<RedisCommand>) throws(RedisError) -> [UInt8] {
        var output: [UInt8] = []
        for command in commands { try command.encode(into: &output) }
        return output
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

    /// Adds an argument at the end.
    public mutating func append(_ argument: some RedisArgument) {
        argument.append(to: &octets)
        ends.append(octets.count)
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

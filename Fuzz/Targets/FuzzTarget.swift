/// What is fuzzed: each takes any octets, and throws when a promise was broken.
///
/// The fuzzer and the unit tests, which replay the corpus, call the same.
package enum FuzzTarget: String, CaseIterable, Sendable {
    /// Octets of a stream, in pieces that the input chooses: the frames are the same however they are cut.
    case frames
    /// The payload of a method or of a content header: what was read can be written and read again, unchanged.
    case methods
    /// A field table: the same, taken apart and put together, and found by name.
    case table
    /// A server's side of a whole conversation with a connection, and what its callers ask meanwhile.
    case conversation
    /// The text of a URI.
    case uri
    /// Replies of Redis, cut like ``frames``.
    case resp

    /// Runs one input; blocks its thread until the outcome is known.
    package func run(_ bytes: [UInt8]) throws(Finding) {
        switch self {
        case .frames: try fuzzFrames(bytes)
        case .methods: try fuzzMethods(bytes)
        case .table: try fuzzTable(bytes)
        case .conversation: try fuzzConversation(bytes)
        case .uri: try fuzzURI(bytes)
        case .resp: try fuzzRESP(bytes)
        }
    }
}

/// A promise that an input has broken.
package struct Finding: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

func expect(_ condition: Bool, _ promise: @autoclosure () -> String) throws(Finding) {
    guard condition else { throw Finding("broken: " + promise()) }
}

/// Reads decisions and octets off an input; past its end there are only zeros and nothing.
struct FuzzInput {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        rest = bytes[...]
    }

    var isEmpty: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    mutating func octets(_ count: Int) -> [UInt8] {
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    /// A length in one octet, or in two more if it is the highest, and as many octets.
    mutating func lengthAndOctets() -> [UInt8] {
        let short = byte()
        guard short == .max else { return octets(Int(short)) }
        return octets(Int(byte()) << 8 | Int(byte()))
    }

    mutating func remainder() -> [UInt8] {
        octets(rest.count)
    }
}

/// Lengths of pieces to cut a stream into.
struct Cuts {
    private var lengths: [Int]
    private var next = 0

    init(_ input: inout FuzzInput) {
        lengths = input.octets(Int(input.byte() & 7)).map { 1 + Int($0) }
        if lengths.isEmpty { lengths = [1] }
    }

    mutating func piece(of bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        defer { next = (next + 1) % lengths.count }
        return bytes.prefix(lengths[next])
    }
}

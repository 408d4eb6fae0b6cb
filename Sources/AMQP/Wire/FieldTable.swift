/// Named values in order: message headers, arguments of declarations, capabilities of a peer.
///
/// A table that came from the wire was checked when it arrived and is decoded only where it is looked at: finding a
/// name decodes that one value, and a table passed on is copied octet by octet.
///
/// The standard forbids a name to occur twice, and servers do not check. Such fields are kept and passed on, in order;
/// looking a name up finds the first, and assigning to it, or removing it, leaves no other.
public struct FieldTable: Sendable {
    /// The deepest nesting of tables and arrays that is accepted or sent.
    public static let maximumNesting = 32

    private enum Storage: Sendable {
        case fields([(name: String, value: FieldValue)])
        /// Validated octets, without the length in front.
        case encoded([UInt8])
        /// Octets of a message's headers that did not pass.
        case unreadable([UInt8])
    }

    private var storage: Storage

    /// An empty table.
    public init() {
        storage = .fields([])
    }

    /// A table of these fields, in this order.
    public init(_ fields: [(String, FieldValue)]) {
        storage = .fields(fields.map { (name: $0.0, value: $0.1) })
    }

    package init(fields: [(name: String, value: FieldValue)]) {
        storage = .fields(fields)
    }

    /// Takes over octets that ``validate(_:depth:)`` has passed.
    init(validated octets: UnsafeRawBufferPointer) {
        storage = octets.isEmpty ? .fields([]) : .encoded(Array(octets))
    }

    /// Whether there are no fields.
    public var isEmpty: Bool {
        switch storage {
        case .fields(let fields): fields.isEmpty
        case .encoded: false
        case .unreadable: true
        }
    }

    /// Whether the fields can be read.
    ///
    /// A broker hands on the headers of a message as somebody published them, nested deeper than
    /// ``maximumNesting`` or with values of unknown types, too. That must not cost the consumer its connection, so
    /// such headers arrive without fields; passing them on passes on their octets.
    public var isReadable: Bool {
        if case .unreadable = storage { false } else { true }
    }

    /// All fields, decoded, in order.
    public var fields: [(name: String, value: FieldValue)] {
        switch storage {
        case .fields(let fields): return fields
        case .unreadable: return []
        case .encoded(let octets):
            var fields: [(name: String, value: FieldValue)] = []
            fields.reserveCapacity(octets.count / 16)
            forEachField { fields.append(($0, $1)) }
            return fields
        }
    }

    /// Calls back with each field, decoded, in order.
    package func forEachField(_ body: (String, FieldValue) -> Void) {
        switch storage {
        case .fields(let fields): for field in fields { body(field.name, field.value) }
        case .unreadable: break
        case .encoded(let octets):
            octets.withUnsafeBytes { bytes in
                var cursor = Cursor(bytes)
                // The octets were validated on arrival, so nothing is left to throw; the loop still ends if it did.
                while !cursor.isAtEnd, let name = try? cursor.shortString(), let value = try? FieldValue(from: &cursor)
                {
                    body(name, value)
                }
            }
        }
    }

    /// The value of a field; assigning `nil` removes it, assigning to a new name appends.
    public subscript(name: String) -> FieldValue? {
        get {
            switch storage {
            case .fields(let fields): fields.first { ShortString.areSame($0.name, name) }?.value
            case .encoded(let octets): octets.withUnsafeBytes { Self.find(name, in: $0) }
            case .unreadable: nil
            }
        }
        set {
            var fields = self.fields
            storage = .fields([])
            if let newValue {
                if let index = fields.firstIndex(where: { ShortString.areSame($0.name, name) }) {
                    fields[index].value = newValue
                    let later = fields[(index + 1)...].filter { !ShortString.areSame($0.name, name) }
                    if index + 1 + later.count < fields.count { fields.replaceSubrange((index + 1)..., with: later) }
                } else {
                    fields.append((name, newValue))
                }
            } else {
                fields.removeAll { ShortString.areSame($0.name, name) }
            }
            storage = .fields(fields)
        }
    }

    private static func find(_ name: String, in bytes: UnsafeRawBufferPointer) -> FieldValue? {
        ShortString.octets(of: name).withUnsafeBytes { wanted in
            var cursor = Cursor(bytes)
            while !cursor.isAtEnd {
                guard let candidate = try? cursor.shortOctets() else { return nil }
                if candidate.count == wanted.count, candidate.elementsEqual(wanted) {
                    return try? FieldValue(from: &cursor)
                }
                guard (try? FieldValue.validate(&cursor, depth: 0)) != nil else { return nil }
            }
            return nil
        }
    }
}

extension FieldTable: Hashable {
    /// Whether both have the same fields in the same order.
    public static func == (left: FieldTable, right: FieldTable) -> Bool {
        if case .encoded(let left) = left.storage, case .encoded(let right) = right.storage, left == right {
            return true
        }
        guard left.isReadable, right.isReadable else {
            if case (.unreadable(let left), .unreadable(let right)) = (left.storage, right.storage) {
                return left == right
            }
            return false
        }
        let (left, right) = (left.fields, right.fields)
        return left.count == right.count && zip(left, right).allSatisfy { $0.name == $1.name && $0.value == $1.value }
    }

    /// Feeds the names and values to the hasher.
    public func hash(into hasher: inout Hasher) {
        for field in fields {
            hasher.combine(field.name)
            hasher.combine(field.value)
        }
    }
}

extension FieldTable: Sequence, ExpressibleByDictionaryLiteral, CustomStringConvertible {
    /// A table of these fields, in this order.
    public init(dictionaryLiteral elements: (String, FieldValue)...) {
        self.init(elements)
    }

    /// Walks the fields in order.
    public func makeIterator() -> IndexingIterator<[(name: String, value: FieldValue)]> {
        fields.makeIterator()
    }

    /// The names only: values may be confidential.
    public var description: String {
        "[" + fields.map(\.name).joined(separator: ", ") + "]"
    }
}

extension FieldTable {
    /// A table with its length in front.
    package init(from cursor: inout Cursor) throws(FrameError) {
        let octets = try cursor.longOctets()
        try Self.validate(octets, depth: 1)
        self.init(validated: octets)
    }

    /// The headers of a message, which are its publisher's; see ``isReadable``.
    init(publishedIn cursor: inout Cursor) throws(FrameError) {
        let octets = try cursor.longOctets()
        do throws(FrameError) {
            try Self.validate(octets, depth: 1)
            storage = octets.isEmpty ? .fields([]) : .encoded(Array(octets))
        } catch {
            storage = .unreadable(Array(octets))
        }
    }

    static func validate(_ octets: UnsafeRawBufferPointer, depth: Int) throws(FrameError) {
        guard depth <= maximumNesting else { throw .nestingTooDeep }
        var cursor = Cursor(octets)
        while !cursor.isAtEnd {
            _ = try cursor.shortOctets()
            try FieldValue.validate(&cursor, depth: depth)
        }
    }

    private static func error(in octets: [UInt8], depth: Int) -> FrameError? {
        octets.withUnsafeBytes { octets in
            do throws(FrameError) {
                try validate(octets, depth: depth)
                return nil
            } catch {
                return error
            }
        }
    }

    package func encode(into output: inout [UInt8], depth: Int = 1) throws(FrameError) {
        guard depth <= Self.maximumNesting else { throw .nestingTooDeep }
        switch storage {
        case .encoded(let octets), .unreadable(let octets):
            // It was checked where it arrived; here it may be deeper.
            if depth > 1, let error = Self.error(in: octets, depth: depth) { throw error }
            output.appendLongOctets(octets)
        case .fields(let fields):
            try output.appendWithLength { (output) throws(FrameError) in
                for field in fields {
                    try output.appendShortString(field.name)
                    try field.value.encode(into: &output, depth: depth)
                }
            }
        }
    }
}

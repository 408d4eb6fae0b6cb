/// A value in a message's header table.
public enum HeaderValue: Hashable, Sendable {
    /// No value; on the wire a void field.
    case null
    /// A truth value.
    case bool(Bool)
    /// A whole number of up to 64 bits.
    case int(Int64)
    /// A floating-point number.
    case double(Double)
    /// Text.
    case string(String)
    /// Octets that are not UTF-8 text.
    case octets([UInt8])
    /// A list.
    case array([HeaderValue])
    /// A nested table.
    case table(MessageHeaders)

    /// The text, if this is one.
    public var string: String? { if case .string(let value) = self { value } else { nil } }
    /// The whole number, if this is one, or a floating-point number that is whole.
    public var int: Int? {
        switch self {
        case .int(let value): Int(exactly: value)
        case .double(let value): Int(exactly: value)
        default: nil
        }
    }
    /// The number as floating point, if this is a number.
    public var double: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }
    /// The truth value, if this is one.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The elements, if this is a list.
    public var array: [HeaderValue]? { if case .array(let value) = self { value } else { nil } }
}

extension HeaderValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByFloatLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral
{
    /// Text.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A whole number.
    public init(integerLiteral value: Int64) { self = .int(value) }
    /// A truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// A floating-point number.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// No value.
    public init(nilLiteral: ()) { self = .null }
    /// A list.
    public init(arrayLiteral elements: HeaderValue...) { self = .array(elements) }
}

/// The header table of a message: names and values in the order they were sent.
///
/// Tables are small (a task message has some twenty entries), so look-up is a walk over an array: cheaper to build and
/// to copy than a dictionary, and the order survives.
public struct MessageHeaders: Hashable, Sendable, ExpressibleByDictionaryLiteral, RandomAccessCollection {
    /// One entry.
    public struct Element: Hashable, Sendable {
        /// The header's name.
        public let name: String
        /// The header's value.
        public var value: HeaderValue

        /// An entry.
        public init(name: String, value: HeaderValue) {
            self.name = name
            self.value = value
        }
    }

    private var elements: [Element] = []

    /// An empty table.
    public init() {}

    /// An empty table with room for some entries.
    public init(capacity: Int) { elements.reserveCapacity(capacity) }

    /// A table of the given entries, in this order.
    public init(dictionaryLiteral pairs: (String, HeaderValue)...) {
        elements = pairs.map { Element(name: $0.0, value: $0.1) }
    }

    /// The value of a header; setting replaces it in place, adds it at the end, or with `nil` removes it.
    public subscript(name: String) -> HeaderValue? {
        get { elements.first { $0.name == name }?.value }
        set {
            switch (elements.firstIndex { $0.name == name }, newValue) {
            case (let index?, let value?): elements[index].value = value
            case (let index?, nil): elements.remove(at: index)
            case (nil, let value?): elements.append(Element(name: name, value: value))
            case (nil, nil): break
            }
        }
    }

    /// Adds an entry without looking for an earlier one of that name.
    public mutating func append(_ name: String, _ value: HeaderValue) {
        elements.append(Element(name: name, value: value))
    }

    /// The first position.
    public var startIndex: Int { 0 }
    /// The position past the last.
    public var endIndex: Int { elements.count }
    /// The entry at a position.
    public subscript(position: Int) -> Element { elements[position] }
}

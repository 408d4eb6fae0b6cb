/// A value in a field table, in RabbitMQ's dialect of the field types.
///
/// - SeeAlso: RabbitMQ, "AMQP 0-9-1 errata", section 3, field types.
public enum FieldValue: Hashable, Sendable {
    /// `t`
    case boolean(Bool)
    /// `b`
    case int8(Int8)
    /// `B`
    case uint8(UInt8)
    /// `s`
    case int16(Int16)
    /// `u`
    case uint16(UInt16)
    /// `I`
    case int32(Int32)
    /// `i`
    case uint32(UInt32)
    /// `l`, and read from `L`.
    case int64(Int64)
    /// `f`
    case float(Float)
    /// `d`
    case double(Double)
    /// `D`: the value divided by ten to the power of the scale.
    case decimal(scale: UInt8, value: Int32)
    /// `S`, when it is UTF-8.
    case string(String)
    /// `S`, when it is not UTF-8: the octets as they came.
    case undecodableString([UInt8])
    /// `A`
    case array([FieldValue])
    /// `T`: seconds since 1970.
    case timestamp(UInt64)
    /// `F`
    case table(FieldTable)
    /// `V`
    case void
    /// `x`
    case octets([UInt8])

    /// The text, if this is a string.
    public var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The number, if this is an integer of any width that fits.
    public var integer: Int64? {
        switch self {
        case .int8(let value): Int64(value)
        case .uint8(let value): Int64(value)
        case .int16(let value): Int64(value)
        case .uint16(let value): Int64(value)
        case .int32(let value): Int64(value)
        case .uint32(let value): Int64(value)
        case .int64(let value): value
        case .timestamp(let value): Int64(exactly: value)
        case .boolean, .float, .double, .decimal, .string, .undecodableString, .array, .table, .void, .octets: nil
        }
    }

    /// The truth value, if this is one.
    public var boolean: Bool? {
        if case .boolean(let value) = self { value } else { nil }
    }

    /// The nested table, if this is one.
    public var table: FieldTable? {
        if case .table(let table) = self { table } else { nil }
    }

    /// The elements, if this is an array.
    public var array: [FieldValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }
}

extension FieldValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral {
    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A truth value.
    public init(booleanLiteral value: Bool) { self = .boolean(value) }
    /// A number, as `I` when it fits 32 bits and as `l` otherwise.
    public init(integerLiteral value: Int64) { self.init(value) }

    /// A number, as `I` when it fits 32 bits and as `l` otherwise.
    public init(_ value: Int64) {
        self = Int32(exactly: value).map(FieldValue.int32) ?? .int64(value)
    }

    /// A number without a sign, which RabbitMQ's dialect has no 64-bit type for: as `I` or `l`, if it fits.
    ///
    /// - Throws: ``AMQPError``, code `.invalidArgument`, for numbers above `Int64.max`.
    public init(unsigned value: UInt64) throws(AMQPError) {
        guard let value = Int64(exactly: value) else {
            throw AMQPError(.invalidArgument, "the field value \(value) does not fit 64 bits with a sign")
        }
        self.init(value)
    }
}

extension FieldValue: ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    /// A double.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// An array.
    public init(arrayLiteral elements: FieldValue...) { self = .array(elements) }
    /// A nested table.
    public init(dictionaryLiteral elements: (String, FieldValue)...) { self = .table(FieldTable(elements)) }
}

extension FieldValue {
    init(from cursor: inout Cursor) throws(FrameError) {
        let tag = try cursor.uint8()
        switch tag {
        case UInt8(ascii: "S"):
            let octets = try cursor.longOctets()
            self = String(validating: octets, as: UTF8.self).map(FieldValue.string) ?? .undecodableString(Array(octets))
        case UInt8(ascii: "I"): self = .int32(Int32(bitPattern: try cursor.uint32()))
        case UInt8(ascii: "V"): self = .void
        // `L` is what py-amqp writes for numbers of 64 bits.
        case UInt8(ascii: "l"), UInt8(ascii: "L"): self = .int64(Int64(bitPattern: try cursor.uint64()))
        case UInt8(ascii: "t"): self = .boolean(try cursor.uint8() != 0)
        case UInt8(ascii: "F"): self = .table(FieldTable(validated: try cursor.longOctets()))
        case UInt8(ascii: "A"):
            var elements = Cursor(try cursor.longOctets())
            var values: [FieldValue] = []
            while !elements.isAtEnd { values.append(try FieldValue(from: &elements)) }
            self = .array(values)
        case UInt8(ascii: "b"): self = .int8(Int8(bitPattern: try cursor.uint8()))
        case UInt8(ascii: "B"): self = .uint8(try cursor.uint8())
        case UInt8(ascii: "s"): self = .int16(Int16(bitPattern: try cursor.uint16()))
        case UInt8(ascii: "u"): self = .uint16(try cursor.uint16())
        case UInt8(ascii: "i"): self = .uint32(try cursor.uint32())
        case UInt8(ascii: "f"): self = .float(Float(bitPattern: try cursor.uint32()))
        case UInt8(ascii: "d"): self = .double(Double(bitPattern: try cursor.uint64()))
        case UInt8(ascii: "D"):
            self = .decimal(scale: try cursor.uint8(), value: Int32(bitPattern: try cursor.uint32()))
        case UInt8(ascii: "T"): self = .timestamp(try cursor.uint64())
        case UInt8(ascii: "x"): self = .octets(Array(try cursor.longOctets()))
        default: throw .unknownFieldType(tag)
        }
    }

    /// Passes over a value, checking all that ``init(from:)`` relies on, and allocating nothing.
    static func validate(_ cursor: inout Cursor, depth: Int) throws(FrameError) {
        let tag = try cursor.uint8()
        switch tag {
        case UInt8(ascii: "S"), UInt8(ascii: "x"): _ = try cursor.longOctets()
        case UInt8(ascii: "V"): break
        case UInt8(ascii: "t"), UInt8(ascii: "b"), UInt8(ascii: "B"): try cursor.skip(1)
        case UInt8(ascii: "s"), UInt8(ascii: "u"): try cursor.skip(2)
        case UInt8(ascii: "I"), UInt8(ascii: "i"), UInt8(ascii: "f"): try cursor.skip(4)
        case UInt8(ascii: "D"): try cursor.skip(5)
        case UInt8(ascii: "l"), UInt8(ascii: "L"), UInt8(ascii: "d"), UInt8(ascii: "T"): try cursor.skip(8)
        case UInt8(ascii: "F"): try FieldTable.validate(cursor.longOctets(), depth: depth + 1)
        case UInt8(ascii: "A"):
            guard depth < FieldTable.maximumNesting else { throw .nestingTooDeep }
            var elements = Cursor(try cursor.longOctets())
            while !elements.isAtEnd { try validate(&elements, depth: depth + 1) }
        default: throw .unknownFieldType(tag)
        }
    }

    func encode(into output: inout [UInt8], depth: Int) throws(FrameError) {
        switch self {
        case .boolean(let value): output += [UInt8(ascii: "t"), value ? 1 : 0]
        case .int8(let value): output += [UInt8(ascii: "b"), UInt8(bitPattern: value)]
        case .uint8(let value): output += [UInt8(ascii: "B"), value]
        case .int16(let value): output.appendTagged("s", value)
        case .uint16(let value): output.appendTagged("u", value)
        case .int32(let value): output.appendTagged("I", value)
        case .uint32(let value): output.appendTagged("i", value)
        case .int64(let value): output.appendTagged("l", value)
        case .float(let value): output.appendTagged("f", value.bitPattern)
        case .double(let value): output.appendTagged("d", value.bitPattern)
        case .decimal(let scale, let value):
            output.appendTagged("D", scale)
            output.appendInteger(value)
        case .string(let text):
            output.append(UInt8(ascii: "S"))
            output.appendLongString(text)
        case .undecodableString(let octets):
            output.append(UInt8(ascii: "S"))
            output.appendLongOctets(octets)
        case .array(let elements):
            guard depth < FieldTable.maximumNesting else { throw .nestingTooDeep }
            output.append(UInt8(ascii: "A"))
            try output.appendWithLength { (output) throws(FrameError) in
                for element in elements { try element.encode(into: &output, depth: depth + 1) }
            }
        case .timestamp(let seconds): output.appendTagged("T", seconds)
        case .table(let table):
            output.append(UInt8(ascii: "F"))
            try table.encode(into: &output, depth: depth + 1)
        case .void: output.append(UInt8(ascii: "V"))
        case .octets(let octets):
            output.append(UInt8(ascii: "x"))
            output.appendLongOctets(octets)
        }
    }
}

extension [UInt8] {
    fileprivate mutating func appendTagged(_ tag: Unicode.Scalar, _ value: some FixedWidthInteger) {
        append(UInt8(ascii: tag))
        appendInteger(value)
    }
}

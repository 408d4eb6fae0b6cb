import Testing

@testable import AMQP

@Suite("Field tables") struct FieldTableTests {
    static let table: FieldTable = [
        "t": true, "b": .int8(-8), "B": .uint8(200), "s": .int16(-300), "u": .uint16(60_000), "I": .int32(-70_000),
        "i": .uint32(4_000_000_000), "l": .int64(.min), "f": .float(1.5), "d": 2.25,
        "D": .decimal(scale: 2, value: -314), "S": "text é", "bad": .undecodableString([0xFF, 0xFE]),
        "A": [1, "two", ["three": 3]], "T": .timestamp(1_700_000_000), "F": ["inner": ["deep": .void]], "V": .void,
        "x": .octets([0, 1, 255]),
    ]

    private func decoded(_ bytes: [UInt8]) throws -> FieldTable {
        try bytes.withUnsafeBytes { bytes in
            var cursor = Cursor(bytes)
            let table = try FieldTable(from: &cursor)
            try cursor.end()
            return table
        }
    }

    private func encoded(_ table: FieldTable) throws -> [UInt8] {
        var output: [UInt8] = []
        try table.encode(into: &output)
        return output
    }

    @Test("Every type of RabbitMQ's dialect survives the way there and back")
    func roundTrip() throws {
        let octets = try encoded(Self.table)
        let copy = try decoded(octets)
        #expect(copy == Self.table)
        #expect(try encoded(copy) == octets)
        for (name, value) in Self.table { #expect(copy[name] == value) }
        #expect(copy["missing"] == nil)
    }

    @Test("Octets are those of the errata")
    func golden() throws {
        #expect(
            try encoded(["a": 1, "b": "x", "c": false])
                == [
                    0, 0, 0, 18, 1, 0x61, 0x49, 0, 0, 0, 1, 1, 0x62, 0x53, 0, 0, 0, 1, 0x78, 1, 0x63, 0x74, 0,
                ].withLength()
        )
    }

    @Test("A decoded table can be changed like any other")
    func mutation() throws {
        var copy = try decoded(encoded(["a": 1, "b": 2]))
        copy["a"] = "one"
        copy["b"] = nil
        copy["c"] = 3
        #expect(copy == ["a": "one", "c": 3])
    }

    @Test("Nesting is accepted to the limit and refused past it", arguments: [true, false])
    func nesting(_ inArrays: Bool) throws {
        func nested(_ depth: Int) -> [UInt8] {
            var inner: [UInt8] = []
            for level in 1..<depth {
                let length = withUnsafeBytes(of: UInt32(inner.count).bigEndian) { Array($0) }
                inner =
                    (level < depth - 1 && inArrays ? [UInt8(ascii: "A")] : [0, UInt8(ascii: inArrays ? "A" : "F")])
                    + length + inner
            }
            return withUnsafeBytes(of: UInt32(inner.count).bigEndian) { Array($0) } + inner
        }
        #expect(throws: Never.self) { try decoded(nested(FieldTable.maximumNesting)) }
        #expect(throws: FrameError.nestingTooDeep) { try decoded(nested(FieldTable.maximumNesting + 1)) }
        #expect(throws: FrameError.nestingTooDeep) { try decoded(nested(10_000)) }
    }

    @Test("Too deep a table is refused on the way out, too")
    func deepEncoding() {
        var value: FieldValue = .void
        for _ in 0..<FieldTable.maximumNesting { value = .table(["n": value]) }
        #expect(throws: FrameError.nestingTooDeep) { try encoded(["n": value]) }
    }

    @Test(
        "Malformed tables end in a typed error",
        arguments: [
            ([0, 0, 0, 3, 1, 0x61], FrameError.truncated),
            ([0, 0, 0, 3, 1, 0x61, 0x7A], .unknownFieldType(0x7A)),
            ([0, 0, 0, 2, 5, 0x61], .truncated),
            ([0, 0, 0, 7, 1, 0x61, 0x53, 0xFF, 0xFF, 0xFF, 0xFF], .truncated),
            ([0, 0, 0, 4, 1, 0x61, 0x49, 0], .truncated),
            ([0xFF, 0xFF, 0xFF, 0xFF], .truncated),
            ([0, 0, 0, 3, 1, 0x61, 0x55, 0, 0], .unknownFieldType(0x55)),
            ([0, 0, 0, 8, 1, 0x61, 0x41, 0, 0, 0, 9, 0x74], .truncated),
        ] as [([UInt8], FrameError)]
    )
    func malformed(_ bytes: [UInt8], _ error: FrameError) {
        #expect(throws: error) { try decoded(bytes) }
    }

    @Test("A table that is passed on deeper than it came is checked again")
    func deeperThanItCame() throws {
        var value: FieldValue = .void
        for _ in 0..<20 { value = .table(["n": value]) }
        let arrived = try decoded(encoded(["n": value]))
        var outer: FieldValue = .table(arrived)
        for _ in 0..<20 { outer = .table(["n": outer]) }
        #expect(throws: FrameError.nestingTooDeep) { try encoded(["n": outer]) }
    }

    @Test("A name that occurs twice is passed on twice, is found the first time, and is assigned to once")
    func duplicates() throws {
        let octets = try encoded(FieldTable([("a", 1), ("b", 2), ("a", 3)]))
        var copy = try decoded(octets)
        #expect(copy["a"] == 1)
        #expect(copy.map(\.name) == ["a", "b", "a"])
        #expect(try encoded(copy) == octets)
        copy["a"] = 4
        #expect(copy == ["a": 4, "b": 2])
        copy = try decoded(octets)
        copy["a"] = nil
        #expect(copy == ["b": 2])
    }

    @Test("A number of 64 bits is read in both ways it is written, and passed on as it came")
    func longLong() throws {
        let octets: [UInt8] = [0, 0, 0, 11, 1, 0x61, UInt8(ascii: "L"), 0, 0, 1, 0, 0, 0, 0, 7]
        let table = try decoded(octets)
        #expect(table["a"] == .int64(1 << 40 + 7))
        #expect(try encoded(table) == octets)
    }

    @Test("A number without a sign is sent if it fits a type of the dialect, and is an error else")
    func unsigned() throws {
        #expect(try FieldValue(unsigned: 7) == .int32(7))
        #expect(try FieldValue(unsigned: 1 << 40) == .int64(1 << 40))
        #expect(try FieldValue(unsigned: UInt64(Int64.max)) == .int64(.max))
        let error = #expect(throws: AMQPError.self) { try FieldValue(unsigned: 1 << 63) }
        #expect(error?.code == .invalidArgument)
    }

    @Test("Printing a table shows names and no values")
    func description() {
        #expect("\(["secret": "canary"] as FieldTable)" == "[secret]")
    }
}

extension [UInt8] {
    /// Keeps golden octets readable: the length in front is computed.
    fileprivate func withLength() -> [UInt8] {
        Swift.withUnsafeBytes(of: UInt32(count - 4).bigEndian) { Array($0) } + dropFirst(4)
    }
}

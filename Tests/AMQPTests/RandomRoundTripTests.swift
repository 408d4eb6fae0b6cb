import Testing

@testable import AMQP

/// What is encoded and decoded again is the same, for anything that can be said.
@Suite("Random round trips") struct RandomRoundTripTests {
    private static let seeds: [UInt64] = Array(1...50)

    private struct Values {
        var generator: SeededGenerator

        mutating func number<Integer: FixedWidthInteger & Sendable>(_ type: Integer.Type) -> Integer {
            // The ends of the range are where mistakes are.
            [Integer.min, .max, 0, 1].randomElement(using: &generator).flatMap {
                Bool.random(using: &generator) ? $0 : nil
            }
                ?? Integer.random(in: .min ... .max, using: &generator)
        }

        mutating func octets(upTo count: Int) -> [UInt8] {
            (0..<Int.random(in: 0...count, using: &generator)).map { _ in number(UInt8.self) }
        }

        mutating func text(upTo octets: Int = 255) -> String {
            let scalars: [Unicode.Scalar] = [
                "a", "\u{0}", "é", "漢", "🐇", "\u{10FFFF}", "\u{10FF80}", "e\u{301}".unicodeScalars.first ?? "e",
            ]
            var text = ""
            for _ in 0..<Int.random(in: 0...20, using: &generator) {
                guard let scalar = scalars.randomElement(using: &generator), text.utf8.count + 4 <= octets else {
                    break
                }
                text.unicodeScalars.append(scalar)
            }
            return text
        }

        mutating func table(depth: Int) -> FieldTable {
            var names: Set<String> = []
            var fields: [(name: String, value: FieldValue)] = []
            for _ in 0..<Int.random(in: 0...5, using: &generator) {
                let name = text()
                if names.insert(name).inserted { fields.append((name, value(depth: depth + 1))) }
            }
            return FieldTable(fields: fields)
        }

        mutating func value(depth: Int) -> FieldValue {
            switch Int.random(in: 0..<(depth < 6 ? 18 : 16), using: &generator) {
            case 0: .boolean(Bool.random(using: &generator))
            case 1: .int8(number(Int8.self))
            case 2: .uint8(number(UInt8.self))
            case 3: .int16(number(Int16.self))
            case 4: .uint16(number(UInt16.self))
            case 5: .int32(number(Int32.self))
            case 6: .uint32(number(UInt32.self))
            case 7: .int64(number(Int64.self))
            case 8: .float(Float(number(Int32.self)) / 7)
            case 9: .double(Double(number(Int64.self)) / 7)
            case 10: .decimal(scale: number(UInt8.self), value: number(Int32.self))
            case 11: .string(text(upTo: 1000))
            // Not UTF-8, or it would be read as text.
            case 12: .undecodableString(octets(upTo: 30) + [0xFF])
            case 13: .timestamp(number(UInt64.self))
            case 14: .void
            case 15: .octets(octets(upTo: 300))
            case 16: .array((0..<Int.random(in: 0...4, using: &generator)).map { _ in value(depth: depth + 1) })
            default: .table(table(depth: depth + 1))
            }
        }

        mutating func maybe<Value>(_ make: (inout Self) -> Value) -> Value? {
            Bool.random(using: &generator) ? make(&self) : nil
        }

        mutating func properties() -> BasicProperties {
            var properties = BasicProperties()
            properties.contentType = maybe { $0.text() }
            properties.contentEncoding = maybe { $0.text() }
            properties.headers = maybe { $0.table(depth: 0) }
            properties.deliveryMode = maybe { $0.number(UInt8.self) }
            properties.priority = maybe { $0.number(UInt8.self) }
            properties.correlationID = maybe { $0.text() }
            properties.replyTo = maybe { $0.text() }
            properties.expiration = maybe { $0.text() }
            properties.messageID = maybe { $0.text() }
            properties.timestamp = maybe { $0.number(UInt64.self) }
            properties.type = maybe { $0.text() }
            properties.userID = maybe { $0.text() }
            properties.appID = maybe { $0.text() }
            properties.clusterID = maybe { $0.text() }
            return properties
        }
    }

    @Test("Field tables of any content and depth", arguments: seeds)
    func tables(_ seed: UInt64) throws {
        var values = Values(generator: SeededGenerator(state: seed))
        for _ in 0..<40 {
            let table = values.table(depth: 0)
            var octets: [UInt8] = []
            try table.encode(into: &octets)
            try octets.withUnsafeBytes { bytes in
                var cursor = Cursor(bytes)
                let copy = try FieldTable(from: &cursor)
                try cursor.end()
                #expect(copy == table)
                var again: [UInt8] = []
                try copy.encode(into: &again)
                #expect(again == octets)
            }
        }
    }

    @Test("Properties of any content, each present or not", arguments: seeds)
    func properties(_ seed: UInt64) throws {
        var values = Values(generator: SeededGenerator(state: seed))
        for _ in 0..<40 {
            let properties = values.properties()
            var octets: [UInt8] = []
            try properties.encode(into: &octets)
            try octets.withUnsafeBytes { bytes in
                var cursor = Cursor(bytes)
                let copy = try BasicProperties(from: &cursor)
                #expect(copy == properties)
                #expect(copy.headers == properties.headers)
                #expect(copy.messageID == properties.messageID)
                #expect(copy.timestamp == properties.timestamp)
            }
        }
    }
}

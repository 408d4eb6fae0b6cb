import CeleriacCore
import FoundationEssentials
import Testing

@Suite("Payload coding")
struct PayloadCodingTests {
    private func decode<Value: Decodable>(_ text: String, as type: Value.Type = Value.self) throws -> Value {
        try PayloadCoding.decode(type, from: Array(text.utf8))
    }

    private func encode(_ value: some Encodable) throws -> String {
        String(decoding: try PayloadCoding.encode(value, sortedKeys: true), as: UTF8.self)
    }

    @Test("Reads bare non-finite numbers, as Python writes them")
    func nonFinite() throws {
        let numbers = try decode("[NaN, Infinity, -Infinity, 1.5]", as: [Double].self)
        #expect(numbers[0].isNaN)
        #expect(Array(numbers[1...]) == [.infinity, -.infinity, 1.5])
        guard case .array(let values) = try decode("[NaN, -Infinity]", as: JSONValue.self) else {
            Issue.record("not a list")
            return
        }
        #expect(values.first != values.first, "NaN differs from itself")
        #expect(values.last == .double(-.infinity))
    }

    @Test("Reads non-finite numbers beside envelopes")
    func nonFiniteBesideEnvelope() throws {
        struct Mixed: Decodable {
            let number: Double
            let data: Data
        }
        let mixed = try decode(
            #"{"number": Infinity, "data": {"__type__": "bytes", "__value__": "abc"}}"#,
            as: Mixed.self
        )
        #expect(mixed.number == .infinity)
        #expect(mixed.data == Data("abc".utf8))
    }

    @Test("Leaves names of non-finite numbers alone inside text")
    func nonFiniteText() throws {
        #expect(try decode(#"["NaN", "Infinity"]"#, as: [String].self) == ["NaN", "Infinity"])
    }

    @Test(
        "Reads envelopes that hold text as that text",
        arguments: [
            (#"{"__type__": "datetime", "__value__": "2026-01-02T03:04:05+00:00"}"#, "2026-01-02T03:04:05+00:00"),
            (#"{"__type__": "date", "__value__": "2026-01-02"}"#, "2026-01-02"),
            (#"{"__type__": "time", "__value__": "03:04:05"}"#, "03:04:05"),
            (#"{"__type__": "decimal", "__value__": "1.10"}"#, "1.10"),
            (#"{"__value__": "1.10", "__type__": "decimal"}"#, "1.10"),
        ]
    )
    func textEnvelopes(_ text: String, _ expected: String) throws {
        #expect(try decode(text, as: String.self) == expected)
    }

    @Test("Reads dates and times as instants")
    func dates() throws {
        let instant = Date(timeIntervalSince1970: 1_767_323_045)
        #expect(try decode(#"{"__type__": "datetime", "__value__": "2026-01-02T03:04:05+00:00"}"#) == instant)
        #expect(try decode(#"{"__type__": "datetime", "__value__": "2026-01-02T03:04:05"}"#) == instant)
        #expect(try decode(#""2026-01-02T04:04:05+01:00""#) == instant)
        #expect(
            try decode(#"{"__type__": "date", "__value__": "2026-01-02"}"#)
                == Date(timeIntervalSince1970: 1_767_312_000)
        )
        #expect(throws: DecodingError.self) { try decode(#""tomorrow""#, as: Date.self) }
    }

    @Test("Reads a UUID without dashes")
    func uuid() throws {
        let text = #"{"__type__": "uuid", "__value__": {"hex": "12345678123456781234567812345678"}}"#
        #expect(try decode(text) == UUID(uuidString: "12345678-1234-5678-1234-567812345678"))
        #expect(throws: CeleriacError.self) {
            try decode(#"{"__type__": "uuid", "__value__": {"hex": "123"}}"#, as: UUID.self)
        }
    }

    @Test("Reads octets, text or not")
    func octets() throws {
        #expect(try decode(#"{"__type__": "bytes", "__value__": "grüße"}"#) == Data("grüße".utf8))
        #expect(try decode(#"{"__type__": "base64", "__value__": "//4="}"#) == Data([0xFF, 0xFE]))
    }

    @Test("Reads envelopes at any depth")
    func nestedEnvelopes() throws {
        let text = #"[[{"a": {"__type__": "base64", "__value__": "AQI="}}], {}, {"callbacks": null}]"#
        #expect(
            try decode(text, as: JSONValue.self) == [[["a": "AQI="]], [:], ["callbacks": nil]] as JSONValue
        )
    }

    @Test("Takes an object with further keys for plain data")
    func notAnEnvelope() throws {
        let text = #"{"__type__": "datetime", "__value__": "x", "more": 1}"#
        #expect(try decode(text, as: JSONValue.self).object?["more"] == 1)
        #expect(try decode(#"{"__type__": "only"}"#, as: [String: String].self) == ["__type__": "only"])
        #expect(try decode(#"["__type__", "__value__"]"#, as: [String].self) == ["__type__", "__value__"])
    }

    @Test("Refuses an envelope of an unknown type")
    func unknownEnvelope() {
        let error = #expect(throws: CeleriacError.self) {
            try decode(#"{"__type__": "set", "__value__": [1]}"#, as: JSONValue.self)
        }
        #expect(error?.code == .undecodable)
    }

    @Test("Writes dates and octets in envelopes that it reads again")
    func writtenEnvelopes() throws {
        let date = Date(timeIntervalSince1970: 1_767_323_045)
        #expect(try encode(date) == #"{"__type__": "datetime", "__value__": "2026-01-02T03:04:05+00:00"}"#)
        #expect(try decode(encode(date)) == date)
        let data = Data([0, 255, 254])
        #expect(try encode(data) == #"{"__type__": "base64", "__value__": "AP\/+"}"#.replacing(#"\/"#, with: "/"))
        #expect(try decode(encode(data)) == data)
    }

    @Test("Refuses to write numbers that JSON does not have")
    func unwritable() {
        let error = #expect(throws: CeleriacError.self) { try encode([Double.nan]) }
        #expect(error?.code == .invalidPayload)
    }

    @Test("Accepts nesting up to the limit and refuses more")
    func depth() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try decode(nested(PayloadCoding.maximumDepth), as: JSONValue.self)
        let error = #expect(throws: CeleriacError.self) {
            try decode(nested(PayloadCoding.maximumDepth + 1), as: JSONValue.self)
        }
        #expect(error?.code == .undecodable)
        #expect(throws: (any Error).self) {
            try decode(String(repeating: "[", count: 1_000_000), as: JSONValue.self)
        }
        #expect(try decode("\"" + String(repeating: "[", count: 1000) + "\"", as: String.self).count == 1000)
    }

    @Test(
        "Refuses what is not JSON text",
        arguments: [
            [], [0x22, 0xFF, 0x22], [0x22, 0xC3, 0x22], [0xFF, 0xFE], Array(#""\ud800""#.utf8), Array("[1".utf8),
            Array("\"\\".utf8), Array("\"".utf8), Array("\"__type__".utf8), Array("]".utf8), Array("[1] [2]".utf8),
            Array("1e400".utf8), Array("nul".utf8), Array("N".utf8), Array("{\"a\" 1}".utf8), [0],
        ] as [[UInt8]]
    )
    func malformed(_ bytes: [UInt8]) {
        #expect(throws: (any Error).self) { try PayloadCoding.decode(JSONValue.self, from: bytes) }
    }

    @Test("Reads escaped and plain text alike")
    func escapes() throws {
        #expect(try decode(#""gr\u00fc\u00dfe \ud83d\udc18 \"\\\/\b""#, as: String.self) == "grüße 🐘 \"\\/\u{8}")
        #expect(try decode(#""grüße 🐘""#, as: String.self) == "grüße 🐘")
    }

    @Test("Reads numbers of any size as exactly as the type allows")
    func numbers() throws {
        #expect(try decode("9223372036854775807", as: JSONValue.self) == .int(.max))
        #expect(try decode("18446744073709551615", as: UInt64.self) == .max)
        #expect(try decode("1180591620717411303424", as: JSONValue.self) == .double(1_180_591_620_717_411_303_424))
        #expect(try decode("-0.5e-3", as: JSONValue.self) == .double(-0.0005))
        #expect(throws: (any Error).self) { try decode("256", as: UInt8.self) }
    }

    @Test("Passes a type's own decoding errors through")
    func ownErrors() {
        struct Picky: Decodable {
            struct Refusal: Error {}
            init(from decoder: any Decoder) throws { throw Refusal() }
        }
        #expect(throws: Picky.Refusal.self) { try decode("1", as: Picky.self) }
    }
}

import CeleriacCore
import Testing

@Suite("JSON values of any shape")
struct JSONValueTests {
    @Test(
        "Reads numbers as whole where they are, as floating point otherwise",
        arguments: [
            ("1", .int(1)), ("1.0", .int(1)), ("1e2", .int(100)), ("0.1", .double(0.1)), ("-0.5", .double(-0.5)),
            ("100000000000000000000", .double(1e20)), ("true", .bool(true)), ("false", .bool(false)), ("null", .null),
            ("\"1\"", .string("1")),
        ] as [(String, JSONValue)]
    )
    func scalars(_ text: String, _ value: JSONValue) throws {
        #expect(try PayloadCoding.decode(JSONValue.self, from: Array(text.utf8)) == value)
    }

    @Test("Gives a value only as what it is")
    func accessors() {
        #expect(JSONValue.string("a").string == "a")
        #expect(JSONValue.int(1).string == nil)
        #expect(JSONValue.int(1).int == 1)
        #expect(JSONValue.double(1).int == nil)
        #expect((["a"] as JSONValue).array == ["a"])
        #expect((["a": 1] as JSONValue).object == ["a": 1])
        #expect(JSONValue.null.object == nil)
    }

    @Test(
        "Encodes to the text it came from",
        arguments: [#"{"a": [1, null, true, "x, \"y\": \\", {"b": []}]}"#, "[]", "\"x\"", "-7"]
    )
    func roundTrip(_ text: String) throws {
        let value = try PayloadCoding.decode(JSONValue.self, from: Array(text.utf8))
        #expect(String(decoding: try PayloadCoding.encode(value), as: UTF8.self) == text)
    }
}

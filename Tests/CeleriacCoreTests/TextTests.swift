import CeleriacCore
import Testing

@Suite("Python's text of values")
struct PythonTextTests {
    @Test(
        "Prints values as Python's repr does",
        arguments: [
            (nil, "None"), (true, "True"), (false, "False"), (42, "42"), (-1, "-1"), (1.5, "1.5"),
            (.double(2), "2.0"), (.double(.nan), "nan"), (.double(.infinity), "inf"), (.double(-.infinity), "-inf"),
            ("plain", "'plain'"), ("it's", "\"it's\""), ("say \"hi\"", "'say \"hi\"'"),
            ("it's \"both\"", #"'it\'s "both"'"#), ("a\\b", #"'a\\b'"#), ("\n\r\t", #"'\n\r\t'"#),
            ("\u{1}\u{1F}\u{7F}", #"'\x01\x1f\x7f'"#), ("grüße 🐘", "'grüße 🐘'"), ("", "''"),
            ([], "[]"), ([1, "a", [nil]], "[1, 'a', [None]]"), ([:], "{}"),
            (["b": 1, "a": ["x": true]], "{'a': {'x': True}, 'b': 1}"),
        ] as [(JSONValue, String)]
    )
    func repr(_ value: JSONValue, _ text: String) {
        #expect(PythonText.repr(of: value) == text)
    }

    @Test("Prints tuples with the comma of a single element")
    func tuples() {
        #expect(PythonText.tuple([]) == "()")
        #expect(PythonText.tuple([2]) == "(2,)")
        #expect(PythonText.tuple([2, 3]) == "(2, 3)")
        #expect(PythonText.tuple(["a", nil]) == "('a', None)")
    }
}

@Suite("JSON text")
struct JSONTextTests {
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test("Spaces objects and lists as Python does, in the given order")
    func spacing() {
        let object = JSONText.object([
            ("z", JSONText.null), ("a", JSONText.array([JSONText.string("x"), JSONText.value(1)])),
        ])
        #expect(text(object) == #"{"z": null, "a": ["x", 1]}"#)
        #expect(text(JSONText.object([])) == "{}")
        #expect(text(JSONText.array([])) == "[]")
        #expect(text(JSONText.optional(nil)) == "null")
        #expect(text(JSONText.optional("a")) == #""a""#)
    }

    @Test("Escapes what JSON requires and leaves the rest")
    func escaping() {
        #expect(text(JSONText.string("\"\\\n\u{0}\u{1F}\r/ü🐘")) == #""\"\\\n\u0000\u001f\u000d/ü🐘""#)
    }

    @Test("Writes non-finite numbers bare")
    func nonFinite() {
        #expect(
            text(JSONText.value([.double(.nan), .double(.infinity), .double(-.infinity)]))
                == "[NaN, Infinity, -Infinity]"
        )
    }

    @Test(
        "Writes what the decoder reads as the same value",
        arguments: [
            nil, true, false, 0, .int(.max), .int(.min), 1.5, .double(-1e300), .double(2.5e-308), "",
            "a\"b\\c\n\u{7}é🐘",
            [], [[], [:]], ["k\"": ["nested": [1, 2.25, nil]]],
        ] as [JSONValue]
    )
    func roundTrip(_ value: JSONValue) throws {
        #expect(try PayloadCoding.decode(JSONValue.self, from: JSONText.value(value)) == value)
    }
}

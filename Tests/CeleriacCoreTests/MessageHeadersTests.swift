import CeleriacCore
import Testing

@Suite("Message headers")
struct MessageHeadersTests {
    @Test("Keeps the order in which headers were set")
    func order() {
        var headers: MessageHeaders = ["z": 1, "a": 2]
        headers["m"] = 3
        headers["z"] = 4
        #expect(headers.map(\.name) == ["z", "a", "m"])
        #expect(headers["z"] == 4)
    }

    @Test("Removes a header that is set to nothing, and tells null from missing")
    func removal() {
        var headers: MessageHeaders = ["a": 1, "b": .null]
        headers["a"] = nil as HeaderValue?
        headers["c"] = nil as HeaderValue?
        #expect(headers["a"] == nil as HeaderValue?)
        #expect(headers["b"] == .some(.null))
        #expect(headers.count == 1)
    }

    @Test("Finds the first of headers that were appended twice")
    func duplicates() {
        var headers = MessageHeaders(capacity: 2)
        headers.append("a", 1)
        headers.append("a", 2)
        #expect(headers["a"] == 1)
        #expect(headers.count == 2)
    }

    @Test("Gives a value only as what it is")
    func accessors() {
        #expect(HeaderValue.string("x").string == "x")
        #expect(HeaderValue.int(3).int == 3)
        #expect(HeaderValue.double(3).int == 3)
        #expect(HeaderValue.double(3.5).int == nil)
        #expect(HeaderValue.double(.nan).int == nil)
        #expect(HeaderValue.int(3).double == 3)
        #expect(HeaderValue.bool(true).bool == true)
        #expect(HeaderValue.int(1).bool == nil)
        #expect(HeaderValue.null.string == nil)
        #expect((["a", nil] as HeaderValue).array == ["a", .null])
    }
}

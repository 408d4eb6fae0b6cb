import Testing

@testable import AMQP

@Suite("Short strings") struct ShortStringTests {
    private static let samples: [[UInt8]] = [
        [], Array("celery".utf8), Array("é😀".utf8), [0xFF], [0x61, 0xC3], [0xC3, 0x28, 0x61], [0xED, 0xA0, 0x80],
        [0xF4, 0x8F, 0xBF, 0xBF], [0xF4, 0x8F, 0xBE, 0x80], [0xF4, 0x8F, 0xBD, 0xBF], [0xF4, 0x90, 0x80, 0x80],
        [0xF4, 0x8F, 0xBE], [0x80, 0x41, 0xFE, 0x41], [UInt8](repeating: 0xF4, count: 255), Array(0...254),
    ]

    @Test("Every octet comes back, UTF-8 or not", arguments: samples)
    func roundTrip(_ octets: [UInt8]) throws {
        let text = ShortString.text(of: octets)
        #expect(ShortString.octets(of: text) == octets)
        let method = Method.basicConsumeOk(.init(consumerTag: text))
        var payload: [UInt8] = []
        try method.encode(into: &payload)
        #expect(payload == [0, 60, 0, 21, UInt8(octets.count)] + octets)
        #expect(try payload.withUnsafeBytes { try Method(decoding: $0) } == method)
    }

    @Test("Random octets come back")
    func random() {
        var generator = SeededGenerator(state: 3)
        // Mostly those that begin or continue sequences, the last private use among them.
        let likely: [UInt8] = [0x41, 0x80, 0x8F, 0xBE, 0xBF, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xFF]
        for _ in 0..<20_000 {
            let octets = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                likely.randomElement(using: &generator) ?? 0
            }
            let text = ShortString.text(of: octets)
            #expect(ShortString.octets(of: text) == octets)
        }
    }

    @Test("Text in UTF-8 is the string itself", arguments: ["", "celery", "é", "\u{10FF7F}", "😀"])
    func plain(_ text: String) {
        #expect(Array(ShortString.text(of: Array(text.utf8)).utf8) == Array(text.utf8))
    }

    @Test("Names that differ in their octets stay different")
    func different() {
        let texts = Self.samples.map { ShortString.text(of: $0) }
        #expect(Set(texts).count == texts.count)
        var table = FieldTable([("e\u{301}", 1), ("\u{E9}", 2)])
        #expect(table["\u{E9}"] == 2)
        table["\u{E9}"] = nil
        #expect(table["e\u{301}"] == 1)
        #expect(table.fields.count == 1)
    }

    @Test("A name of 255 octets fits, whatever they are, and one more does not")
    func limit() throws {
        var output: [UInt8] = []
        let longest = ShortString.text(of: [UInt8](repeating: 0xFF, count: 255))
        try output.appendShortString(longest)
        #expect(output == [UInt8](repeating: 0xFF, count: 256))
        for text in [longest + "a", longest + "\u{10FFFF}", String(repeating: "a", count: 1 << 20)] {
            #expect(throws: FrameError.self) { try output.appendShortString(text) }
        }
    }

    @Test("Properties and names of fields keep octets that are not UTF-8")
    func properties() throws {
        var bytes: [UInt8] = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0b1010_0000, 0]
        bytes += [2, 0xFF, 0x41] + [0, 0, 0, 4, 2, 0xC3, 0x28, UInt8(ascii: "V")]
        let header = try bytes.withUnsafeBytes { try ContentHeader(decoding: $0) }
        let name = ShortString.text(of: [0xC3, 0x28])
        #expect(header.properties.headers?[name] == .void)
        var again: [UInt8] = []
        try header.properties.encode(into: &again)
        #expect(again == Array(bytes[12...]))
        // Also once the table has been taken apart and put together.
        var properties = header.properties
        properties.headers = FieldTable(header.properties.headers?.map { ($0.name, $0.value) } ?? [])
        again = []
        try properties.encode(into: &again)
        #expect(again == Array(bytes[12...]))
    }
}

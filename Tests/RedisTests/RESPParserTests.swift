import Redis
import Testing

/// How a sample's octets are handed to a parser.
enum Chunking: String, CaseIterable, CustomTestStringConvertible {
    case whole, halves, octetByOctet

    var testDescription: String { rawValue }

    func feed(_ bytes: [UInt8], to parser: RESPParser) throws -> [RESPValue] {
        let size =
            switch self {
            case .whole: max(1, bytes.count)
            case .halves: max(1, (bytes.count + 1) / 2)
            case .octetByOctet: 1
            }
        var values: [RESPValue] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            values += try bytes[start..<min(start + size, bytes.count)].withUnsafeBytes { try parser.parse($0) }
        }
        return values
    }
}

struct WireSample: Sendable, CustomTestStringConvertible {
    let text: String
    let values: [RESPValue]

    var testDescription: String { String(text.prefix(40)).debugDescription }

    static let all: [WireSample] = [
        WireSample(text: "+OK\r\n", values: [.simple("OK")]),
        WireSample(text: "+\r\n", values: [.simple("")]),
        WireSample(text: "-ERR no\r\n", values: [.error("ERR no")]),
        WireSample(text: ":0\r\n:-1\r\n", values: [.integer(0), .integer(-1)]),
        WireSample(text: ":9223372036854775807\r\n", values: [.integer(.max)]),
        WireSample(text: ":-9223372036854775808\r\n", values: [.integer(.min)]),
        WireSample(text: "$0\r\n\r\n", values: [.bulk([])]),
        WireSample(text: "$6\r\na\r\nb\0c\r\n", values: [.bulk(Array("a\r\nb\0c".utf8))]),
        WireSample(text: "$-1\r\n*-1\r\n", values: [.null, .null]),
        WireSample(text: "*0\r\n", values: [.array([])]),
        WireSample(
            text: "*3\r\n$1\r\na\r\n:7\r\n$-1\r\n+next\r\n",
            values: [.array([.bulk([97]), .integer(7), .null]), .simple("next")]
        ),
        WireSample(
            text: "*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n*1\r\n-E x\r\n",
            values: [.array([.array([.integer(1), .array([])]), .array([.array([.error("E x")])])])]
        ),
        WireSample(
            text: "$70000\r\n" + String(repeating: "x", count: 70_000) + "\r\n:1\r\n",
            values: [.bulk(Array(repeating: 120, count: 70_000)), .integer(1)]
        ),
    ]
}

struct HostileSample: Sendable, CustomTestStringConvertible {
    let bytes: [UInt8]
    let expected: RESPError?

    var testDescription: String { String(decoding: bytes.prefix(40), as: UTF8.self).debugDescription }

    init(_ text: String, _ expected: RESPError? = nil) {
        bytes = Array(text.utf8)
        self.expected = expected
    }

    static let all: [HostileSample] = [
        HostileSample("*2147483647\r\n", .arrayTooLarge(2_147_483_647)),
        HostileSample("*1001\r\n", .arrayTooLarge(1001)),
        HostileSample("*99999999999\r\n"),
        HostileSample("*600\r\n*600\r\n", .replyTooLarge),
        HostileSample("*-2\r\n"),
        HostileSample("*x\r\n"),
        HostileSample("$9999999999999\r\n", .bulkTooLarge(9_999_999_999_999)),
        HostileSample("$1025\r\nabc", .bulkTooLarge(1025)),
        HostileSample("$99999999999999999999999999999999999"),
        HostileSample("$-2\r\n"),
        HostileSample("$3\r\nabcXY", .unterminatedBulk),
        HostileSample("$3 \r\nabc\r\n"),
        HostileSample(":12a\r\n"),
        HostileSample(":\r\n"),
        HostileSample(":99999999999999999999\r\n"),
        HostileSample("hello\r\n"),
        HostileSample("\0\0\0\0"),
        HostileSample("%1\r\n+a\r\n+b\r\n"),
        HostileSample(">2\r\n+a\r\n+b\r\n"),
        HostileSample(String(repeating: "*1\r\n", count: 100_000)),
        HostileSample("+" + String(repeating: "y", count: 200_000), .lineTooLong),
        HostileSample("$" + String(repeating: "1", count: 33), .lineTooLong),
    ]
}

@Suite("RESP parser") struct RESPParserTests {
    @Test("Parses the same however the octets arrive", arguments: WireSample.all, Chunking.allCases)
    func chunking(_ sample: WireSample, _ chunking: Chunking) throws {
        let parser = try RESPParser()
        #expect(try chunking.feed(Array(sample.text.utf8), to: parser) == sample.values)
    }

    @Test("Refuses hostile octets with an error", arguments: HostileSample.all, Chunking.allCases)
    func hostile(_ sample: HostileSample, _ chunking: Chunking) throws {
        var limits = RESPParser.Limits()
        limits.bulk = 1024
        limits.elements = 1000
        let parser = try RESPParser(limits: limits)
        let error = #expect(throws: RESPError.self) { try chunking.feed(sample.bytes, to: parser) }
        if let expected = sample.expected { #expect(error == expected) }
        // The position is lost, so nothing that follows may be believed.
        #expect(throws: RESPError.self) { try Chunking.whole.feed(Array("+OK\r\n".utf8), to: parser) }
    }

    @Test("Keeps the NUL of an error line")
    func nulInError() throws {
        let parser = try RESPParser()
        #expect(try Chunking.whole.feed(Array("-a\0b\r\n".utf8), to: parser) == [.error("a\0b")])
    }

    @Test("Bounds the octets of one whole reply")
    func replyLimit() throws {
        var limits = RESPParser.Limits()
        limits.reply = 10
        let parser = try RESPParser(limits: limits)
        #expect(throws: RESPError.replyTooLarge) {
            try Chunking.whole.feed(Array("*2\r\n$6\r\nabcdef\r\n$6\r\nabcdef\r\n".utf8), to: parser)
        }
    }

    @Test("Never traps on random octets", arguments: UInt64(1)...40)
    func random(_ seed: UInt64) throws {
        var state = seed &* 0x9E37_79B9_7F4A_7C15
        let alphabet = Array("*$:+-0123456789\r\n\r\n\r\nab\0".utf8)
        for _ in 0..<200 {
            let bytes = (0..<120).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return alphabet[Int(state >> 33) % alphabet.count]
            }
            let parser = try RESPParser()
            _ = try? Chunking.octetByOctet.feed(bytes, to: parser)
        }
    }
}

import Testing

@testable import AMQP

@Suite("Frame decoder") struct FrameDecoderTests {
    @Test("Decodes the same however the octets arrive", arguments: WireSample.all, Chunking.allCases)
    func chunking(_ sample: WireSample, _ chunking: Chunking) throws {
        #expect(try chunking.feed(sample.bytes, to: FrameDecoder(maximumFrameSize: 4096)) == sample.frames)
    }

    @Test(
        "Malformed frames end in a typed error",
        arguments: [
            ([9, 0, 0, 0, 0, 0, 0, 0xCE], FrameError.unknownFrameType(9)),
            ([1, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF], .frameTooLarge(octets: 0xFFFF_FFFF + 8, limit: 4096)),
            ([1, 0, 0, 0, 0, 0x0F, 0xF9], .frameTooLarge(octets: 4097, limit: 4096)),
            ([8, 0, 0, 0, 0, 0, 0, 0xCD], .missingEndOctet),
            ([1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 99, 0xCE], .unknownMethod(classID: 10, methodID: 99)),
            ([1, 0, 0, 0, 0, 0, 2, 0, 10, 0xCE], .truncated),
            // connection.tune cut short, and with an octet too many
            ([1, 0, 0, 0, 0, 0, 6, 0, 10, 0, 30, 1, 1, 0xCE], .truncated),
            ([1, 0, 0, 0, 0, 0, 5, 0, 20, 0, 41, 0, 0xCE], .trailingOctets),
            // basic.cancel whose tag reaches past the end
            ([1, 0, 1, 0, 0, 0, 6, 0, 60, 0, 30, 200, 65, 0xCE], .truncated),
            // content headers: of another class, with the value of a 15th property, with a table longer than the frame
            ([8, 0, 0, 0, 0, 0, 1, 0, 0xCE], .malformedHeartbeat),
            ([8, 0, 1, 0, 0, 0, 0, 0xCE], .malformedHeartbeat),
            ([1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF], .frameTooLarge(octets: 0xFFFF_FFFF + 8, limit: 4096)),
            ([2, 0, 1, 0, 0, 0, 2, 0, 50, 0xCE], .wrongContentClass(50)),
            (
                [2, 0, 1, 0, 0, 0, 15, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0xCE],
                .trailingOctets
            ),
            (
                [2, 0, 1, 0, 0, 0, 18, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xCE],
                .truncated
            ),
        ] as [([UInt8], FrameError)]
    )
    func malformed(_ bytes: [UInt8], _ error: FrameError) {
        #expect(throws: error) {
            try Chunking.whole.feed(bytes, to: FrameDecoder(maximumFrameSize: 4096))
        }
    }

    @Test("Random octets never trap")
    func noise() {
        var generator = SeededGenerator(state: 1)
        for _ in 0..<20_000 {
            var bytes = (0..<Int.random(in: 0...60, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            // Half of them get a plausible front, so that the decoders behind it are reached.
            if bytes.count > 12, Bool.random(using: &generator) {
                let size = bytes.count - 8
                bytes.replaceSubrange(
                    0..<7,
                    with: [UInt8.random(in: 1...3, using: &generator), 0, 1, 0, 0, 0, UInt8(size)]
                )
                bytes[7] = 0
                bytes[8] = [10, 20, 40, 50, 60, 85, 90].randomElement(using: &generator) ?? 10
                bytes[9] = 0
                bytes[10] = UInt8(
                    10 * Int.random(in: 1...12, using: &generator) + Int.random(in: 0...1, using: &generator)
                )
                bytes[bytes.count - 1] = 0xCE
            }
            _ = try? Chunking.whole.feed(bytes, to: FrameDecoder(maximumFrameSize: 4096))
        }
    }

    @Test("Mutated samples never trap", arguments: WireSample.all)
    func mutation(_ sample: WireSample) {
        var generator = SeededGenerator(state: 2)
        for _ in 0..<5_000 {
            var bytes = sample.bytes
            for _ in 0...2 {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = try? Chunking.whole.feed(bytes, to: FrameDecoder(maximumFrameSize: 4096))
        }
    }

    @Test(
        "Names what answers in place of AMQP 0-9-1",
        arguments: [
            (Array("AMQP".utf8) + [0, 0, 9, 1], "AMQP 0-9-1"),
            (Array("AMQP".utf8) + [0, 1, 0, 0], "AMQP 1-0"),
            (Array("HTTP/1.1 400 Bad Request".utf8), "HTTP"),
            ([0x15, 3, 1, 0, 2, 2], "TLS"),
        ] as [([UInt8], String)]
    )
    func foreign(_ bytes: [UInt8], _ name: String) {
        #expect(bytes.withUnsafeBytes { FrameDecoder.foreignProtocol($0) } == name)
    }
}

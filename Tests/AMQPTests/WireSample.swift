import Testing

@testable import AMQP

/// Octets with what they mean.
///
/// They are written out by hand from the standard.
struct WireSample: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let bytes: [UInt8]
    let frames: [Frame]

    /// An owned copy of a frame, for comparison.
    enum Frame: Equatable, Sendable {
        case method(UInt16, Method)
        case header(UInt16, ContentHeader)
        case body(UInt16, [UInt8])
        case heartbeat
    }

    static let heartbeat = WireSample(
        testDescription: "heartbeat",
        bytes: [8, 0, 0, 0, 0, 0, 0, 0xCE],
        frames: [.heartbeat]
    )

    static let tune = WireSample(
        testDescription: "tune",
        bytes: [1, 0, 0, 0, 0, 0, 12, 0, 10, 0, 30, 0x07, 0xFF, 0, 2, 0, 0, 0, 60, 0xCE],
        frames: [.method(0, .connectionTune(.init(channelMax: 2047, frameMax: 131_072, heartbeat: 60)))]
    )

    static let deliver = WireSample(
        testDescription: "deliver with content",
        bytes: [
            1, 0, 1, 0, 0, 0, 24, 0, 60, 0, 60, 2, 0x63, 0x31, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 6, 0x63, 0x65, 0x6C, 0x65,
            0x72,
            0x79, 0xCE,
            2, 0, 1, 0, 0, 0, 30, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0x30, 0, 0, 0, 0, 11, 4, 0x74, 0x61, 0x73, 0x6B,
            0x53,
            0, 0, 0, 1, 0x61, 2, 0xCE,
            3, 0, 1, 0, 0, 0, 3, 0x61, 0x62, 0x63, 0xCE,
        ],
        frames: [
            .method(
                1,
                .basicDeliver(
                    .init(consumerTag: "c1", deliveryTag: 7, isRedelivered: true, exchange: "", routingKey: "celery")
                )
            ),
            .header(
                1,
                ContentHeader(
                    bodySize: 3,
                    properties: BasicProperties {
                        $0.headers = ["task": "a"]
                        $0.deliveryMode = 2
                    }
                )
            ),
            .body(1, Array("abc".utf8)),
        ]
    )

    static let all = [
        heartbeat, tune, deliver,
        WireSample(
            testDescription: "several in a row",
            bytes: heartbeat.bytes + deliver.bytes + tune.bytes,
            frames: heartbeat.frames + deliver.frames + tune.frames
        ),
    ]
}

extension BasicProperties {
    init(_ change: (inout BasicProperties) -> Void) {
        self.init()
        change(&self)
    }

    static let full = BasicProperties {
        $0.contentType = "application/json"
        $0.contentEncoding = "utf-8"
        $0.headers = ["lang": "py", "retries": 0, "nested": ["a": [1, "two", false]]]
        $0.deliveryMode = 2
        $0.priority = 9
        $0.correlationID = "c"
        $0.replyTo = "r"
        $0.expiration = "60000"
        $0.messageID = "m"
        $0.timestamp = 1_700_000_000
        $0.type = "t"
        $0.userID = "guest"
        $0.appID = "a"
        $0.clusterID = "k"
    }
}

/// How octets may arrive.
enum Chunking: CaseIterable, Sendable {
    case whole
    case inThirds
    case octetByOctet

    /// Feeds octets the way a stream does: what was not taken comes again, at the front.
    func feed(_ bytes: [UInt8], to decoder: FrameDecoder) throws -> [WireSample.Frame] {
        let step =
            switch self {
            case .whole: max(1, bytes.count)
            case .inThirds: max(1, bytes.count / 3)
            case .octetByOctet: 1
            }
        var frames: [WireSample.Frame] = []
        var buffer: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            buffer += bytes[start..<min(start + step, bytes.count)]
            while true {
                let taken = try buffer.withUnsafeBytes { raw -> Int in
                    guard let frame = try decoder.next(in: raw) else { return 0 }
                    frames.append(try WireSample.Frame(frame))
                    return frame.payload.count + FrameDecoder.overhead
                }
                if taken == 0 { break }
                buffer.removeFirst(taken)
            }
        }
        return frames
    }
}

extension WireSample.Frame {
    init(_ frame: FrameView) throws {
        switch frame.type {
        case .method: self = .method(frame.channel, try Method(decoding: frame.payload))
        case .header: self = .header(frame.channel, try ContentHeader(decoding: frame.payload))
        case .body: self = .body(frame.channel, Array(frame.payload))
        case .heartbeat: self = .heartbeat
        }
    }
}

/// The same numbers in every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

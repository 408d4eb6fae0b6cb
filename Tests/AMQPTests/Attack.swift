import Testing

@testable import AMQP

/// Octets that no honest server sends, and the reply code with which the connection is closed for them.
struct Attack: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let replyCode: UInt16
    let bytes: [UInt8]
    /// How often publish number 1 was confirmed before the attack began in earnest.
    var isConfirmed = false

    private init(_ description: String, _ replyCode: UInt16, _ parts: [[UInt8]], isConfirmed: Bool = false) {
        testDescription = description
        self.replyCode = replyCode
        bytes = Array(parts.joined())
        self.isConfirmed = isConfirmed
    }

    // MARK: Octets

    static func frame(_ type: UInt8, _ channel: UInt16, _ payload: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = [type]
        bytes.appendInteger(channel)
        bytes.appendInteger(UInt32(payload.count))
        return bytes + payload + [FrameDecoder.endOctet]
    }

    static func method(_ method: AMQP.Method, on channel: UInt16 = 1) -> [UInt8] {
        var payload: [UInt8] = []
        do {
            try method.encode(into: &payload)
        } catch {
            Issue.record("\(method.name) cannot be encoded: \(error)")
        }
        return frame(1, channel, payload)
    }

    static func header(_ size: UInt64, on channel: UInt16 = 1, classID: UInt8 = 60) -> [UInt8] {
        var payload: [UInt8] = [0, classID, 0, 0]
        payload.appendInteger(size)
        payload.append(contentsOf: [0, 0])
        return frame(2, channel, payload)
    }

    static func body(_ count: Int, on channel: UInt16 = 1) -> [UInt8] {
        frame(3, channel, [UInt8](repeating: 0x61, count: count))
    }

    static func deliver(_ tag: UInt64, consumer: String = "consumer-1", on channel: UInt16 = 1) -> [UInt8] {
        method(
            .basicDeliver(.init(consumerTag: consumer, deliveryTag: tag, exchange: "", routingKey: "q")),
            on: channel
        )
    }

    private static func ack(_ tag: UInt64, multiple: Bool = false) -> [UInt8] {
        method(.basicAck(.init(deliveryTag: tag, multiple: multiple)))
    }

    private static let start = AMQP.Method.connectionStart(
        .init(versionMajor: 0, versionMinor: 9, mechanisms: "PLAIN", locales: "en_US")
    )

    private static let deepTable: [UInt8] = {
        var value: [UInt8] = [UInt8(ascii: "V")]
        for _ in 0..<400 {
            var outer: [UInt8] = [UInt8(ascii: "F")]
            outer.appendInteger(UInt32(value.count + 1))
            outer.append(0)
            value = outer + value
        }
        var payload: [UInt8] = [0, 10, 0, 10, 0, 9]
        payload.appendInteger(UInt32(value.count + 1))
        payload.append(0)
        payload += value
        payload += [UInt8](repeating: 0, count: 8)
        return frame(1, 0, payload)
    }()

    private static func octets(of length: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt32(length).bigEndian) { Array($0) }
    }

    // MARK: What a server may try while a call, a publish and a consumer wait on channel 1

    static let all: [Attack] = content + confirmations + methods + frames

    private static let content: [Attack] = [
        Attack("a delivery for an unknown consumer", 503, [deliver(1, consumer: "other"), header(0)]),
        Attack("a delivery on an unknown channel", 504, [deliver(1, on: 7)]),
        Attack("a delivery tag that skips one", 503, [deliver(2), header(0)]),
        Attack("a delivery tag that comes again", 503, [deliver(1), header(0), deliver(1), header(0)]),
        Attack("delivery tag zero", 503, [deliver(0), header(0)]),
        Attack("the highest delivery tag", 503, [deliver(.max), header(0)]),
        Attack("a method in place of a header", 505, [deliver(1), method(.queuePurgeOk(.init(messageCount: 0)))]),
        Attack("a method in the middle of a body", 505, [deliver(1), header(2), body(1), deliver(2)]),
        Attack("a header without a method", 505, [header(1)]),
        Attack("a second header", 505, [deliver(1), header(1), header(1)]),
        Attack("a body without a header", 505, [deliver(1), body(1)]),
        Attack("a body where none is due", 505, [body(1)]),
        Attack("a body of 2^63 octets", 505, [deliver(1), header(1 << 63), body(1)]),
        Attack("a body of as many octets as there are numbers", 505, [deliver(1), header(.max), body(1)]),
        Attack("a body longer than announced", 505, [deliver(1), header(2), body(3)]),
        Attack("a body after the whole of it", 505, [deliver(1), header(1), body(1), body(1)]),
        Attack("a header of another class", 501, [deliver(1), header(1, classID: 50)]),
        Attack("properties cut short", 502, [deliver(1), frame(2, 1, [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x80])]),
        Attack("content on channel 0", 504, [header(1, on: 0)]),
        Attack("content on an unknown channel", 504, [body(1, on: 9)]),
        Attack(
            "a message nobody has asked for",
            503,
            [method(.basicGetOk(.init(deliveryTag: 1, exchange: "", routingKey: "q", messageCount: 0))), header(0)]
        ),
    ]

    private static let confirmations: [Attack] = [
        Attack("a confirmation that comes again", 503, [ack(1), ack(1)], isConfirmed: true),
        Attack("the confirmation of a publish to come", 503, [ack(2)]),
        Attack("the confirmation of all up to a publish to come", 503, [ack(2, multiple: true)]),
        Attack("the confirmation of the highest number", 503, [ack(.max, multiple: true)]),
        Attack("confirmation zero", 503, [ack(0)]),
        Attack("everything confirmed when nothing is left", 503, [ack(1), ack(0, multiple: true)], isConfirmed: true),
        Attack("the refusal of a publish to come", 503, [method(.basicNack(.init(deliveryTag: 5, multiple: false)))]),
    ]

    private static let methods: [Attack] = [
        Attack("an answer to another question", 503, [method(.queueBindOk)]),
        Attack("channel.open-ok once more", 503, [method(.channelOpenOk)]),
        Attack("channel.open-ok for a channel never opened", 504, [method(.channelOpenOk, on: 5)]),
        Attack("channel.close-ok without a close", 503, [method(.channelCloseOk)]),
        Attack("connection.close-ok without a close", 503, [method(.connectionCloseOk, on: 0)]),
        Attack("a second connection.start", 503, [method(start, on: 0)]),
        Attack("a second connection.tune", 503, [WireBytes.tune]),
        Attack("a second connection.open-ok", 503, [method(.connectionOpenOk, on: 0)]),
        Attack("connection.secure after the login", 503, [method(.connectionSecure(.init(challenge: [])), on: 0)]),
        Attack("a connection's method on a channel", 503, [method(.connectionUnblocked)]),
        Attack("a channel's method on channel 0", 503, [method(.queuePurgeOk(.init(messageCount: 0)), on: 0)]),
        Attack("a client's method", 503, [method(.queuePurge(.init(queue: "q")))]),
        Attack("cancel-ok unasked", 503, [method(.basicCancelOk(.init(consumerTag: "consumer-1")))]),
        Attack("a method of no class", 503, [frame(1, 1, [0, 99, 0, 10])]),
        Attack("a method cut short", 502, [frame(1, 1, [0, 60, 0])]),
        Attack("arguments cut short", 502, [frame(1, 1, [0, 50, 0, 31, 0, 0])]),
        Attack("octets after the last argument", 502, [frame(1, 1, [0, 50, 0, 31, 0, 0, 0, 0, 0])]),
        Attack("a short string past the end", 502, [frame(1, 1, [0, 60, 0, 30, 255, 0])]),
        Attack("tables nested deep", 502, [deepTable]),
    ]

    private static let frames: [Attack] = [
        Attack("a frame of unknown type", 501, [frame(4, 1, [])]),
        Attack("a frame without its end", 501, [[1, 0, 1, 0, 0, 0, 0, 0]]),
        Attack("a frame longer than agreed", 501, [[3, 0, 1, 0, 0, 0x10, 0]]),
        Attack("a frame of 4 GiB", 501, [[3, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]]),
        Attack("a heartbeat with a payload", 501, [frame(8, 0, [0])]),
        Attack("a heartbeat on a channel", 501, [frame(8, 1, [])]),
        Attack("another protocol in mid-stream", 501, [Array("HTTP/1.1 200 OK\r\n\r\n".utf8)]),
    ]
}

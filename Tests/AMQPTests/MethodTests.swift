import Testing

@testable import AMQP

@Suite("Methods") struct MethodTests {
    static let all: [Method] = [
        .connectionStart(
            .init(versionMajor: 0, versionMinor: 9, serverProperties: ["a": 1], mechanisms: "PLAIN", locales: "en_US")
        ),
        .connectionStartOk(
            .init(clientProperties: ["b": true], mechanism: "PLAIN", response: [0, 1], locale: "en_US")
        ),
        .connectionSecure(.init(challenge: [1])), .connectionSecureOk(.init(response: [2])),
        .connectionTune(.init(channelMax: 1, frameMax: 2, heartbeat: 3)),
        .connectionTuneOk(.init(channelMax: 1, frameMax: 2, heartbeat: 3)),
        .connectionOpen(.init(virtualHost: "/")), .connectionOpenOk,
        .connectionClose(.init(replyCode: 320, replyText: "bye", classID: 1, methodID: 2)), .connectionCloseOk,
        .connectionBlocked(.init(reason: "low on memory")), .connectionUnblocked,
        .connectionUpdateSecret(.init(secret: [1], reason: "r")), .connectionUpdateSecretOk,
        .channelOpen, .channelOpenOk, .channelFlow(.init(isActive: true)), .channelFlowOk(.init(isActive: false)),
        .channelClose(.init(replyCode: 404, replyText: "no", classID: 50, methodID: 10)), .channelCloseOk,
        .exchangeDeclare(.init(exchange: "e", type: "topic", isDurable: true, isInternal: true, arguments: ["x": 1])),
        .exchangeDeclareOk, .exchangeDelete(.init(exchange: "e", ifUnused: true)), .exchangeDeleteOk,
        .exchangeBind(.init(destination: "d", source: "s", routingKey: "k")), .exchangeBindOk,
        .exchangeUnbind(.init(destination: "d", source: "s", routingKey: "k")), .exchangeUnbindOk,
        .queueDeclare(.init(queue: "q", isPassive: true, isExclusive: true, arguments: ["x-max": 5])),
        .queueDeclareOk(.init(queue: "q", messageCount: 7, consumerCount: 8)),
        .queueBind(.init(queue: "q", exchange: "e", routingKey: "k")), .queueBindOk,
        .queuePurge(.init(queue: "q")), .queuePurgeOk(.init(messageCount: 1)),
        .queueDelete(.init(queue: "q", ifUnused: false, ifEmpty: true)), .queueDeleteOk(.init(messageCount: 2)),
        .queueUnbind(.init(queue: "q", exchange: "e", routingKey: "k")), .queueUnbindOk,
        .basicQos(.init(prefetchSize: 0, prefetchCount: 100, isGlobal: true)), .basicQosOk,
        .basicConsume(.init(queue: "q", consumerTag: "t", noAck: true)), .basicConsumeOk(.init(consumerTag: "t")),
        .basicCancel(.init(consumerTag: "t")), .basicCancelOk(.init(consumerTag: "t")),
        .basicPublish(.init(exchange: "e", routingKey: "k", isMandatory: true)),
        .basicReturn(.init(replyCode: 312, replyText: "NO_ROUTE", exchange: "e", routingKey: "k")),
        .basicDeliver(
            .init(consumerTag: "t", deliveryTag: .max, isRedelivered: true, exchange: "e", routingKey: "k")
        ),
        .basicGet(.init(queue: "q", noAck: true)),
        .basicGetOk(.init(deliveryTag: 1, isRedelivered: false, exchange: "e", routingKey: "k", messageCount: 3)),
        .basicGetEmpty, .basicAck(.init(deliveryTag: 5, multiple: true)),
        .basicReject(.init(deliveryTag: 5, requeue: true)),
        .basicRecover(.init(requeue: true)), .basicRecoverOk,
        .basicNack(.init(deliveryTag: 5, multiple: true, requeue: true)),
        .confirmSelect(.init()), .confirmSelectOk,
        .txSelect, .txSelectOk, .txCommit, .txCommitOk, .txRollback, .txRollbackOk,
    ]

    @Test("Every method survives encoding and decoding", arguments: all)
    func roundTrip(_ method: Method) throws {
        var output: [UInt8] = []
        try FrameEncoder.method(method, channel: 3, into: &output)
        let frames = try Chunking.whole.feed(output, to: FrameDecoder(maximumFrameSize: 4096))
        #expect(frames == [.method(3, method)])
    }

    @Test("Every method cut short is an error", arguments: all)
    func truncation(_ method: Method) throws {
        var payload: [UInt8] = []
        try method.encode(into: &payload)
        for count in 0..<payload.count {
            #expect(throws: FrameError.self) {
                try Array(payload[..<count]).withUnsafeBytes { _ = try Method(decoding: $0) }
            }
        }
    }

    @Test(
        "Octets of what a client sends are those of the standard",
        arguments: [
            (.channelOpen, [1, 0, 1, 0, 0, 0, 5, 0, 20, 0, 10, 0, 0xCE]),
            (
                .basicAck(.init(deliveryTag: 258, multiple: true)),
                [1, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 1, 2, 1, 0xCE]
            ),
            (
                .basicNack(.init(deliveryTag: 1, multiple: false, requeue: true)),
                [1, 0, 1, 0, 0, 0, 13, 0, 60, 0, 120, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0xCE]
            ),
            (
                .basicQos(.init(prefetchSize: 0, prefetchCount: 100)),
                [1, 0, 1, 0, 0, 0, 11, 0, 60, 0, 10, 0, 0, 0, 0, 0, 100, 0, 0xCE]
            ),
            (.confirmSelect(.init()), [1, 0, 1, 0, 0, 0, 5, 0, 85, 0, 10, 0, 0xCE]),
            (
                .queueDeclare(.init(queue: "q", isDurable: true, isAutoDelete: true)),
                [1, 0, 1, 0, 0, 0, 13, 0, 50, 0, 10, 0, 0, 1, 0x71, 0b1010, 0, 0, 0, 0, 0xCE]
            ),
            (
                .exchangeUnbind(.init(destination: "", source: "", routingKey: "")),
                [1, 0, 1, 0, 0, 0, 14, 0, 40, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xCE]
            ),
        ] as [(Method, [UInt8])]
    )
    func golden(_ method: Method, _ expected: [UInt8]) throws {
        var output: [UInt8] = []
        try FrameEncoder.method(method, channel: 1, into: &output)
        #expect(output == expected)
    }

    @Test("A name longer than 255 octets is refused, not cut")
    func longName() {
        var output: [UInt8] = []
        let name = String(repeating: "é", count: 128)
        #expect(throws: FrameError.shortStringTooLong(octets: 256)) {
            try FrameEncoder.method(.queuePurge(.init(queue: name)), channel: 1, into: &output)
        }
    }

    @Test("What a publisher did wrong in its headers does not cost the consumer its connection")
    func publishedHeaders() throws {
        func nested(_ depth: Int) -> [UInt8] {
            (0..<depth).reduce([UInt8(ascii: "V")]) { inner, _ in
                [UInt8(ascii: "F")] + withUnsafeBytes(of: UInt32(inner.count + 1).bigEndian) { Array($0) } + [0] + inner
            }
        }
        let values: [[UInt8]] = [
            nested(33), nested(2000), [UInt8(ascii: "U"), 0, 0], [UInt8(ascii: "S"), 9, 9, 9, 9],
        ]
        for value in values {
            var properties: [UInt8] = [0x20, 0]
            properties.appendInteger(UInt32(value.count + 1))
            properties.append(0)
            properties += value
            let payload: [UInt8] = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] + properties
            let header = try payload.withUnsafeBytes { try ContentHeader(decoding: $0) }
            let table = try #require(header.properties.headers)
            #expect(!table.isReadable && table.isEmpty && table.fields.isEmpty && table[""] == nil)
            #expect(table == header.properties.headers && table != [:])
            var again: [UInt8] = []
            try header.properties.encode(into: &again)
            #expect(again == properties)
            // Inside another table it would break the limit, and is refused.
            #expect(throws: FrameError.self) { try FieldTable([("t", .table(table))]).encode(into: &again) }
        }
        let flags = try ([0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3] as [UInt8]).withUnsafeBytes {
            try ContentHeader(decoding: $0)
        }
        #expect(flags == ContentHeader(bodySize: 0, properties: BasicProperties()))
    }

    @Test("All fourteen properties survive encoding and decoding")
    func properties() throws {
        for properties in [BasicProperties(), .full] {
            var payload: [UInt8] = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]
            try properties.encode(into: &payload)
            let header = try payload.withUnsafeBytes { try ContentHeader(decoding: $0) }
            #expect(header == ContentHeader(bodySize: 9, properties: properties))
        }
    }
}

import Testing

@testable import AMQP

@Suite("What repeats from message to message") struct RepetitionTests {
    private func message(_ key: String, _ properties: BasicProperties, body: Int = 3) -> AMQPMessage {
        AMQPMessage(exchange: "x", routingKey: key, properties: properties, body: Array(repeating: 7, count: body))
    }

    /// The frames of a publish as they are without a memory of those before.
    private func fresh(_ message: AMQPMessage) throws -> [UInt8] {
        var encoder = PublishEncoder(channel: 3)
        var output: [UInt8] = []
        try encoder.encode(message, maximumFrameSize: 4096, into: &output)
        return output
    }

    @Test("A publish has the same octets whatever was published before it")
    func publishes() throws {
        var changed = BasicProperties.full
        let kept = changed
        changed.priority = 1
        let messages = [
            message("a", .full), message("a", .full), message("a", kept), message("a", kept), message("a", changed),
            message("b", changed), message("b", changed, body: 9), message("b", BasicProperties()),
            message("b", BasicProperties()), message("e\u{301}", kept), message("é", kept),
        ]
        var encoder = PublishEncoder(channel: 3)
        for message in messages {
            var output: [UInt8] = []
            try encoder.encode(message, maximumFrameSize: 4096, into: &output)
            #expect(try output == fresh(message))
        }
    }

    @Test("Properties changed after a publish are published as changed")
    func mutation() throws {
        var encoder = PublishEncoder(channel: 3)
        var outgoing = message("a", .full)
        for priority in UInt8(0)..<4 {
            outgoing.properties.priority = priority
            for _ in 0..<3 {
                var output: [UInt8] = []
                try encoder.encode(outgoing, maximumFrameSize: 4096, into: &output)
                #expect(try output == fresh(outgoing))
            }
        }
    }

    @Test("A publish that cannot be encoded leaves no trace in the next")
    func refused() throws {
        var encoder = PublishEncoder(channel: 3)
        var output: [UInt8] = []
        let long = String(repeating: "k", count: 256)
        #expect(throws: FrameError.self) {
            try encoder.encode(message(long, .full), maximumFrameSize: 4096, into: &output)
        }
        var unencodable = BasicProperties.full
        unencodable.messageID = long
        for _ in 0..<3 {
            #expect(throws: FrameError.self) {
                try encoder.encode(message("a", unencodable), maximumFrameSize: 4096, into: &output)
            }
        }
        output = []
        try encoder.encode(message("a", .full), maximumFrameSize: 4096, into: &output)
        #expect(try output == fresh(message("a", .full)))
    }

    @Test("A run ends before a publish that cannot be encoded, of which nothing is written")
    func run() throws {
        var unencodable = BasicProperties()
        unencodable.messageID = String(repeating: "k", count: 256)
        var messages = (0..<6).map { message("a", .full, body: $0) }
        messages[4].properties = unencodable
        var encoder = PublishEncoder(channel: 3)
        var output: [UInt8] = [1]
        let written = encoder.encode(messages, 1..<4, maximumFrameSize: 4096, into: &output)
        #expect(written.end == 4)
        #expect(written.failure == nil)
        var expected: [UInt8] = [1]
        for message in messages[1..<4] {
            expected += try fresh(message)
            FrameEncoder.body(message.body, channel: 3, into: &expected)
        }
        #expect(output == expected)
        let refused = encoder.encode(messages, 4..<6, maximumFrameSize: 4096, into: &output)
        #expect(refused.end == 4)
        #expect(refused.failure == .shortStringTooLong(octets: 256))
        #expect(output == expected)
        // An empty body has no frame.
        #expect(encoder.encode(messages, 0..<1, maximumFrameSize: 4096, into: &output).failure == nil)
        #expect(try output == expected + fresh(messages[0]))
    }

    @Test("Deliveries read the same however much they resemble each other")
    func deliveries() throws {
        var decoder = DeliverDecoder()
        for (tag, key) in ["a", "a", "aa", "a", "", "\u{10FFFF}", "b"].enumerated() {
            let deliver = Method.BasicDeliver(
                consumerTag: "consumer-\(tag / 3)",
                deliveryTag: UInt64(tag),
                isRedelivered: tag == 2,
                exchange: "events",
                routingKey: key
            )
            var octets: [UInt8] = []
            try Method.basicDeliver(deliver).encode(into: &octets)
            #expect(try decode(octets, by: &decoder) == deliver)
            #expect(throws: FrameError.truncated) { try decode(octets.dropLast(), by: &decoder) }
        }
        var acknowledgement: [UInt8] = []
        try Method.basicAck(.init(deliveryTag: 1)).encode(into: &acknowledgement)
        #expect(try decode(acknowledgement, by: &decoder) == nil)
    }

    private func decode(_ octets: [UInt8], by decoder: inout DeliverDecoder) throws -> Method.BasicDeliver? {
        try octets.withUnsafeBytes { try decoder.decode($0) }
    }

    @Test("Each property of a received message is found by itself, and can be changed")
    func properties() throws {
        var payload: [UInt8] = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        try BasicProperties.full.encode(into: &payload)
        var received = try payload.withUnsafeBytes { try ContentHeader(decoding: $0) }.properties
        let sent = BasicProperties.full
        #expect(received.contentType == sent.contentType && received.contentEncoding == sent.contentEncoding)
        #expect(received.headers == sent.headers && received.deliveryMode == 2 && received.priority == 9)
        #expect(received.correlationID == "c" && received.replyTo == "r" && received.expiration == "60000")
        #expect(received.messageID == "m" && received.timestamp == sent.timestamp && received.type == "t")
        #expect(received.userID == "guest" && received.appID == "a" && received.clusterID == "k")
        #expect(received == sent && received.hashValue == sent.hashValue)
        let copy = received
        received.replyTo = nil
        #expect(copy.replyTo == "r" && received.replyTo == nil && received.clusterID == "k" && received != copy)
    }
}

@Suite("Acknowledgements that gather") struct MailboxTests {
    @Test("Without an announced look, the first settlement wakes the loop and the others ride along")
    func eager() {
        let mailbox = ChannelMailbox()
        #expect(mailbox.settle(1, as: .acknowledge) == true)
        #expect(mailbox.settle(2, as: .acknowledge) == false)
    }

    @Test("Before an announced look, only many acknowledgements or a rejection wake the loop")
    func patient() {
        let mailbox = ChannelMailbox()
        mailbox.expectSettlements(3)
        #expect(mailbox.settle(1, as: .acknowledge) == false)
        #expect(mailbox.settle(2, as: .acknowledge) == false)
        #expect(mailbox.settle(3, as: .acknowledge) == true)
        var contents = ChannelMailbox.Contents()
        mailbox.take(into: &contents)
        #expect(contents.settlements.map(\.tag) == [1, 2, 3])
        #expect(mailbox.settle(4, as: .reject(requeue: true)) == true)
    }

    @Test("A look that finds nothing is the last")
    func last() {
        let mailbox = ChannelMailbox()
        mailbox.expectSettlements(3)
        _ = mailbox.settle(1, as: .acknowledge)
        #expect(mailbox.hasSettlements())
        var contents = ChannelMailbox.Contents()
        mailbox.take(into: &contents)
        #expect(mailbox.settle(2, as: .acknowledge) == false)
        mailbox.take(into: &contents)
        #expect(!mailbox.hasSettlements())
        #expect(mailbox.settle(3, as: .acknowledge) == true)
    }
}

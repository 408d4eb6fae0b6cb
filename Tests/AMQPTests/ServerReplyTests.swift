import Testing

@testable import AMQP

@Suite("Server replies") struct ServerReplyTests {
    private func reply(_ number: UInt16, _ text: String, _ method: (UInt16, UInt16) = (50, 10)) -> ServerReply {
        ServerReply(number: number, text: text, classID: method.0, methodID: method.1)
    }

    @Test("Both values of a conflict are found, in each of the broker's forms")
    func conflicts() throws {
        let prefix = "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received "
        let forms: [(text: String, declared: String?, existing: String?)] = [
            ("the value '1000' of type 'signedint' but current is none", "1000", nil),
            ("none but current is the value '1000' of type 'signedint'", nil, "1000"),
            ("'false' but current is 'true'", "false", "true"),
        ]
        for form in forms {
            let conflict = try #require(reply(406, prefix + form.text).conflict)
            #expect(conflict.argument == "x-message-ttl")
            #expect(conflict.entity == "queue 'q' in vhost '/'")
            #expect(conflict.declared == form.declared)
            #expect(conflict.existing == form.existing)
        }
    }

    @Test(
        "What is no conflict, or is cut short, is none",
        arguments: ["", "inequivalent arg '", "inequivalent arg 'a' for b", "inequivalent arg 'a' for b: received c"]
    )
    func noConflict(_ text: String) {
        #expect(reply(406, text).conflict == nil)
        #expect(reply(404, text).conflict == nil)
    }

    @Test("The method is named, an unknown one by its numbers, and none where there is none")
    func methods() {
        #expect(reply(404, "x", (60, 40)).method == "basic.publish")
        #expect(reply(404, "x", (77, 5)).method == "method 77.5")
        #expect(reply(320, "x", (0, 0)).method == nil)
        #expect("\(reply(599, "odd", (0, 0)))" == "599 odd")
        #expect(reply(599, "odd").code == nil)
    }

    @Test("Soft errors end channels, hard ones connections", arguments: ReplyCode.allCases)
    func severity(_ code: ReplyCode) {
        switch code.rawValue {
        case 200: #expect(code.severity == .none)
        case 311...313, 403...406: #expect(code.severity == .soft)
        default: #expect(code.severity == .hard)
        }
    }

    @Test("A message is blamed for the value that the broker names, and no other message")
    func blame() {
        var message = AMQPMessage(routingKey: "q", properties: BasicProperties(userID: "ann's"), body: [1, 2, 3])
        message.properties.expiration = "soon"
        var other = AMQPMessage(routingKey: "q", properties: BasicProperties(userID: "ann"), body: [1, 2])
        other.properties.expiration = "1"
        for text in [
            "PRECONDITION_FAILED - message size 3 is larger than configured max size 2",
            "PRECONDITION_FAILED - user_id property set to 'ann's' but authenticated user was 'guest'",
            "PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
        ] {
            let reply = reply(406, text, (60, 40))
            #expect(reply.blamesMessage && reply.blames(message) && !reply.blames(other))
            #expect(reply.advice != nil)
            #expect(!self.reply(406, text, (50, 10)).blamesMessage)
            #expect(!self.reply(406, text, (50, 10)).blames(message))
        }
    }

    @Test(
        "Nobody is blamed by a reply that names no value, or is cut short",
        arguments: ["PRECONDITION_FAILED - invalid message", "user_id property set to 'annabe"]
    )
    func noBlame(_ text: String) {
        let message = AMQPMessage(routingKey: "q", properties: BasicProperties(userID: "annabel"), body: [])
        #expect(!reply(406, text, (60, 40)).blamesMessage)
        #expect(!reply(406, text, (60, 40)).blames(message))
    }
}

import CeleriacCore
import Testing

@testable import AMQP
@testable import CeleriacAMQP

@Suite("Messages between the seam and AMQP") struct MappingTests {
    static let message = Message(
        contentType: "application/json",
        contentEncoding: "utf-8",
        correlationID: "id-1",
        replyTo: "reply",
        priority: 7,
        isPersistent: true,
        expiration: .milliseconds(1500),
        messageID: "m-1",
        headers: [
            "null": nil, "bool": true, "int": 7, "large": .int(.max), "double": 1.5, "text": "a",
            "octets": .octets([255]),
            "list": [1, nil, "x"], "table": .table(["inner": .table(["deep": 1])]),
        ],
        body: [1, 2, 3]
    )

    @Test("A message comes back as it was sent")
    func roundTrip() {
        let sent = AMQPMessage(Self.message, exchange: "e", routingKey: "k")
        #expect(sent.exchange == "e")
        #expect(sent.routingKey == "k")
        #expect(sent.isMandatory)
        #expect(sent.properties.deliveryMode == 2)
        #expect(sent.properties.expiration == "1500")
        #expect(Message(sent.properties, body: sent.body) == Self.message)
    }

    @Test("An expiration is rounded up, and one in the past is zero")
    func expirations() {
        func text(_ expiration: Duration?) -> String? {
            AMQPMessage(Message(expiration: expiration, body: []), exchange: "", routingKey: "q").properties.expiration
        }
        #expect(text(nil) == nil)
        #expect(text(.zero) == "0")
        #expect(text(.seconds(-5)) == "0")
        #expect(text(.microseconds(1)) == "1")
        #expect(text(.seconds(60)) == "60000")
    }

    @Test("A delivery without properties is a transient message without any")
    func bare() {
        let message = Message(BasicProperties(), body: [])
        #expect(message.contentType == nil)
        #expect(message.priority == 0)
        #expect(!message.isPersistent)
        #expect(message.headers.isEmpty)
    }

    @Test(
        "Every field of RabbitMQ's dialect has a header value",
        arguments: [
            (.int8(-1), -1), (.uint8(200), 200), (.int16(-300), -300), (.uint16(60_000), 60_000), (.int32(-7), -7),
            (.uint32(.max), .int(4_294_967_295)), (.int64(.min), .int(.min)), (.float(1.5), 1.5), (.double(2.5), 2.5),
            (.decimal(scale: 2, value: 150), 1.5), (.timestamp(.max), .int(.max)), (.void, nil),
            (.undecodableString([255]), .octets([255])),
        ] as [(FieldValue, HeaderValue)]
    )
    func fields(_ field: FieldValue, _ value: HeaderValue) {
        #expect(HeaderValue(field) == value)
    }

    @Test("An expiration that is no number is none")
    func hostileExpiration() {
        var properties = BasicProperties()
        properties.expiration = "99999999999999999999"
        #expect(Message(properties, body: []).expiration == nil)
    }
}

@Suite("Delay ladder") struct DelayLadderTests {
    @Test("A routing key is the delay's binary digits, then the queue, as captured from Celery")
    func captured() {
        #expect(
            DelayLadder.routingKey(seconds: 5, queue: "celery")
                == "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.1.celery"
        )
    }

    /// On the exchanges' own clock: each level that a message waits in takes its time.
    @Test(
        "A message waits in the ladder for as long as it was delayed",
        arguments: [1, 2, 59, 1800, 86_400, 7 * 86_400, 365 * 86_400, (1 << 28) - 1] as [Int64]
    )
    func walk(_ seconds: Int64) throws {
        let key = DelayLadder.routingKey(seconds: seconds, queue: "a.b")
        var (place, waited) = (DelayLadder.entrance, Int64(0))
        while place != DelayLadder.delivery {
            let level = try #require(DelayLadder.topology.first { $0.name == place })
            let waits = matches(key, level.waiting)
            #expect(waits != matches(key, level.passing), "one way out of \(place)")
            if waits { waited += level.seconds }
            place = level.next
        }
        #expect(waited == seconds)
        #expect(matches(key, "#.a.b"))
    }

    /// As a topic exchange compares.
    private func matches(_ key: String, _ pattern: String) -> Bool {
        func rest(_ words: ArraySlice<Substring>, _ pattern: ArraySlice<Substring>) -> Bool {
            guard let first = pattern.first else { return words.isEmpty }
            if first == "#" {
                return (words.startIndex...words.endIndex).contains { rest(words[$0...], pattern.dropFirst()) }
            }
            guard let word = words.first, first == "*" || first == word else { return false }
            return rest(words.dropFirst(), pattern.dropFirst())
        }
        return rest(key.split(separator: ".")[...], pattern.split(separator: ".")[...])
    }

    @Test("The longest delay sets every digit")
    func longest() {
        let seconds = DelayLadder.longestDelay.components.seconds
        #expect(
            DelayLadder.routingKey(seconds: seconds, queue: "a.b")
                == String(repeating: "1.", count: 28) + "a.b"
        )
    }
}

@Suite("Reconnecting") struct ReconnectPolicyTests {
    @Test("Pauses grow to the cap and are never too short", arguments: [0, 1, 5, 6, 7, 40, .max])
    func bounds(_ attempt: Int) {
        var generator = SystemRandomNumberGenerator()
        let ceiling = min(Duration.seconds(15), .milliseconds(200) * (1 << min(attempt, 16)))
        for _ in 0..<200 {
            let delay = ReconnectPolicy().delay(attempt: attempt, using: &generator)
            #expect(delay >= .milliseconds(20))
            #expect(delay <= ceiling)
        }
    }

    @Test(
        "Says what went wrong in the seam's words",
        arguments: [
            (.invalidURI, .configuration), (.invalidArgument, .configuration), (.tlsFailed, .unavailable),
            (.mechanismNotOffered, .configuration),
            (.accessRefused, .accessDenied), (.virtualHostRefused, .notFound), (.notFound, .notFound),
            (.preconditionFailed, .preconditionFailed), (.resourceLocked, .preconditionFailed),
            (.connectionLost, .connectionLost), (.connectionClosed, .connectionLost),
            (.heartbeatMissed, .connectionLost),
            (.channelClosed, .connectionLost), (.protocolViolation, .connectionLost), (.closed, .closed),
            (.cancelled, .cancelled), (.timedOut, .timedOut), (.nacked, .refused), (.returned, .unroutable),
            (.blocked, .blocked), (.bodyTooLarge, .tooLarge), (.unreachable, .unavailable),
            (.channelLimit, .unavailable), (.foreignProtocol, .unavailable), (.consumerCancelled, .unavailable),
        ] as [(AMQPError.Code, CeleriacError.Code)]
    )
    func codes(_ code: AMQPError.Code, _ expected: CeleriacError.Code) {
        let error = CeleriacError(AMQPError(code, "why", isOutcomeUnknown: true), attempting: "publish")
        #expect(error.code == expected)
        #expect(error.message == "publish: why")
        #expect(error.isIndeterminate)
    }
}

@Suite("Publish attempts") struct PublishAttemptTests {
    private func refusal(_ code: AMQPError.Code = .preconditionFailed) -> AMQPError {
        AMQPError(code, "refused", replyCode: 406, isOutcomeUnknown: true)
    }

    @Test("A refusal on the shared channel is tried alone, where it is final and certain")
    func refused() {
        var attempt = PublishAttempt()
        #expect(attempt.failed(refusal(), wasConnected: true, declaresQueue: true) == .repeatAlone)
        #expect(attempt.isAlone)
        #expect(attempt.isIndeterminate)
        #expect(attempt.failed(refusal(), wasConnected: true, declaresQueue: true) == .giveUp)
        #expect(!attempt.isIndeterminate)
    }

    @Test("What another publish's refusal took along stays indeterminate until it is confirmed")
    func innocent() {
        var attempt = PublishAttempt()
        _ = attempt.failed(refusal(), wasConnected: true, declaresQueue: true)
        let timeout = AMQPError(.timedOut, "late")
        #expect(attempt.failed(timeout, wasConnected: true, declaresQueue: true) == .giveUp)
        #expect(attempt.isIndeterminate)
    }

    @Test("A missing exchange is declared again, once")
    func missing() {
        var attempt = PublishAttempt()
        #expect(attempt.failed(refusal(.notFound), wasConnected: true, declaresQueue: true) == .declareAgain)
        #expect(attempt.failed(refusal(.notFound), wasConnected: true, declaresQueue: true) == .giveUp)
    }

    @Test("A returned message declares its queue again, once")
    func returned() {
        let error = AMQPError(.returned, "312")
        var attempt = PublishAttempt()
        #expect(attempt.failed(error, wasConnected: true, declaresQueue: true) == .declareAgain)
        #expect(attempt.failed(error, wasConnected: true, declaresQueue: true) == .giveUp)
        var other = PublishAttempt()
        #expect(other.failed(error, wasConnected: true, declaresQueue: false) == .giveUp)
        #expect(!other.isIndeterminate)
    }

    @Test("Losses are repeated, from the second one on after a pause, and remembered as indeterminate")
    func losses() {
        var attempt = PublishAttempt()
        let error = AMQPError(.channelClosed, "541", isOutcomeUnknown: true)
        #expect(attempt.failed(error, wasConnected: true, declaresQueue: true) == .repeatAfter(.zero))
        guard case .repeatAfter(let pause) = attempt.failed(error, wasConnected: true, declaresQueue: true) else {
            Issue.record("not repeated")
            return
        }
        #expect(pause >= .milliseconds(20))
        #expect(attempt.failed(AMQPError(.nacked, "no"), wasConnected: true, declaresQueue: true) == .giveUp)
        #expect(attempt.isIndeterminate)
    }

    @Test("What a blocked broker has not declared is tried again")
    func blocked() {
        var attempt = PublishAttempt()
        let error = AMQPError(.blocked, "low on memory")
        #expect(attempt.failed(error, wasConnected: true, declaresQueue: true) == .repeatAfter(.zero))
        #expect(!attempt.mayHaveArrived)
    }

    @Test("A refused login is not repeated")
    func login() {
        var attempt = PublishAttempt()
        let error = AMQPError(.accessRefused, "403", replyCode: 403)
        #expect(attempt.failed(error, wasConnected: false, declaresQueue: true) == .giveUp)
    }
}

@Suite("Keeping a connection", .timeLimit(.minutes(1))) struct ConnectionKeeperTests {
    private static func keeper() throws -> ConnectionKeeper {
        // A port on which nobody listens.
        ConnectionKeeper(
            uris: [try AMQPURI("amqp://user:secret@127.0.0.1:1/")],
            options: AMQPConnection.Options(),
            policy: ReconnectPolicy(),
            logger: .silent
        )
    }

    @Test("A wait ends at its deadline, also one that has passed")
    func deadlines() async throws {
        let keeper = try Self.keeper()
        for wait in [-1000, 0, 1, 50] + Array(repeating: 0, count: 200) {
            let error = await #expect(throws: AMQPError.self) {
                try await keeper.connection(before: .now + .milliseconds(wait))
            }
            #expect(error?.code == .unreachable)
            #expect(error?.description.contains("secret") == false)
        }
        await keeper.close(within: .zero)
    }

    @Test("Closing ends the waits, and later ones at once")
    func closing() async throws {
        let keeper = try Self.keeper()
        let waiting = Task { try await keeper.connection(before: .now + .seconds(50)) }
        await keeper.close(within: .zero)
        await #expect(throws: AMQPError.self) { _ = try await waiting.value }
        let error = await #expect(throws: AMQPError.self) { try await keeper.connection(before: .now + .seconds(50)) }
        #expect(error?.code == .closed)
    }

    @Test("A cancelled wait ends")
    func cancelling() async throws {
        let keeper = try Self.keeper()
        let waiting = Task { try await keeper.connection(before: .now + .seconds(50)) }
        waiting.cancel()
        let error = await #expect(throws: AMQPError.self) { try await waiting.value }
        #expect(error?.code == .cancelled)
        await keeper.close(within: .zero)
    }
}

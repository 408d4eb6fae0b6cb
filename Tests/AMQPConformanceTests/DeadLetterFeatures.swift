import TestSupport
import Testing

@testable import AMQP

enum DeadLetterFeatures {
    static let all = [
        Feature("Message expiry", "of queue and message the shorter time counts", shorterWins),
        Feature("Expiry at the head", "a classic queue lets expired messages go only at its head", headOnly),
        Feature("Length limits", "by messages and by octets; the oldest make room", maxLength),
        Feature("Overflow: reject", "a full queue nacks, and can dead-letter what it refuses", rejectPublish),
        Feature("Dead letters", "of rejection, expiry and length arrive with reason, key and count", causes),
        Feature("Places for dead letters", "are declared before the queues that need them", places),
        Feature("Replay", "dead letters go back to their queue, confirmed before they are taken out", replay),
        Feature("Replay of what dies again", "each letter goes back once, however soon it is dead again", replayPoison),
        Feature(
            "Replay by another user",
            "letters that carry the id of their user go back as well, without it",
            need: .control,
            replayForeign
        ),
        Feature("Death counts", "grow with each round, the last death first", counts),
        Feature("Delivery limit", "of a quorum queue counts returns, then dead-letters", deliveryLimit),
        Feature(
            "At-least-once dead letters",
            "of a quorum queue arrive; what they need is checked before",
            atLeastOnce
        ),
        Feature(
            "Delayed retry",
            "its arguments are sent and checked",
            .partly("RabbitMQ has it from 4.3 on, LavinMQ as well"),
            delayedRetry
        ),
    ]

    private static func deadLetters(to queue: String, key: String? = nil) -> QueueArguments {
        QueueArguments(deadLetterExchange: "", deadLetterRoutingKey: key ?? queue)
    }

    static func shorterWins(_ lab: Lab) async throws {
        let dead = try await lab.queue()
        let consumer = try await lab.channel.consume(dead)
        for (queueTTL, messageTTL) in [(Duration?.none, Duration.zero), (.seconds(60), .zero), (.zero, .seconds(60))] {
            var arguments = deadLetters(to: dead)
            arguments.messageTTL = queueTTL
            let queue = try await lab.queue(arguments)
            let properties = BasicProperties(timeToLive: messageTTL)
            try await lab.publish("x", to: queue, properties: properties)
            let delivery = try await consumer.required()
            let death = try #require(delivery.properties.deaths.first)
            #expect(death.reason == .expired && death.queue == queue)
            #expect(delivery.properties.timeToLive == nil)
            #expect(death.originalTimeToLive == messageTTL)
            try lab.channel.acknowledge(delivery.tag)
        }
    }

    static func headOnly(_ lab: Lab) async throws {
        let dead = try await lab.queue()
        let queue = try await lab.queue(deadLetters(to: dead))
        let clock = try await lab.queue(deadLetters(to: dead))
        try await lab.publish("head", to: queue, properties: BasicProperties(timeToLive: .seconds(60)))
        try await lab.publish("behind", to: queue, properties: BasicProperties(timeToLive: .milliseconds(1)))
        // When this one has died, the other one's time is over, too.
        try await lab.publish("clock", to: clock, properties: BasicProperties(timeToLive: .milliseconds(50)))
        let consumer = try await lab.channel.consume(dead)
        #expect(try await consumer.texts(1) == ["clock"])
        #expect(try await lab.count(queue) == 2)
        #expect(try await lab.channel.get(queue, noAck: true)?.text == "head")
        #expect(try await consumer.texts(1) == ["behind"])
    }

    static func maxLength(_ lab: Lab) async throws {
        let byCount = try await lab.queue(QueueArguments(maxLength: 3))
        let byOctets = try await lab.queue(QueueArguments(maxLengthOctets: 3, overflow: .dropHead))
        for queue in [byCount, byOctets] {
            for body in ["1", "2", "3", "4", "5"] { try await lab.publish(body, to: queue) }
            #expect(try await lab.bodies(in: queue) == ["3", "4", "5"])
        }
    }

    static func rejectPublish(_ lab: Lab) async throws {
        let dead = try await lab.queue()
        var arguments = deadLetters(to: dead)
        arguments.maxLength = 1
        for overflow in [.rejectPublish, .rejectPublishDLX] as [QueueArguments.Overflow] {
            arguments.overflow = overflow
            let queue = try await lab.queue(arguments)
            try await lab.publish("first", to: queue)
            let outcome = await lab.channel.outcome(ofPublishing: .text("second", queue))
            guard case .nacked = outcome else { throw Unexpected(outcome) }
            #expect(try await lab.bodies(in: queue) == ["first"])
        }
        let delivery = try await lab.channel.consume(dead).required()
        #expect(delivery.text == "second")
        #expect(delivery.properties.firstDeathReason == .maxLength)
    }

    static func causes(_ lab: Lab) async throws {
        let exchange = try await lab.exchange(.direct)
        let dead = try await lab.queue()
        for key in ["dead", "own"] { try await lab.channel.bindQueue(dead, to: exchange, routingKey: key) }
        let consumer = try await lab.channel.consume(dead)
        for reason in [.rejected, .expired, .maxLength] as [Death.Reason] {
            var arguments = QueueArguments(deadLetterExchange: exchange, deadLetterRoutingKey: "dead")
            if reason == .maxLength { arguments.maxLength = 1 }
            if reason == .expired { arguments.messageTTL = .zero }
            let queue = try await lab.queue(arguments)
            try await lab.publish("x", to: queue)
            switch reason {
            case .rejected:
                let loan = try #require(try await lab.channel.get(queue))
                try lab.channel.reject(loan.tag, requeue: false)
            case .maxLength: try await lab.publish("y", to: queue)
            default: break
            }
            let delivery = try await consumer.required()
            #expect(delivery.exchange == exchange && delivery.routingKey == "dead")
            let death = try #require(delivery.properties.deaths.first)
            #expect(death.reason == reason)
            #expect(death.queue == queue && death.exchange.isEmpty && death.routingKeys == [queue])
            #expect(death.count == 1)
            #expect(try #require(death.time) > 1_600_000_000)
            #expect(delivery.properties.firstDeathReason == reason)
            #expect(delivery.properties.firstDeathQueue == queue)
            #expect(delivery.properties.firstDeathExchange?.isEmpty == true)
            try lab.channel.acknowledge(delivery.tag)
        }
        // Without a routing key for dead letters, the message keeps its own.
        let source = try await lab.exchange(.fanout)
        let queue = try await lab.queue(QueueArguments(messageTTL: .zero, deadLetterExchange: exchange))
        try await lab.channel.bindQueue(queue, to: source, routingKey: "")
        try await lab.publish("x", to: "own", exchange: source)
        #expect(try await consumer.required().routingKey == "own")
    }

    static func places(_ lab: Lab) async throws {
        for exchange in [nil, try await lab.exchange(.fanout)] {
            let name = lab.unique("place")
            var place = DeadLetterQueue("\(name).dead")
            place.queue = AMQPQueue("\(name).dead", isDurable: false, isExclusive: true)
            place.exchange = exchange.map { AMQPExchange($0, type: .fanout, isDurable: false) }
            let work = AMQPQueue(name, isDurable: false, isExclusive: true)
            for _ in 0..<2 {
                #expect(try await lab.channel.declareQueue(work, deadLetters: place).name == name)
            }
            try await lab.publish("x", to: name)
            let loan = try #require(try await lab.channel.get(name))
            try lab.channel.reject(loan.tag, requeue: false)
            let letter = try await lab.channel.consume("\(name).dead").required()
            #expect(letter.text == "x" && letter.exchange == exchange ?? "" && letter.routingKey == "\(name).dead")
        }
    }

    static func replay(_ lab: Lab) async throws {
        let dead = try await lab.queue()
        let work = try await lab.queue(deadLetters(to: dead))
        let other = try await lab.queue()
        let topics = try await lab.exchange(.topic)
        for queue in [work, other] { try await lab.channel.bindQueue(queue, to: topics, routingKey: "#") }
        let properties = BasicProperties(headers: ["kept": "yes"], messageID: "1")
        for text in ["a", "b", "c"] { try await lab.publish(text, to: "k", exchange: topics, properties: properties) }
        try await lab.publish("stranger", to: dead)
        for _ in 0..<3 {
            let loan = try #require(try await lab.channel.get(work))
            try lab.channel.reject(loan.tag, requeue: false)
        }
        try await eventually("all are dead") { try await lab.count(dead) == 4 }
        #expect(try await lab.channel.replayDeadLetters(in: dead) { $0.text == "b" } == 1)
        let again = try #require(try await lab.channel.get(work))
        #expect(again.text == "b" && again.properties.messageID == "1")
        #expect(again.properties.headers == ["kept": "yes"])
        try lab.channel.reject(again.tag, requeue: false)
        try await eventually("it is dead again") { try await lab.count(dead) == 4 }
        #expect(try await lab.channel.replayDeadLetters(in: dead, upTo: 2) == 2)
        #expect(try await lab.channel.replayDeadLetters(in: dead) == 1)
        #expect(try await lab.bodies(in: work).sorted() == ["a", "b", "c"])
        #expect(try await lab.bodies(in: other) == ["a", "b", "c"])
        try await eventually("the stranger is back") { try await lab.count(dead) == 1 }
        #expect(try await lab.bodies(in: dead) == ["stranger"])
        // A letter whose queue is gone stays.
        try await lab.publish("late", to: work)
        let late = try #require(try await lab.channel.get(work))
        try lab.channel.reject(late.tag, requeue: false)
        try await eventually("it is dead") { try await lab.count(dead) == 1 }
        try await lab.channel.deleteQueue(work)
        let error = await failure { _ = try await lab.channel.replayDeadLetters(in: dead) }
        #expect(error?.code == .returned)
        try await eventually("it is back") { try await lab.count(dead) == 1 }
    }

    static func replayPoison(_ lab: Lab) async throws {
        let dead = try await lab.queue()
        var arguments = deadLetters(to: dead)
        arguments.messageTTL = .zero
        let deadly = try await lab.queue(arguments)
        try await lab.publish("poison", to: deadly)
        try await eventually("it is dead") { try await lab.count(dead) == 1 }
        // Nobody knows where these came from: they are given back at the end, and had time for more than one death.
        for number in 0..<20 { try await lab.publish("\(number)", to: dead) }
        #expect(try await lab.channel.replayDeadLetters(in: dead) == 1)
        try await eventually("it is dead again") { try await lab.count(dead) == 21 }
    }

    static func replayForeign(_ lab: Lab) async throws {
        let dead = try await lab.durableQueue()
        let work = try await lab.durableQueue(deadLetters(to: dead))
        try await lab.publish("x", to: work, properties: BasicProperties(messageID: "1", userID: lab.uri.user))
        let loan = try #require(try await lab.channel.get(work))
        try lab.channel.reject(loan.tag, requeue: false)
        try await eventually("it is dead") { try await lab.count(dead) == 1 }
        let (control, user) = (try Control.shared(), lab.unique("user"))
        try await control("add_user", user, "secret")
        do {
            try await control("set_permissions", "-p", lab.uri.virtualHost, user, ".*", ".*", ".*")
            var uri = lab.uri
            (uri.user, uri.password) = (user, "secret")
            let channel = try await lab.connect(to: uri).openChannel()
            #expect(try await channel.replayDeadLetters(in: dead) == 1)
        } catch {
            try await control("delete_user", user)
            throw error
        }
        try await control("delete_user", user)
        let again = try #require(try await lab.channel.get(work, noAck: true))
        #expect(again.text == "x" && again.properties.messageID == "1" && again.properties.userID == nil)
        #expect(try await lab.count(dead) == 0)
    }

    static func counts(_ lab: Lab) async throws {
        let work = lab.unique("work")
        let wait = try await lab.queue(
            QueueArguments(messageTTL: .zero, deadLetterExchange: "", deadLetterRoutingKey: work)
        )
        _ = try await lab.channel.declareQueue(
            work,
            durable: false,
            exclusive: true,
            arguments: deadLetters(to: wait)
        )
        try await lab.publish("x", to: work)
        let consumer = try await lab.channel.consume(work)
        for round in 0..<3 {
            let delivery = try await consumer.required()
            let deaths = delivery.properties.deaths
            #expect(deaths.map(\.queue) == (round == 0 ? [] : [wait, work]))
            #expect(deaths.map(\.reason) == (round == 0 ? [] : [.expired, .rejected]))
            #expect(deaths.allSatisfy { $0.count == round })
            try lab.channel.reject(delivery.tag, requeue: false)
        }
    }

    static func deliveryLimit(_ lab: Lab) async throws {
        let dead = try await lab.queue()
        var arguments = deadLetters(to: dead)
        arguments.type = .quorum
        arguments.deliveryLimit = 2
        let queue = try await lab.durableQueue(arguments)
        try await lab.publish("poison", to: queue)
        let consumer = try await lab.channel.consume(queue, prefetch: 1)
        for round in 0...2 {
            let delivery = try await consumer.required()
            #expect(delivery.properties.deliveryCount == (round == 0 ? nil : round))
            #expect(delivery.isRedelivered == (round > 0))
            try lab.channel.reject(delivery.tag, requeue: true)
        }
        let delivery = try await lab.channel.consume(dead).required()
        #expect(delivery.properties.deaths.first?.reason == .deliveryLimit)
    }

    static func atLeastOnce(_ lab: Lab) async throws {
        let dead = try await lab.durableQueue()
        var arguments = deadLetters(to: dead)
        arguments.type = .quorum
        arguments.overflow = .rejectPublish
        arguments.deadLetterStrategy = .atLeastOnce
        let queue = try await lab.durableQueue(arguments)
        try await lab.publish("x", to: queue)
        let loan = try await lab.channel.consume(queue).required()
        try lab.channel.reject(loan.tag, requeue: false)
        #expect(try await lab.channel.consume(dead).required().text == "x")
    }

    static func delayedRetry(_ lab: Lab) async throws {
        let arguments = QueueArguments(
            type: .quorum,
            delayedRetry: .failed,
            delayedRetryMinimum: .seconds(1),
            delayedRetryMaximum: .seconds(60)
        )
        #expect(
            try arguments.fields() == [
                "x-queue-type": "quorum", "x-delayed-retry-type": "failed", "x-delayed-retry-min": 1000,
                "x-delayed-retry-max": 60_000,
            ]
        )
        _ = try await lab.durableQueue(arguments)
        var reversed = arguments
        reversed.delayedRetryMaximum = .milliseconds(1)
        let error = await failure { _ = try await lab.durableQueue(reversed) }
        #expect(error?.message.contains("x-delayed-retry-min") == true)
    }
}

/// What a test did not expect.
struct Unexpected: Error, CustomStringConvertible {
    let description: String

    init(_ what: some Any) { description = "unexpected: \(what)" }
}

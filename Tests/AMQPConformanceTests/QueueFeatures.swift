import TestSupport
import Testing

@testable import AMQP

enum QueueFeatures {
    static let all = [
        Feature("Declaring a queue", "tells name, messages and consumers; passively, asks only", declaring),
        Feature("Server-named queues", "get a name, and go away with their connection", serverNamed),
        Feature("Exclusive queues", "are locked for other connections (405), which says so", exclusive),
        Feature("Auto-delete of queues", "goes away with its last consumer", autoDelete),
        Feature("Declaring a queue again", "is nothing if equal, and 406 with both values if not", again),
        Feature("Purging", "removes what is ready, and counts it", purging),
        Feature("Deleting a queue", "if unused, if empty, and counts what went with it", deleting),
        Feature(
            "Typed queue arguments",
            "are judged before sending as the broker judges them, for each type of queue",
            arguments
        ),
        Feature("Argument values", "out of range, or without what they need, are refused with advice", values),
        Feature("Queue types", "classic, quorum and stream keep their rules on flags", types),
        Feature("Priority queue", "delivers high priorities first, and keeps the order within one", priorities),
        Feature("Single active consumer", "one gets everything, until it is gone and the next takes over", single),
        Feature("Legacy queue modes", "lazy and version 2 are taken", legacy),
        Feature("Queue expiry", "an unused queue goes away after its time", expiry),
        Feature(
            "Durability",
            "of a restart, only persistent messages in durable queues survive, and durable exchanges with bindings",
            need: .ownBroker,
            durability
        ),
    ]

    static func declaring(_ lab: Lab) async throws {
        let name = lab.unique("declared")
        let state = try await lab.channel.declareQueue(name, durable: false, exclusive: true)
        #expect(state == AMQPQueue.State(name: name, messageCount: 0, consumerCount: 0))
        try await lab.publish("one", to: name)
        let consumer = try await lab.openChannel().consume(name)
        let asked = try await lab.channel.declareQueue(name, passive: true)
        #expect(asked.consumerCount == 1)
        // Also keeps it: one that nobody refers to ends.
        try await consumer.cancel()
        #expect(try await lab.exists(lab.unique("missing")) == false)
    }

    static func serverNamed(_ lab: Lab) async throws {
        let connection = try await lab.connect()
        let channel = try await connection.openChannel()
        let name = try await channel.declareQueue(durable: false, exclusive: true).name
        #expect(name.hasPrefix("amq.gen-"))
        await connection.close()
        try await eventually("the queue is gone") { try await !lab.exists(name) }
    }

    static func exclusive(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        let channel = try await lab.connect().openChannel()
        let error = await failure { _ = try await channel.consume(queue) }
        #expect(error?.code == .resourceLocked)
        #expect(error?.reply?.code == .resourceLocked)
        #expect(error?.reply?.advice?.contains("exclusive") == true)
    }

    static func autoDelete(_ lab: Lab) async throws {
        let name = lab.unique("auto-delete")
        _ = try await lab.channel.declareQueue(name, durable: false, autoDelete: true)
        let first = try await lab.channel.consume(name)
        let second = try await lab.channel.consume(name)
        try await first.cancel()
        #expect(try await lab.exists(name))
        try await second.cancel()
        try await eventually("the queue is gone") { try await !lab.exists(name) }
    }

    static func again(_ lab: Lab) async throws {
        let plain = try await lab.durableQueue()
        let limited = try await lab.durableQueue(QueueArguments(messageTTL: .seconds(1)))
        _ = try await lab.channel.declareQueue(plain)
        _ = try await lab.channel.declareQueue(limited, arguments: QueueArguments(messageTTL: .seconds(1)))
        typealias Case = (queue: String, durable: Bool, arguments: QueueArguments, argument: String, values: [String?])
        let cases: [Case] = [
            (plain, true, QueueArguments(messageTTL: .seconds(1)), "x-message-ttl", ["1000", nil]),
            (limited, true, [:], "x-message-ttl", [nil, "1000"]),
            (limited, true, QueueArguments(messageTTL: .seconds(2)), "x-message-ttl", ["2000", "1000"]),
            (plain, true, QueueArguments(deadLetterExchange: "other"), "x-dead-letter-exchange", ["other", nil]),
            (plain, false, [:], "durable", ["false", "true"]),
        ]
        for (queue, durable, arguments, argument, values) in cases {
            let channel = try await lab.openChannel()
            let error = await failure {
                _ = try await channel.declareQueue(queue, durable: durable, arguments: arguments)
            }
            let conflict = error?.reply?.conflict
            #expect(error?.code == .preconditionFailed)
            #expect(conflict?.argument == argument)
            #expect(conflict?.entity.contains(queue) == true)
            #expect([conflict?.declared, conflict?.existing] == values)
            #expect(error?.message.contains("delete it first") == true)
        }
    }

    static func purging(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        for _ in 0..<3 { try await lab.publish("x", to: queue) }
        _ = try await lab.channel.get(queue)
        #expect(try await lab.channel.purgeQueue(queue) == 2)
        #expect(try await lab.channel.purgeQueue(queue) == 0)
    }

    static func deleting(_ lab: Lab) async throws {
        let queue = try await lab.durableQueue()
        let consumer = try await lab.channel.consume(queue)
        let first = try await lab.openChannel()
        let used = await failure { _ = try await first.deleteQueue(queue, ifUnused: true) }
        #expect(used?.code == .preconditionFailed)
        #expect(used?.reply?.advice?.contains("consumers") == true)
        try await consumer.cancel()
        for _ in 0..<2 { try await lab.publish("x", to: queue) }
        let second = try await lab.openChannel()
        let full = await failure { _ = try await second.deleteQueue(queue, ifEmpty: true) }
        #expect(full?.code == .preconditionFailed)
        #expect(full?.reply?.advice?.contains("messages") == true)
        #expect(try await lab.channel.deleteQueue(queue, ifUnused: true) == 2)
        #expect(try await lab.channel.deleteQueue(queue) == 0)
    }

    /// One argument each, of those that all versions of the broker from 3.10 on know.
    private static let samples = [
        QueueArguments(messageTTL: .seconds(1)), QueueArguments(expires: .seconds(60)), QueueArguments(maxLength: 5),
        QueueArguments(maxLengthOctets: 5000), QueueArguments(overflow: .dropHead),
        QueueArguments(overflow: .rejectPublish), QueueArguments(deadLetterExchange: ""),
        QueueArguments(deadLetterExchange: "", deadLetterRoutingKey: "k"),
        QueueArguments(deadLetterStrategy: .atMostOnce), QueueArguments(maxPriority: 5),
        QueueArguments(singleActiveConsumer: true), QueueArguments(deliveryLimit: 3),
        QueueArguments(quorumInitialGroupSize: 1), QueueArguments(leaderLocator: .clientLocal),
        QueueArguments(leaderLocator: .balanced), QueueArguments(maxAge: .seconds(60)),
        QueueArguments(streamMaxSegmentOctets: 1_000_000), QueueArguments(initialClusterSize: 1),
        QueueArguments(version: 2),
    ]

    static func arguments(_ lab: Lab) async throws {
        for type in QueueArguments.QueueType.allCases {
            for sample in samples {
                var typed = sample
                typed.type = type
                let verdict: AMQPError?
                do throws(AMQPError) {
                    try typed.validate(durable: true, exclusive: false, autoDelete: false)
                    verdict = nil
                } catch {
                    verdict = error
                }
                let channel = try await lab.openChannel()
                let name = lab.unique("sample")
                let answer: AMQPError?
                do throws(AMQPError) {
                    _ = try await channel.declareQueue(name, arguments: QueueArguments(other: try typed.fields()))
                    try await channel.deleteQueue(name)
                    answer = nil
                } catch {
                    answer = error
                }
                await channel.close()
                #expect(
                    (verdict == nil) == (answer == nil),
                    "\(typed): \(String(describing: verdict))"
                )
                #expect(verdict?.message.contains("a \(type) queue does not take it") ?? true)
            }
        }
    }

    static func values(_ lab: Lab) async throws {
        let cases: [(arguments: QueueArguments, words: [String])] = [
            (QueueArguments(maxLength: -1), ["x-max-length = -1", "at least 0"]),
            (QueueArguments(maxPriority: 256), ["x-max-priority = 256", "at most 255"]),
            (QueueArguments(messageTTL: .seconds(-1)), ["x-message-ttl", "at least 0 ms"]),
            (QueueArguments(expires: .zero), ["x-expires", "at least 1 ms"]),
            (QueueArguments(deadLetterRoutingKey: "k"), ["x-dead-letter-routing-key = k", "x-dead-letter-exchange"]),
            (
                QueueArguments(type: .quorum, deadLetterExchange: "", deadLetterStrategy: .atLeastOnce),
                ["x-dead-letter-strategy", "reject-publish"]
            ),
            (
                QueueArguments(type: .quorum, overflow: .rejectPublishDLX),
                ["x-overflow = reject-publish-dlx", "a quorum queue", "declare a classic queue"]
            ),
            (QueueArguments(type: .stream, streamMaxSegmentOctets: 4_000_000_000), ["at most 3000000000"]),
            (QueueArguments(type: .stream, maxAge: .zero), ["x-max-age", "at least one second"]),
            (QueueArguments(version: 3), ["x-queue-version = 3"]),
            (QueueArguments(maxLength: 5, other: ["x-max-length": 5]), ["x-max-length", "once"]),
            (
                QueueArguments(deadLetterExchange: String(repeating: "x", count: 256)),
                ["x-dead-letter-exchange", "255 octets"]
            ),
        ]
        for limits in [
            QueueArguments(maxLength: 0), QueueArguments(maxLengthOctets: 0), QueueArguments(maxPriority: 0),
            QueueArguments(messageTTL: .zero), QueueArguments(type: .quorum, deliveryLimit: 0),
        ] {
            // The broker takes these, odd as they are.
            let name = lab.unique("limited")
            _ = try await lab.channel.declareQueue(name, arguments: limits)
            try await lab.channel.deleteQueue(name)
        }
        for (arguments, words) in cases {
            let error = await failure {
                _ = try await lab.channel.declareQueue(lab.unique("refused"), arguments: arguments)
            }
            #expect(error?.code == .invalidArgument)
            for word in words {
                #expect(error?.message.contains(word) == true, "\(word): \(String(describing: error))")
            }
        }
        #expect(lab.channel.closeReason == nil)
        // A started millisecond counts whole, and what has no property here is sent as it is.
        let fields = try QueueArguments(messageTTL: .microseconds(1500), other: ["x-unheard-of": 1]).fields()
        #expect(fields == ["x-message-ttl": 2, "x-unheard-of": 1])
        _ = try await lab.queue(["x-unheard-of": 1, "x-message-ttl": 5000])
    }

    static func types(_ lab: Lab) async throws {
        for type in [.quorum, .stream] as [QueueArguments.QueueType] {
            for (durable, exclusive, autoDelete) in [(false, false, false), (true, true, false), (true, false, true)] {
                let arguments = QueueArguments(type: type)
                let error = await failure {
                    _ = try await lab.channel.declareQueue(
                        durable: durable,
                        exclusive: exclusive,
                        autoDelete: autoDelete,
                        arguments: arguments
                    )
                }
                #expect(error?.code == .invalidArgument)
                let channel = try await lab.openChannel()
                let refused = await failure {
                    _ = try await channel.declareQueue(
                        lab.unique("refused"),
                        durable: durable,
                        exclusive: exclusive,
                        autoDelete: autoDelete,
                        arguments: QueueArguments(other: try arguments.fields())
                    )
                }
                #expect(refused?.code == .preconditionFailed)
            }
            let queue = try await lab.durableQueue(QueueArguments(type: type))
            try await lab.publish("x", to: queue)
        }
        _ = try await lab.queue(QueueArguments(type: .classic))
    }

    static func priorities(_ lab: Lab) async throws {
        let queue = try await lab.queue(QueueArguments(maxPriority: 5))
        for (body, priority) in [("low-1", 1), ("high-1", 5), ("none", nil), ("low-2", 1), ("high-2", 5)] {
            try await lab.publish(body, to: queue, properties: BasicProperties(priority: priority.map { UInt8($0) }))
        }
        let consumer = try await lab.channel.consume(queue, prefetch: 1)
        #expect(try await consumer.texts(5) == ["high-1", "high-2", "low-1", "low-2", "none"])
    }

    static func single(_ lab: Lab) async throws {
        let queue = try await lab.queue(QueueArguments(singleActiveConsumer: true))
        let first = try await lab.openChannel().consume(queue)
        let second = try await lab.openChannel().consume(queue)
        for body in ["1", "2", "3", "4"] { try await lab.publish(body, to: queue) }
        #expect(try await first.texts(4) == ["1", "2", "3", "4"])
        #expect(second.takeAvailable().isEmpty)
        try await first.cancel()
        try await lab.publish("5", to: queue)
        #expect(try await second.texts(1) == ["5"])
    }

    static func legacy(_ lab: Lab) async throws {
        let queue = try await lab.queue(QueueArguments(mode: .lazy, version: 2))
        try await lab.publish("x", to: queue)
        #expect(try await lab.bodies(in: queue) == ["x"])
    }

    static func expiry(_ lab: Lab) async throws {
        let queue = try await lab.durableQueue(QueueArguments(expires: .milliseconds(200)))
        // Asking whether it exists counts as a use, so asking goes slower than expiring.
        try await eventually(every: .milliseconds(600), "the queue is gone") { try await !lab.exists(queue) }
    }

    static func durability(_ lab: Lab) async throws {
        try await Control.withOwnBroker { uri, broker in
            let durable = "durable"
            let transient = "transient"
            let before = try await lab.connect(to: uri)
            let channel = try await before.openChannel()
            _ = try await channel.declareQueue(durable)
            _ = try await channel.declareQueue(transient, durable: false)
            _ = try await channel.declareQueue("quorum", arguments: QueueArguments(type: .quorum))
            for isDurable in [true, false] {
                let name = isDurable ? "durable-exchange" : "transient-exchange"
                try await channel.declareExchange(name, type: .fanout, durable: isDurable)
                try await channel.bindQueue(durable, to: name, routingKey: "")
            }
            for queue in [durable, transient, "quorum"] {
                for isPersistent in [true, false] {
                    let properties = BasicProperties(isPersistent: isPersistent)
                    try await channel.publish(.text("\(isPersistent)", queue, properties: properties))
                }
            }
            try await broker.perform("restart")
            let after = try await lab.connect(to: uri).openChannel()
            #expect(try await after.get(durable, noAck: true)?.text == "true")
            let nothing = try await after.get(durable, noAck: true)
            #expect(nothing == nil)
            // A quorum queue keeps everything.
            try await eventually("the quorum queue has a leader") {
                try await after.declareQueue("quorum", passive: true).messageCount == 2
            }
            try await after.publish(.text("routed", "", exchange: "durable-exchange"))
            #expect(try await after.get(durable, noAck: true)?.text == "routed")
            let missing = await failure { _ = try await after.declareQueue(transient, passive: true) }
            #expect(missing?.code == .notFound)
            let other = try await after.connection.openChannel()
            let gone = await failure { try await other.declareExchange("transient-exchange", passive: true) }
            #expect(gone?.code == .notFound)
            await after.connection.close()
        }
    }
}

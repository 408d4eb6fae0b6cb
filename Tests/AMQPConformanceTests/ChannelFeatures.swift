import FaultProxySupport
import TestSupport
import Testing

@testable import AMQP

enum ChannelFeatures {
    static let all = [
        Feature("Shared channel", "100 tasks publish bodies of many frames on one channel; all arrive whole", shared),
        Feature("Channel numbers", "are limited, and free again after closing", numbers),
        Feature("Channel errors", "end their channel alone, and name the method that caused them", errors),
        Feature(
            "Names",
            "of more than 255 octets, or missing ones, are refused before they are sent, saying which",
            names
        ),
        Feature("Prefetch of a channel", "limits all its consumers together", channelPrefetch),
        Feature(
            "Flow control by the client",
            "going on is answered, stopping ends in 540 with advice",
            .partly("RabbitMQ has no stopping; limit the prefetch"),
            flow
        ),
        Feature(
            "Methods without an answer",
            "calls of one channel overlap, so that waiting costs one round trip for all",
            .notSupported("the error of a call that nobody waits for would have no one to tell"),
            overlapping
        ),
    ]

    static func shared(_ lab: Lab) async throws {
        let connection = try await lab.connect { $0.frameMax = 4096 }
        let channel = try await connection.openChannel()
        let queue = try await channel.declareQueue(durable: false, exclusive: true).name
        try await withThrowingTaskGroup { group in
            for number in 0..<100 {
                group.addTask {
                    let body = Array(repeating: UInt8(number), count: 10_000)
                    for _ in 0..<3 { try await channel.publish(AMQPMessage(routingKey: queue, body: body)) }
                }
            }
            try await group.waitForAll()
        }
        var counts: [UInt8: Int] = [:]
        let consumer = try await channel.consume(queue, noAck: true)
        for _ in 0..<300 {
            let body = try await consumer.required().body
            #expect(body.count == 10_000 && Set(body).count == 1)
            counts[body[0], default: 0] += 1
        }
        #expect(counts.count == 100 && counts.values.allSatisfy { $0 == 3 })
    }

    static func numbers(_ lab: Lab) async throws {
        let connection = try await lab.connect { $0.channelMax = 2 }
        for _ in 0..<3 {
            let channels = [try await connection.openChannel(), try await connection.openChannel()]
            #expect(await failure { _ = try await connection.openChannel() }?.code == .channelLimit)
            for channel in channels { await channel.close() }
        }
    }

    static func errors(_ lab: Lab) async throws {
        let missing = lab.unique("missing")
        let victim = try await lab.openChannel()
        let error = await failure { _ = try await victim.declareQueue(missing, passive: true) }
        #expect(error?.code == .notFound)
        #expect(error?.reply?.code == .notFound)
        #expect(error?.reply?.code?.severity == .soft)
        #expect(error?.reply?.method == "queue.declare")
        #expect(error?.message.contains(missing) == true)
        #expect(error?.reply?.advice?.contains("declare it first") == true)
        #expect(victim.closeReason == error)
        // A publish hears of it only later, and is told what was wrong, too.
        let publisher = try await lab.openChannel()
        let late = await failure { try await publisher.publish(.text("", "", exchange: missing)) }
        #expect(late?.code == .notFound)
        #expect(late?.reply?.method == "basic.publish")
        #expect(late?.isOutcomeUnknown == true)
        _ = try await lab.queue()
    }

    static func names(_ lab: Lab) async throws {
        let long = String(repeating: "é", count: 128)
        let attempts: [(what: String, body: () async throws -> Void)] = [
            ("queue", { _ = try await lab.channel.declareQueue(long) }),
            ("exchange", { try await lab.channel.declareExchange(long) }),
            ("routing key", { try await lab.channel.bindQueue("q", to: "amq.direct", routingKey: long) }),
            ("tag", { _ = try await lab.channel.consume("q", tag: long) }),
            ("routing key", { try await lab.publish("", to: long) }),
            ("exchange", { try await lab.channel.publish(AMQPMessage(exchange: long, routingKey: "q", body: [])) }),
            ("queue", { _ = try await lab.channel.get(long) }),
        ]
        for attempt in attempts {
            let error = await failure { try await attempt.body() }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message.contains("256 octets") == true)
            #expect(error?.message.contains(attempt.what) == true)
        }
        let nameless: [(what: String, body: () async throws -> Void)] = [
            ("queue", { _ = try await lab.channel.consume("") }), ("queue", { _ = try await lab.channel.get("") }),
            ("queue", { _ = try await lab.channel.purgeQueue("") }),
            ("queue", { try await lab.channel.bindQueue("", to: "amq.direct", routingKey: "") }),
            ("exchange", { try await lab.channel.deleteExchange("") }),
        ]
        for attempt in nameless {
            let error = await failure { try await attempt.body() }
            #expect(error?.message == "\(attempt.what) = \"\": name the \(attempt.what)")
        }
        // One octet less is allowed.
        let queue = try await lab.channel.declareQueue(
            String(long.dropLast()) + "e",
            durable: false,
            exclusive: true
        )
        #expect(queue.name.utf8.count == 255)
    }

    static func channelPrefetch(_ lab: Lab) async throws {
        let channel = try await lab.openChannel()
        try await channel.setPrefetch(3, scope: .channel)
        let queues = [try await lab.queue(), try await lab.queue()]
        for queue in queues { for _ in 0..<5 { try await lab.publish("x", to: queue) } }
        var consumers: [AMQPConsumer] = []
        for queue in queues { consumers.append(try await channel.consume(queue)) }
        // Which of them gets one is the broker's to choose.
        var deliveries: [AMQPDelivery] = []
        for limit in [3, 4] {
            try await eventually("the channel's limit is used up") {
                deliveries += consumers.flatMap { $0.takeAvailable() }
                return deliveries.count >= limit
            }
            // Declarations are answered after whatever the channel had to send.
            _ = try await channel.declareQueue(queues[0], passive: true)
            deliveries += consumers.flatMap { $0.takeAvailable() }
            #expect(deliveries.count == limit)
            try channel.acknowledge(deliveries[limit - 3].tag)
        }
    }

    static func flow(_ lab: Lab) async throws {
        let connection = try await lab.connect()
        let channel = try await connection.openChannel()
        try await channel.setFlow(isActive: true)
        let error = await failure { try await channel.setFlow(isActive: false) }
        #expect(error?.code == .connectionClosed)
        #expect(error?.reply?.code == .notImplemented)
        #expect(error?.reply?.method == "channel.flow")
        #expect(error?.reply?.advice?.contains("prefetch") == true)
    }

    static func overlapping(_ lab: Lab) async throws {
        try await Wire.withProxy(to: lab.uri) { proxy, uri in
            let channel = try await lab.connect(to: uri).openChannel()
            // No answer passes before the last question has: calls one by one would wait for ever.
            let release = FaultPoint.method(.queueDeclare, .toServer, .after, occurrence: 50)
            proxy.apply(.stopReading, to: [.fromServer])
            let released = proxy.arm(.pass, to: [.fromServer], at: release)
            let queues = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<50 {
                    group.addTask { try await channel.declareQueue(durable: false, exclusive: true).name }
                }
                var names: Set<String> = []
                for try await name in group { names.insert(name) }
                return names
            }
            #expect(queues.count == 50)
            #expect(!proxy.isArmed(released))
        }
    }
}

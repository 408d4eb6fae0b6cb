import AMQP
import FaultProxySupport
import Synchronization
import TestSupport
import Testing

extension AMQPFaultTests {
    @Suite("Links that break in the middle") struct BrokenLinks {
        @Test("A publish whose frame is cut in half has an unknown outcome, and did not arrive")
        func halfPublish() async throws {
            let queue = uniqueName("half")
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await withConnection(to: uri) { connection in
                    let channel = try await connection.openChannel()
                    _ = try await channel.declareQueue(queue)
                    proxy.arm(.cut(.finish), at: .method(.basicPublish, .toServer, .within))
                    let error = await failure {
                        try await channel.publish(AMQPMessage(routingKey: queue, body: [1, 2, 3]))
                    }
                    #expect(error?.code == .connectionLost)
                    #expect(error?.isOutcomeUnknown == true)
                }
                try await withConnection(to: uri) { connection in
                    let channel = try await connection.openChannel()
                    #expect(try await channel.deleteQueue(queue) == 0)
                }
            }
        }

        @Test(
            "A confirmation that is cut off leaves the outcome unknown",
            arguments: [FaultPoint.Edge.before, .within]
        )
        func lostConfirm(_ edge: FaultPoint.Edge) async throws {
            let queue = uniqueName("confirm")
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await withConnection(to: uri) { connection in
                    let channel = try await connection.openChannel()
                    _ = try await channel.declareQueue(queue)
                    proxy.arm(.cut(.reset), at: .method(.basicAck, .fromServer, edge))
                    let error = await failure {
                        try await channel.publish(AMQPMessage(routingKey: queue, body: [1, 2, 3]))
                    }
                    #expect(error?.isOutcomeUnknown == true)
                }
                try await withConnection(to: uri) { connection in
                    let channel = try await connection.openChannel()
                    #expect(try await channel.deleteQueue(queue) == 1)
                }
            }
        }

        @Test("A delivery that is cut in half comes again whole", arguments: [FaultPoint.Edge.before, .within, .after])
        func halfDelivery(_ edge: FaultPoint.Edge) async throws {
            let queue = uniqueName("deliver")
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await withConnection(to: uri) { connection in
                    let channel = try await connection.openChannel()
                    _ = try await channel.declareQueue(queue)
                    try await channel.publish(AMQPMessage(routingKey: queue, body: [1, 2, 3]))
                    proxy.arm(.cut(.finish), at: .method(.basicDeliver, .fromServer, edge))
                    let error = await failure {
                        // The cut may come before or after the answer to the subscription.
                        let consumer = try await channel.consume(queue)
                        _ = try await consumer.next()
                    }
                    #expect(error?.code == .connectionLost)
                }
                try await withConnection(to: uri) { connection in
                    let channel = try await connection.openChannel()
                    let delivery = try await #require(channel.consume(queue).next())
                    #expect(delivery.body == [1, 2, 3])
                    #expect(delivery.isRedelivered)
                    try channel.acknowledge(delivery.tag)
                    _ = try await channel.deleteQueue(queue)
                }
            }
        }

        @Test("An acknowledgement that is cut off brings the delivery again, flagged")
        func lostAcknowledgement() async throws {
            let queue = uniqueName("ack")
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await withConnection(to: uri) { connection in
                    let channel = try await connection.openChannel()
                    _ = try await channel.declareQueue(queue)
                    try await channel.publish(AMQPMessage(routingKey: queue, body: [1]))
                    let consumer = try await channel.consume(queue)
                    let delivery = try await #require(consumer.next())
                    proxy.arm(.cut(.reset), at: .method(.basicAck, .toServer, .before))
                    try channel.acknowledge(delivery.tag)
                    #expect(await connection.waitUntilClosed().code == .connectionLost)
                }
                try await withConnection(to: uri) { connection in
                    let channel = try await connection.openChannel()
                    let delivery = try await #require(channel.consume(queue).next())
                    #expect(delivery.isRedelivered)
                    _ = try await channel.deleteQueue(queue)
                }
            }
        }

        @Test("A conversation that comes octet by octet, and late, is understood", arguments: Direction.allCases)
        func dribble(_ direction: Direction) async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                proxy.greetNewLinks(with: .dribble(), to: [direction])
                proxy.arm(.delay(.milliseconds(2), octets: 200), to: [direction], at: .octets(100, direction))
                try await withConnection(to: uri) { connection in
                    let channel = try await connection.openChannel()
                    let queue = try await channel.declareQueue(exclusive: true).name
                    let body = (0..<2000).map { UInt8(truncatingIfNeeded: $0) }
                    try await channel.publish(AMQPMessage(routingKey: queue, body: body))
                    #expect(try await channel.get(queue, noAck: true)?.body == body)
                }
                #expect(proxy.occurrences.count == 1)
            }
        }

        @Test(
            "A handshake that is cut off anywhere fails the connect, and hangs nobody",
            arguments: [Direction.toServer, .fromServer]
        )
        func handshake(_ direction: Direction) async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                for octets in stride(from: 1, through: 480, by: 37) {
                    proxy.arm(.cut(octets % 2 == 0 ? .reset : .finish), at: .octets(octets, direction))
                    do throws(AMQPError) {
                        let connection = try await AMQPConnection.connect(to: uri)
                        // The conversation was shorter than that.
                        proxy.apply(.cut(.reset))
                        _ = await connection.waitUntilClosed()
                        proxy.heal()
                    } catch {
                        let expected: [AMQPError.Code] = [.connectionLost, .accessRefused, .unreachable]
                        #expect(expected.contains(error.code), "after \(octets) octets: \(error)")
                    }
                }
            }
        }

        @Test("Flipped octets end in an answer or an error, never in a trap or a wait without end")
        func corruption() async throws {
            for seed in 1...(25 * UInt64(AMQPFaultTests.scale)) {
                try await withProxy(to: AMQPFaultTests.uri(), seed: seed) { proxy, uri in
                    var random = SeededGenerator(seed: seed)
                    let point = FaultPoint.octets(Int.random(in: 1...1500, using: &random), .fromServer)
                    proxy.arm(.corrupt(octets: 3, amongNext: 60), to: [.fromServer], at: point)
                    do {
                        try await withConnection(
                            to: uri,
                            { options in
                                options.heartbeat = .seconds(1)
                                options.callTimeout = .seconds(1)
                                options.publishTimeout = .seconds(1)
                                options.connectTimeout = .seconds(2)
                            },
                            { connection in
                                let channel = try await connection.openChannel()
                                let queue = try await channel.declareQueue(exclusive: true).name
                                for _ in 0..<10 {
                                    try await channel.publish(AMQPMessage(routingKey: queue, body: [1, 2, 3]))
                                    _ = try await channel.get(queue, noAck: true)
                                }
                            }
                        )
                    } catch is AMQPError {}  // which one depends on what was hit
                }
            }
        }
    }

    @Suite("Blocked brokers", .enabled(if: PrivateRabbitMQ.script != nil, "set CELERIAC_SERVERS")) struct Blocked {
        @Test("Short of memory, a broker holds publishers up to their deadline, and takes acknowledgements")
        func memoryAlarm() async throws {
            try await PrivateRabbitMQ.with { server in
                try await withConnection(to: server.uri) { publishing in
                    let producer = try await publishing.openChannel()
                    let queue = try await producer.declareQueue("work").name
                    let message = AMQPMessage(routingKey: queue, properties: .persistent, body: [1])
                    for result in await producer.publish(Array(repeating: message, count: 20)) { try result.get() }
                    try await withConnection(to: server.uri) { consuming in
                        let channel = try await consuming.openChannel()
                        let consumer = try await channel.consume(queue, prefetch: 20)
                        var tags: [DeliveryTag] = []
                        for _ in 0..<20 { tags.append(try await #require(consumer.next()).tag) }

                        try await server.control("-q", "set_vm_memory_high_watermark", "0.0001")
                        // The broker tells a connection when it publishes next.
                        try await eventually("the broker blocks") {
                            _ = try? await producer.publish(message, timeout: .milliseconds(100))
                            return publishing.currentBlockedReason != nil
                        }
                        let error = await failure { try await producer.publish(message, timeout: .milliseconds(200)) }
                        #expect(error?.code == .blocked)
                        #expect(error?.isOutcomeUnknown == false)
                        #expect(error?.message.contains("memory") == true)
                        for tag in tags { try channel.acknowledge(tag) }
                    }
                    // A publish that waits goes on by itself.
                    async let waiting: Void = producer.publish(message, timeout: .seconds(20))
                    try await server.control("-q", "set_vm_memory_high_watermark", "0.4")
                    try await waiting
                    #expect(publishing.currentBlockedReason == nil)
                    // The twenty are gone for good; what is there came after them.
                    let left = try await producer.purgeQueue(queue)
                    #expect((1...5).contains(left))
                }
            }
        }
    }
}

extension BasicProperties {
    /// What survives a restart of the broker.
    static var persistent: BasicProperties {
        var properties = BasicProperties()
        properties.deliveryMode = 2
        return properties
    }
}

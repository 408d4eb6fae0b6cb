import AMQP
import FaultProxySupport
import ProcessSupport
import TestSupport
import Testing

extension AMQPFaultTests {
    /// What a broker does that runs short of something.
    @Suite("Brokers in distress", .enabled(if: ServerScript.isAvailable, "set CELERIAC_SERVERS")) struct Distress {
        /// What a broker may run short of, and the commands that let it, and end it.
        enum Alarm: String, CaseIterable {
            case memory = "set_vm_memory_high_watermark"
            case disk = "set_disk_free_limit"

            var word: String { rawValue.contains("memory") ? "memory" : "disk" }
            var limits: (raised: String, normal: String) {
                switch self {
                case .memory: ("0.0001", "0.4")
                case .disk: ("1000000000000000", "1000000")
                }
            }
        }

        @Test(
            "Short of memory or disk, a broker holds publishers up to their deadline, and takes acknowledgements",
            arguments: Alarm.allCases
        )
        func alarm(_ alarm: Alarm) async throws {
            try await PrivateRabbitMQ.with { server in
                try await withConnection(to: server.uri) { publishing in
                    let producer = try await publishing.openChannel()
                    let queue = try await producer.declareQueue("work").name
                    let message = AMQPMessage(routingKey: queue, properties: .persistent, body: [1])
                    for result in await producer.publish(Array(repeating: message, count: 20)) { try result.get() }
                    var arrived = 1...1
                    try await withConnection(to: server.uri) { consuming in
                        let channel = try await consuming.openChannel()
                        let consumer = try await channel.consume(queue, prefetch: 20)
                        var tags: [DeliveryTag] = []
                        for _ in 0..<20 { tags.append(try await #require(consumer.next()).tag) }

                        try await server.control("-q", alarm.rawValue, alarm.limits.raised)
                        // The broker tells a connection when it publishes next.
                        var attempts = 0
                        try await eventually("the broker blocks") {
                            attempts += 1
                            _ = try? await producer.publish(message, timeout: .milliseconds(100))
                            return publishing.currentBlockedReason != nil
                        }
                        let error = await failure { try await producer.publish(message, timeout: .milliseconds(200)) }
                        #expect(error?.code == .blocked)
                        #expect(error?.isOutcomeUnknown == false)
                        #expect(error?.message.contains(alarm.word) == true)
                        for tag in tags { try channel.acknowledge(tag) }
                        arrived = 1...attempts + 1
                    }
                    // A publish that waits goes on by itself.
                    async let waiting: Void = producer.publish(message, timeout: .seconds(20))
                    try await server.control("-q", alarm.rawValue, alarm.limits.normal)
                    try await waiting
                    #expect(publishing.currentBlockedReason == nil)
                    // The twenty are gone for good; what is there came after them.
                    let left = try await producer.purgeQueue(queue)
                    #expect(arrived.contains(left))
                }
            }
        }

        @Test("A delivery kept past the broker's consumer timeout comes again, and the consumer goes on")
        func consumerTimeout() async throws {
            try await PrivateRabbitMQ.with { server in
                // Both count for channels opened from now on. What is settled in time is so on a busy machine, too.
                try await server.control("-q", "eval", "application:set_env(rabbit, consumer_timeout, 5000).")
                try await server.control("-q", "eval", "application:set_env(rabbit, channel_tick_interval, 200).")
                let connection = try await RecoveringConnection.connect(to: [server.uri])
                do {
                    try await consumerTimeout(connection)
                } catch {
                    await connection.close()
                    throw error
                }
                await connection.close()

                // The bare channel ends, and its error says what to do.
                try await server.control("-q", "eval", "application:set_env(rabbit, consumer_timeout, 1000).")
                try await withConnection(to: server.uri) { connection in
                    let channel = try await connection.openChannel()
                    let queue = try await channel.declareQueue(exclusive: true).name
                    let consumer = try await channel.consume(queue)
                    try await channel.publish(AMQPMessage(routingKey: queue, body: [1]))
                    _ = try await consumer.next()
                    let error = await failure { _ = try await consumer.next() }
                    #expect(error?.code == .preconditionFailed)
                    #expect(error?.reply?.advice?.contains("consumer timeout") == true)
                    #expect(error?.message.contains("settle within the broker's consumer timeout") == true)
                    #expect(connection.closeReason == nil)
                }
            }
        }

        private func consumerTimeout(_ connection: RecoveringConnection) async throws {
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue("slow").name
            let consumer = try await channel.consume(queue, prefetch: 1)
            try await channel.publish(AMQPMessage(routingKey: queue, properties: .persistent, body: [1]))
            let kept = try await #require(consumer.next())
            #expect(!kept.isRedelivered)
            // Not settled: the broker takes it back, with the channel.
            let again = try await #require(consumer.next())
            #expect(again.body == [1])
            #expect(again.isRedelivered)
            let stale = await failure { try channel.acknowledge(kept.tag) }
            #expect(stale?.code == .staleDelivery)
            try channel.acknowledge(again.tag)
            try await channel.publish(AMQPMessage(routingKey: queue, properties: .persistent, body: [2]))
            let next = try await #require(consumer.next())
            #expect(next.body == [2])
            #expect(!next.isRedelivered)
            try channel.acknowledge(next.tag)
            #expect(connection.state == .open)
        }

        @Test(
            "Without a majority nothing is confirmed and nothing repeated, and afterwards nothing is lost",
            arguments: [true, false]
        )
        func noMajority(isLeaderLeft: Bool) async throws {
            try await PrivateRabbitMQ.withCluster { nodes in
                let proxies = try nodes.map { try FaultProxy(upstream: UInt16($0.uri.port)) }
                defer { for proxy in proxies { proxy.stop() } }
                let uris = zip(nodes, proxies).map { node, proxy in
                    var uri = node.uri
                    uri.port = Int(proxy.port)
                    return uri
                }
                var options = RecoveringConnection.Options()
                options.connection.heartbeat = .seconds(1)
                options.connection.connectTimeout = .seconds(5)
                options.connection.callTimeout = .seconds(20)
                options.reconnect = ReconnectPolicy(base: .milliseconds(200), cap: .seconds(1))
                let connection = try await RecoveringConnection.connect(to: uris, options: options)
                do {
                    try await noMajority(connection, nodes, proxies, isLeaderLeft)
                } catch {
                    await connection.close(within: .zero)
                    throw error
                }
                await connection.close()
            }
        }

        private func noMajority(
            _ connection: RecoveringConnection,
            _ nodes: [PrivateRabbitMQ],
            _ proxies: [FaultProxy],
            _ isLeaderLeft: Bool
        ) async throws {
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue("quorum", arguments: ["x-queue-type": "quorum"]).name
            func messages(_ numbers: Range<Int>) -> [AMQPMessage] {
                numbers.map { number in
                    var properties = BasicProperties.persistent
                    properties.messageID = "\(number)"
                    return AMQPMessage(routingKey: queue, properties: properties, body: [1])
                }
            }
            for result in await channel.publish(messages(0..<100), timeout: .seconds(60)) { try result.get() }

            // The leader of a queue is on the node that its client is connected to: either it is left alone, or the
            // client has to find the only survivor.
            let peer = try await connection.connection(before: .now + .seconds(20)).peer
            let first = try #require(proxies.firstIndex { peer.hasSuffix(":\($0.port)") })
            let left = isLeaderLeft ? first : (first + 2) % 3
            let dead = (0..<3).filter { $0 != left }
            for index in dead { try await nodes[index].kill() }
            let survivor = proxies[left]
            try await eventually(within: .seconds(60), "the survivor is found") {
                guard let peer = try? await connection.connection(before: .now + .seconds(1)).peer else { return false }
                return peer.hasSuffix(":\(survivor.port)")
            }

            let arrivals = proxies.map { $0.linkCount + $0.rejectedCount }.reduce(0, +)
            let octets = survivor.octets(.toServer)
            for round in 1...3 {
                // Refusals come at once, and would be no others later.
                let timeout = Duration.seconds(isLeaderLeft ? 2 : 20)
                for result in await channel.publish(messages(round * 100..<(round * 100 + 100)), timeout: timeout) {
                    let error = #expect(throws: AMQPError.self) { try result.get() }
                    // A leader alone waits for the others; without a leader, RabbitMQ refuses at once.
                    #expect(error?.code == (isLeaderLeft ? .timedOut : .nacked))
                    #expect(error?.isOutcomeUnknown == isLeaderLeft)
                }
            }
            // Each was sent once: a publish of these is some hundred octets, and who waits sends heartbeats.
            let sent = survivor.octets(.toServer) - octets
            #expect(sent < 300 * 150, "\(sent) octets")
            // The connection stands, and nobody knocks at closed doors.
            #expect(proxies.map { $0.linkCount + $0.rejectedCount }.reduce(0, +) == arrivals)
            #expect(connection.state == .open)

            for index in dead { try await nodes[index].start() }
            for result in await channel.publish(messages(400..<500), timeout: .seconds(90)) { try result.get() }
            var missing = Set((0..<100).map { "\($0)" } + (400..<500).map { "\($0)" })
            let known = Set((0..<500).map { "\($0)" })
            let consumer = try await channel.consume(queue)
            while !missing.isEmpty {
                let delivery = try await withDeadline(.seconds(60), "\(missing.count) are still to come") {
                    try await consumer.next()
                }
                let id = try #require(delivery?.properties.messageID)
                #expect(known.contains(id))
                missing.remove(id)
                if let delivery { try channel.acknowledge(delivery.tag) }
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

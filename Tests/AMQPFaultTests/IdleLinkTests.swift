import AMQP
import FaultProxySupport
import TestSupport
import Testing

extension AMQPFaultTests {
    /// As load balancers do it: HAProxy ends a connection over which nothing has passed for `timeout client`.
    @Suite("A balancer that resets idle links") struct IdleLinks {
        private func withConnection(
            to uri: AMQPURI,
            heartbeat: Duration,
            _ body: (RecoveringConnection) async throws -> Void
        ) async throws {
            var options = RecoveringConnection.Options()
            options.connection.heartbeat = heartbeat
            options.reconnect.cap = .milliseconds(100)
            let connection = try await RecoveringConnection.connect(to: [uri], options: options)
            do {
                try await body(connection)
            } catch {
                await connection.close()
                throw error
            }
            await connection.close()
        }

        @Test("Leaves a connection alone that has heartbeats, and the others recover from it")
        func idle() async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await withConnection(to: uri, heartbeat: .seconds(1)) { lively in
                    try await withConnection(to: uri, heartbeat: .zero) { silent in
                        let channels = [try await lively.openChannel(), try await silent.openChannel()]
                        var consumers: [RecoveringConsumer] = []
                        var queues: [String] = []
                        for channel in channels {
                            queues.append(try await channel.declareQueue(uniqueName("idle"), autoDelete: false).name)
                            consumers.append(try await channel.consume(queues[queues.count - 1]))
                        }
                        proxy.setIdleLimit(.seconds(4))
                        // Twice the limit, as the silent connection tells.
                        for cuts in 1...2 {
                            try await eventually("\(cuts) idle links are cut") { proxy.occurrences.count >= cuts }
                            try await eventually("it connects again") {
                                silent.live != nil && proxy.openLinks.count == 2
                            }
                        }
                        proxy.setIdleLimit(nil)
                        try await eventually("it is connected") { silent.live != nil && proxy.openLinks.count == 2 }
                        #expect(proxy.openLinks.first == 1)
                        #expect(proxy.occurrences.allSatisfy { $0.link != 1 })
                        for (queue, consumer) in zip(queues, consumers) {
                            try await channels[0].publish(AMQPMessage(routingKey: queue, body: Array("x".utf8)))
                            let delivery = try await withDeadline { try await consumer.next() }
                            #expect(delivery?.body == Array("x".utf8))
                            if let delivery { try consumer.channel.acknowledge(delivery.tag) }
                        }
                        for queue in queues { try await channels[0].deleteQueue(queue) }
                    }
                }
            }
        }
    }
}

import CeleriacCore
import FaultProxySupport
import TestSupport
import Testing

@testable import AMQP
@testable import CeleriacAMQP

extension AMQPFaultTests {
    @Suite("The framework's driver without a broker") struct DriverOutage {
        private func withBroker(_ body: (FaultProxy, AMQPBroker) async throws -> Void) async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await withDriver(to: uri) { try await body(proxy, $0) }
            }
        }

        @Test("Who waits for a delivery can be cancelled while there is no broker; the others go on when there is one")
        func cancelledLane() async throws {
            try await withBroker { proxy, broker in
                let queue = uniqueQueue()
                let consumer = try await broker.consume([queue], prefetch: 10)
                let other = Task { try await consumer.texts(1) }
                let lane = Task { _ = try await consumer.next() }
                proxy.setArrivals(.refuse)
                proxy.apply(.cut(.reset))
                let recovering = try #require(consumer as? AMQPMessageConsumer)
                try await eventually("the subscription is being restored") { recovering.isRecovering }
                let late = Task { _ = try await consumer.next() }
                lane.cancel()
                late.cancel()
                for task in [lane, late] {
                    let error = await #expect(throws: CeleriacError.self) {
                        try await withDeadline(.seconds(5), "the wait ends") { try await task.value }
                    }
                    #expect(error?.code == .cancelled)
                }
                proxy.heal()
                try await broker.publish("after", to: queue)
                #expect(try await other.value == ["after"])
                await consumer.stop()
            }
        }

        @Test("Closing waits for the confirmation of what was sent")
        func graceful() async throws {
            try await withBroker { proxy, broker in
                let queue = uniqueQueue()
                try await broker.publish("before", to: queue)
                let connection = try broker.publishing.recovering()
                // The broker's answers are on their way, and stay there.
                proxy.apply(.stopReading, to: [.fromServer])
                let sent = Task { try await broker.publish("late", to: queue) }
                try await withDriver(to: AMQPFaultTests.uri()) { other in
                    try await eventually("the server has it") { try await other.depth(of: queue.name) == 2 }
                }
                let closing = Task { await broker.close(grace: .seconds(10)) }
                try await eventually("it closes") { connection.isClosed }
                proxy.heal()
                try await sent.value
                await closing.value
                let error = await #expect(throws: CeleriacError.self) { try await broker.publish("x", to: queue) }
                #expect(error?.code == .closed)
            }
        }

        @Test("A consumer can be stopped while there is no broker")
        func stopped() async throws {
            try await withBroker { proxy, broker in
                let consumer = try await broker.consume([uniqueQueue()], prefetch: 10)
                let lane = Task { try await consumer.takeOrEnd() }
                proxy.setArrivals(.refuse)
                proxy.apply(.cut(.reset))
                let recovering = try #require(consumer as? AMQPMessageConsumer)
                try await eventually("the subscription is being restored") { recovering.isRecovering }
                try await withDeadline(.seconds(5), "stopping ends") { await consumer.stop() }
                #expect(try await lane.value == nil)
            }
        }
    }
}

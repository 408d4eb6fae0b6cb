import AMQP
import CeleriacAMQP
import CeleriacCore
import FaultProxySupport
import TestSupport
import Testing

extension AMQPFaultTests {
    @Suite("The framework's driver") struct Driver {
        /// Where a message can get lost: on its way in, on the way of its confirmation, on its way out, and on the way
        /// of its acknowledgement.
        private static let points: [(AMQPMethodID, Direction, ClosedRange<Int>)] = [
            (.basicPublish, .toServer, 20...60), (.basicAck, .fromServer, 1...4),
            (.basicDeliver, .fromServer, 20...60), (.basicAck, .toServer, 1...4),
        ]

        @Test("2,000 messages outlive a cut at every point of their way")
        func driver() async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                let url = ServerURL("amqp://\(uri.user):\(uri.password)@\(uri.host):\(uri.port)/%2F")
                let broker = try AMQPBroker(url, clientName: "faults")
                do {
                    try await run(broker, proxy)
                } catch {
                    await broker.close(grace: .seconds(1))
                    throw error
                }
                await broker.close(grace: .seconds(1))
            }
        }

        private func run(_ broker: AMQPBroker, _ proxy: FaultProxy) async throws {
            let queue = uniqueQueue()
            let ledger = Ledger()
            let last = Shared(0)
            let hasAllFaults = Shared(false)
            let total = 2000 * AMQPFaultTests.scale
            let consumer = try await broker.consume([queue], prefetch: 50)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    var random = SeededGenerator(seed: 11)
                    for edge in [FaultPoint.Edge.before, .within, .after] {
                        for (method, direction, range) in Self.points {
                            let occurrence = Int.random(in: range, using: &random)
                            let point = FaultPoint.method(method, direction, edge, occurrence: occurrence)
                            let arming = proxy.arm(.cut(Bool.random(using: &random) ? .reset : .finish), at: point)
                            try await eventually("\(point)") { !proxy.isArmed(arming) }
                            ledger.fault()
                        }
                    }
                    hasAllFaults.value = true
                }
                for _ in 0..<50 {
                    group.addTask {
                        while true {
                            let message = last.change { last in
                                last += 1
                                return last
                            }
                            guard message <= total || !hasAllFaults.value else { return }
                            ledger.attempt(message)
                            try await broker.publish(.text("\(message)"), to: Route(to: queue))
                            ledger.confirmed(message)
                        }
                    }
                }
                group.addTask {
                    while !hasAllFaults.value || ledger.confirmedCount < total
                        || ledger.unconsumedCount > 0
                    {
                        guard let delivery = try? await consumer.take(within: .seconds(1)) else { continue }
                        let isRepeated = delivery.message.headers["redelivered-by-producer"] != nil
                        ledger.delivered(delivery.text, isMarked: delivery.isRedelivered || isRepeated)
                        delivery.acknowledge()
                    }
                }
                try await group.waitForAll()
            }
            await consumer.stop()
            report(ledger.summary)
            #expect(ledger.confirmedCount >= total)
            #expect(ledger.unconsumedCount == 0)
            #expect(ledger.strangers == [])
            #expect(ledger.unexplained == [], "\(ledger.summary)")
            #expect(proxy.occurrences.count == 12)
        }
    }
}

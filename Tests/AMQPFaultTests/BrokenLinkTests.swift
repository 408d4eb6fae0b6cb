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
            let runs = 25 * AMQPFaultTests.scale
            var (failures, survivors, flipped) = (0, 0, 0)
            for seed in 1...UInt64(runs) {
                try await withProxy(to: AMQPFaultTests.uri(), seed: seed) { proxy, uri in
                    var random = SeededGenerator(seed: seed)
                    let point = FaultPoint.octets(Int.random(in: 1...1500, using: &random), .fromServer)
                    let corruption = proxy.arm(.corrupt(octets: 3, amongNext: 60), to: [.fromServer], at: point)
                    var bodies: [[UInt8]] = []
                    do {
                        try await withConnection(to: uri, Self.impatient) { connection in
                            let channel = try await connection.openChannel()
                            let queue = try await channel.declareQueue(exclusive: true).name
                            // On and on until it has happened, and for as long as it may take to pass.
                            var after = 0
                            while after < 5 {
                                if !proxy.isArmed(corruption) { after += 1 }
                                try await channel.publish(AMQPMessage(routingKey: queue, body: [1, 2, 3]))
                                let delivery = try await channel.get(queue, noAck: true)
                                bodies.append(delivery?.body ?? [])
                            }
                        }
                        survivors += 1
                    } catch let error as AMQPError {
                        // Which one depends on what was hit, but none that tells of the caller's own doing.
                        let foreign: [AMQPError.Code] = [.invalidArgument, .cancelled, .closed, .channelMode, .blocked]
                        #expect(!foreign.contains(error.code), "seed \(seed): \(error)")
                        failures += 1
                    }
                    #expect(proxy.occurrences.map(\.link) == [1], "seed \(seed)")
                    // The protocol has no checksums: an octet of a body may be another one, but none comes or goes.
                    #expect(bodies.allSatisfy { $0.count == 3 }, "seed \(seed): \(bodies)")
                    let wrong = bodies.map { zip($0, [1, 2, 3] as [UInt8]).count { $0 != $1 } }.reduce(0, +)
                    #expect(wrong <= 3, "seed \(seed): \(bodies)")
                    flipped += wrong
                }
            }
            report("\(failures) errors, \(survivors) conversations that went on, \(flipped) octets of bodies")
            #expect(failures + survivors == runs)
            #expect(failures > 0 && survivors > 0)
        }

        private static func impatient(_ options: inout AMQPConnection.Options) {
            options.heartbeat = .seconds(1)
            options.callTimeout = .seconds(5)
            options.publishTimeout = .seconds(5)
            options.connectTimeout = .seconds(5)
        }
    }
}

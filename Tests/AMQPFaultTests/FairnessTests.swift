import FaultProxySupport
import TestSupport
import Testing

@testable import AMQP

extension AMQPFaultTests {
    @Suite("Large bodies beside small ones") struct Fairness {
        private func bodies(_ channel: AMQPChannel, keeping count: Int32) async throws -> String {
            // Bounded, so that the broker's memory is, too: it drops the oldest.
            try await channel.declareQueue(
                uniqueName("fair"),
                durable: false,
                exclusive: true,
                arguments: ["x-max-length": .int32(count)]
            ).name
        }

        /// Frames of what a client sent: type, channel and size of the payload.
        private func frames(_ octets: [UInt8]) -> [(type: UInt8, channel: Int, size: Int)] {
            var frames: [(type: UInt8, channel: Int, size: Int)] = []
            var offset = 8
            while offset + 7 <= octets.count {
                let size = octets[(offset + 3)..<(offset + 7)].reduce(0) { $0 << 8 | Int($1) }
                frames.append((octets[offset], Int(octets[offset + 1]) << 8 | Int(octets[offset + 2]), size))
                offset += size + 8
            }
            return frames
        }

        @Test("A small message leaves between the frames of a large one, whose own channel's methods wait for its end")
        func interleaving() async throws {
            try await withProxy(to: AMQPFaultTests.uri(), recordingLimit: 40 << 20) { proxy, uri in
                try await withConnection(to: uri) { connection in
                    let (large, small) = (try await connection.openChannel(), try await connection.openChannel())
                    let queue = try await bodies(large, keeping: 1)
                    let stuck = proxy.arm(.stopReading, to: [.toServer], at: .octets(1 << 20, .toServer))
                    let body = [UInt8](repeating: 7, count: 16 << 20)
                    async let first: Void = large.publish(AMQPMessage(routingKey: queue, body: body))
                    try await eventually("the large message is on its way") { !proxy.isArmed(stuck) }
                    async let second: Void = small.publish(AMQPMessage(routingKey: queue, body: [1, 2, 3]))
                    async let purged = large.purgeQueue(queue)
                    try await eventually("both wait for their turn") {
                        await connection.hasWaiting(publishesOf: small, methodsOf: large)
                    }
                    proxy.apply(.pass)
                    _ = try await (first, second, purged)

                    let sent = frames(proxy.recordings[0].toServer)
                    let bodyFrames = sent.indices.filter { sent[$0].type == 3 && sent[$0].channel == Int(large.number) }
                    let (firstFrame, lastFrame) = try #require(
                        bodyFrames.first.flatMap { a in bodyFrames.last.map { (a, $0) } }
                    )
                    #expect(bodyFrames.map { sent[$0].size }.reduce(0, +) == body.count)
                    let between = sent[firstFrame...lastFrame]
                    #expect(between.contains { $0.channel == Int(small.number) && $0.type == 3 && $0.size == 3 })
                    #expect(!between.contains { $0.channel == Int(large.number) && $0.type != 3 })
                }
            }
        }

        /// A body of 100 MB.
        private static let size = 100 << 20
        /// What may leave before a small message does: what the library, the kernel and the proxy have buffered of the
        /// large one.
        private static let share = size / 5

        @Test("While 100 MB leave through one channel, no message of another waits for more than a fifth")
        func outbound() async throws {
            // The proxy's small windows keep what a small message waits for in the library.
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                let options = { (options: inout AMQPConnection.Options) in
                    options.heartbeat = .seconds(2)
                    options.maximumPublishSize = Self.size
                }
                try await withConnection(to: uri, options) { connection in
                    let (large, small) = (try await connection.openChannel(), try await connection.openChannel())
                    let (largeQueue, smallQueue) = (
                        try await bodies(large, keeping: 1), try await bodies(small, keeping: 10)
                    )
                    let consumer = try await small.consume(smallQueue, prefetch: 1)
                    let message = AMQPMessage(
                        routingKey: largeQueue,
                        body: [UInt8](repeating: 7, count: Self.size)
                    )
                    var stuck = proxy.arm(.stopReading, to: [.toServer], at: .octets(Self.size / 10, .toServer))
                    async let sent: Void = large.publish(message, timeout: .seconds(100))
                    var waits: [Int] = []
                    for _ in 0..<4 {
                        // Held up, so that what the machine takes to submit the small message does not count.
                        try await eventually("a part of the large message has left") { !proxy.isArmed(stuck) }
                        // Changes nothing; tells where in the large message the small one leaves.
                        let watch = proxy.arm(.pass, at: .method(.basicPublish, .toServer))
                        let (seen, asked) = (proxy.occurrences.count, proxy.octets(.toServer))
                        async let published: Void = small.publish(AMQPMessage(routingKey: smallQueue, body: [1]))
                        try await eventually("the small one waits for its turn") {
                            await connection.hasWaiting(publishesOf: small)
                        }
                        proxy.apply(.pass)
                        try await published
                        try small.acknowledge(try await #require(consumer.next()).tag)
                        #expect(!proxy.isArmed(watch))
                        let left = try #require(proxy.occurrences.dropFirst(seen).first?.octets.first)
                        waits.append(left - asked)
                        stuck = proxy.arm(.stopReading, to: [.toServer], at: .octets(1 << 20, .toServer))
                    }
                    proxy.heal()
                    try await sent
                    report("\(waits.count) round trips behind \(waits.max() ?? 0) octets at most")
                    #expect(waits.allSatisfy { $0 <= Self.share }, "\(waits)")
                    #expect(connection.closeReason == nil)
                }
            }
        }

        @Test("While 100 MB arrive on one channel again and again, another's round trips wait for few of them")
        func inbound() async throws {
            let options = { (options: inout AMQPConnection.Options) in
                options.heartbeat = .seconds(1)
                options.maximumPublishSize = Self.size
            }
            try await withConnection(to: AMQPFaultTests.uri(), options) { connection in
                let (large, small) = (try await connection.openChannel(), try await connection.openChannel())
                let (largeQueue, smallQueue) = (
                    try await bodies(large, keeping: 1), try await bodies(small, keeping: 10)
                )
                let body = [UInt8](repeating: 7, count: Self.size)
                try await large.publish(AMQPMessage(routingKey: largeQueue, body: body), timeout: .seconds(100))
                let (largeConsumer, smallConsumer) = (
                    try await large.consume(largeQueue, prefetch: 1), try await small.consume(smallQueue, prefetch: 1)
                )
                let arrived = Shared(0)
                let total = 10
                let waits = try await withThrowingTaskGroup(of: [Int].self) { group in
                    group.addTask {
                        while arrived.value < total {
                            let delivery = try await #require(largeConsumer.next())
                            #expect(delivery.body.count == Self.size)
                            arrived.change { $0 += 1 }
                            // The same one comes again: the broker need not keep more.
                            try large.nack(delivery.tag, requeue: true)
                        }
                        return []
                    }
                    group.addTask {
                        var waits: [Int] = []
                        while arrived.value < total {
                            let before = arrived.value
                            try await small.publish(AMQPMessage(routingKey: smallQueue, body: [1]))
                            try small.acknowledge(try await #require(smallConsumer.next()).tag)
                            waits.append(arrived.value - before)
                        }
                        return waits
                    }
                    return try await group.reduce([], +)
                }
                report("round trips beside \(waits.max() ?? 0) large deliveries at most, \(waits.count) of them")
                // RabbitMQ itself writes a message whole: a confirmation may wait for one, the delivery for the next. A busy
                // machine may let a third pass; without turns all would.
                #expect(waits.allSatisfy { $0 <= total / 2 }, "\(waits)")
                #expect(connection.closeReason == nil)
            }
        }
    }
}

extension AMQPConnection {
    fileprivate func hasWaiting(publishesOf small: AMQPChannel) -> Bool {
        channels[small.number]?.waiting.isEmpty == false
    }

    fileprivate func hasWaiting(publishesOf small: AMQPChannel, methodsOf large: AMQPChannel) -> Bool {
        channels[small.number]?.waiting.isEmpty == false && channels[large.number]?.deferred.isEmpty == false
    }
}

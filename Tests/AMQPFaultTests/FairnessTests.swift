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

        @Test("100 MB through one channel leave another channel and the heartbeats responsive")
        func responsive() async throws {
            // The proxy's small windows keep what a small message waits for in the library.
            try await withProxy(to: AMQPFaultTests.uri()) { _, uri in
                let options = { (options: inout AMQPConnection.Options) in
                    options.heartbeat = .seconds(1)
                    options.maximumPublishSize = 100 << 20
                }
                try await withConnection(to: uri, options) { connection in
                    let (large, small) = (try await connection.openChannel(), try await connection.openChannel())
                    let (largeQueue, smallQueue) = (
                        try await bodies(large, keeping: 1), try await bodies(small, keeping: 10)
                    )
                    let isOver = Shared(false)
                    let message = AMQPMessage(routingKey: largeQueue, body: [UInt8](repeating: 7, count: 100 << 20))
                    let roundTrips = try await withThrowingTaskGroup(of: Int.self) { group in
                        group.addTask {
                            for result in await large.publish(
                                Array(repeating: message, count: 2),
                                timeout: .seconds(100)
                            ) {
                                try result.get()
                            }
                            isOver.value = true
                            return 0
                        }
                        group.addTask {
                            var count = 0
                            while !isOver.value {
                                try await small.publish(AMQPMessage(routingKey: smallQueue, body: [1]))
                                count += 1
                            }
                            return count
                        }
                        return try await group.reduce(0, +)
                    }
                    // Served after each large message at best, there would be two.
                    report("\(roundTrips) round trips")
                    #expect(roundTrips > 4)
                    #expect(connection.closeReason == nil)
                }
            }
        }
    }
}

extension AMQPConnection {
    fileprivate func hasWaiting(publishesOf small: AMQPChannel, methodsOf large: AMQPChannel) -> Bool {
        channels[small.number]?.waiting.isEmpty == false && channels[large.number]?.deferred.isEmpty == false
    }
}

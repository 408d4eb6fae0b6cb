import Dispatch
import Glibc
import Testing

@testable import AMQP
@testable import Transport

/// Servers that live and take nothing, and servers that only seem to live.
@Suite("Stalled servers", .timeLimit(.minutes(1))) struct StalledServerTests {
    static let heartbeat: [UInt8] = [8, 0, 0, 0, 0, 0, 0, 0xCE]

    @Test("A given limit for unacknowledged data is off while the broker blocks publishers", arguments: [nil, 7])
    func userTimeout(_ seconds: Int?) async throws {
        let broker = FakeBroker { peer in
            peer.handshake(heartbeat: 30)
            peer.openChannel()
            peer.send(.connectionBlocked(.init(reason: "low on memory")))
            peer.expect("queue.purge")
            peer.send(.queuePurgeOk(.init(messageCount: 0)), on: 1)
            peer.send(.connectionUnblocked)
            peer.goodbye()
        }
        var options = AMQPConnection.Options()
        options.socket.userTimeout = seconds.map { .seconds($0) }
        let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
        let given = UInt32(seconds ?? 0) * 1000
        #expect(await connection.userTimeout == given)
        let channel = try await connection.openChannel()
        while connection.currentBlockedReason == nil { await Task.yield() }
        #expect(await connection.userTimeout == 0)
        try await channel.purgeQueue("q")
        while connection.currentBlockedReason != nil { await Task.yield() }
        #expect(await connection.userTimeout == given)
        await connection.close()
    }

    @Test("A server that reads nothing for long, and sends its heartbeats, keeps its connection")
    func flowControl() async throws {
        let isPublished = DispatchSemaphore(value: 0)
        let broker = FakeBroker { peer in
            peer.handshake(heartbeat: 2)
            peer.beating { peer.openChannel() }
            // Longer than a server may be silent, and until everything is stuck.
            for _ in 1...12 {
                usleep(400_000)
                peer.send(Self.heartbeat)
            }
            while isPublished.wait(timeout: .now() + .milliseconds(400)) == .timedOut { peer.send(Self.heartbeat) }
            peer.beating {
                peer.expect("queue.purge")
                peer.send(.queuePurgeOk(.init(messageCount: 7)), on: 1)
                peer.goodbye()
            }
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        // More than both kernels take.
        for _ in 1...32 {
            let message = AMQPMessage(routingKey: "q", body: [UInt8](repeating: 1, count: 1 << 20))
            do throws(AMQPError) {
                try await channel.publishUnconfirmed(message, timeout: .milliseconds(10))
            } catch {
                #expect(error.code == .timedOut)
            }
        }
        isPublished.signal()
        #expect(try await channel.purgeQueue("q") == 7)
        await connection.close()
    }

    /// A connection whose consumer takes nothing, and has all that its inbox is to have.
    private func stalled(
        _ script: @escaping @Sendable (FakeBroker.Peer) -> Void
    ) async throws -> (AMQPConnection, AMQPConsumer) {
        let broker = FakeBroker { peer in
            peer.handshake(heartbeat: 1)
            peer.beating {
                peer.openChannel()
                peer.expect("basic.consume")
            }
            peer.send(.basicQosOk, on: 1)
            peer.send(.basicConsumeOk(.init(consumerTag: "consumer-1")), on: 1)
            peer.send(Array((1...10).map { Self.delivery($0) }.joined()))
            script(peer)
            peer.drain()
        }
        var options = AMQPConnection.Options()
        options.inboxLimit = 10
        options.closeTimeout = .milliseconds(100)
        let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
        let consumer = try await connection.openChannel().consume("q", prefetch: 0)
        while await connection.pausedInboxes == 0 { await Task.yield() }
        return (connection, consumer)
    }

    private static func delivery(_ tag: UInt64, octets: Int = 1) -> [UInt8] {
        Attack.deliver(tag) + Attack.header(UInt64(octets)) + Attack.body(octets)
    }

    @Test("A server that freezes is given up though an inbox is full", arguments: [0, 500_000, 50_000_000])
    func frozen(_ octets: Int) async throws {
        let (connection, consumer) = try await stalled { peer in
            // As much as fits, in the kernels' buffers or not at all.
            _ = fcntl(peer.descriptor, F_SETFL, fcntl(peer.descriptor, F_GETFL) | O_NONBLOCK)
            var tag: UInt64 = 10
            for _ in 0..<octets / 4000 {
                tag += 1
                peer.send(Self.delivery(tag, octets: 4000))
            }
            _ = fcntl(peer.descriptor, F_SETFL, fcntl(peer.descriptor, F_GETFL) & ~O_NONBLOCK)
        }
        #expect(await connection.waitUntilClosed().code == .heartbeatMissed)
        withExtendedLifetime(consumer) {}
    }

    @Test("A slow consumer keeps its connection while the server lives", arguments: [true, false])
    func slowConsumer(_ hasMore: Bool) async throws {
        let (sent, report) = AsyncStream<Void>.makeStream()
        let (connection, consumer) = try await stalled { peer in
            if hasMore {
                // Waits in vain for most of the time.
                for tag in 11...4000 as ClosedRange<UInt64> { peer.send(Self.delivery(tag, octets: 4000)) }
            } else {
                for _ in 1...10 {
                    usleep(400_000)
                    peer.send(Self.heartbeat)
                }
                peer.send(Array((11...4000).map { Self.delivery($0) }.joined()))
            }
            report.yield()
            for _ in 1...50 {
                usleep(400_000)
                peer.send(Self.heartbeat)
            }
        }
        if hasMore {
            // Four seconds of a server that is twice as impatient.
            await withCheckedContinuation { continuation in
                connection.loop.execute {
                    _ = connection.loop.schedule(after: .seconds(4)) { continuation.resume() }
                }
            }
        } else {
            var iterator = sent.makeAsyncIterator()
            await iterator.next()
        }
        #expect(connection.closeReason == nil)
        for tag in 1...4000 as ClosedRange<UInt64> { #expect(try await consumer.next()?.tag.number == tag) }
        #expect(connection.closeReason == nil)
        await connection.close()
    }
}

extension AMQPConnection {
    /// What the kernel is asked for, in milliseconds.
    fileprivate var userTimeout: UInt32 {
        var value: UInt32 = 0
        var size = socklen_t(MemoryLayout<UInt32>.size)
        getsockopt(stream.descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &value, &size)
        return value
    }
}

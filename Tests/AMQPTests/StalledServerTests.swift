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
            peer.handshake(heartbeat: 1)
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
        let broker = FakeBroker { peer in
            peer.handshake(heartbeat: 1)
            peer.openChannel()
            // Twice as long as a server may be silent.
            for _ in 1...10 {
                usleep(400_000)
                peer.send(Self.heartbeat)
            }
            peer.expect("queue.purge")
            peer.send(.queuePurgeOk(.init(messageCount: 7)), on: 1)
            peer.goodbye()
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
        #expect(try await channel.purgeQueue("q") == 7)
        await connection.close()
    }
}

extension AMQPConnection {
    /// What the kernel is asked for, in milliseconds: `TCP_USER_TIMEOUT`, which Swift does not import.
    fileprivate var userTimeout: UInt32 {
        var value: UInt32 = 0
        var size = socklen_t(MemoryLayout<UInt32>.size)
        getsockopt(stream.descriptor, Int32(IPPROTO_TCP), 18, &value, &size)
        return value
    }
}

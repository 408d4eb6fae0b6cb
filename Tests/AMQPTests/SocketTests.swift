import Glibc
import Testing

@testable import AMQP

/// What the kernel was told about a connection's socket, asked of the kernel.
@Suite("Sockets of connections", .timeLimit(.minutes(1))) struct SocketTests {
    private struct Facts: Equatable {
        var noDelay: Int32 = 1
        var keepAlive: Int32 = 1
        /// Seconds, seconds and a number; only looked at with `keepAlive`.
        var probing: [Int32] = [60, 15, 4]
        /// Milliseconds.
        var userTimeout: Int32 = 0

        init(userTimeout: Int32) { self.userTimeout = userTimeout }

        init(of descriptor: Int32) {
            func option(_ level: Int32, _ name: Int32) -> Int32 {
                var value: Int32 = -1
                var size = socklen_t(MemoryLayout<Int32>.size)
                return getsockopt(descriptor, level, name, &value, &size) == 0 ? value : -1
            }
            let tcp = Int32(IPPROTO_TCP)
            noDelay = option(tcp, TCP_NODELAY)
            keepAlive = option(SOL_SOCKET, SO_KEEPALIVE)
            if keepAlive == 1 { probing = [TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT].map { option(tcp, $0) } }
            userTimeout = option(tcp, TCP_USER_TIMEOUT)
        }
    }

    /// This process's socket that is connected to a port of this machine.
    private static func socket(to port: Int) throws -> Int32 {
        let descriptor = (0..<4096 as Range<Int32>).first { descriptor in
            var address = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let result = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &size) }
            }
            return result == 0 && address.sin_family == sa_family_t(AF_INET)
                && UInt16(bigEndian: address.sin_port) == UInt16(port)
        }
        return try #require(descriptor)
    }

    private func facts(
        heartbeat: UInt16,
        _ change: (inout AMQPConnection.Options) -> Void = { _ in }
    ) async throws -> Facts {
        let broker = FakeBroker { peer in
            peer.handshake(heartbeat: heartbeat)
            peer.goodbye()
        }
        var options = AMQPConnection.Options()
        change(&options)
        let connection = try await AMQPConnection.connect(to: broker.uri, options: options)
        let facts = Facts(of: try Self.socket(to: broker.port))
        await connection.close()
        return facts
    }

    @Test("Small writes leave at once, and the kernel asks silent peers, but does not judge what they take")
    func defaults() async throws {
        #expect(try await facts(heartbeat: 7) == Facts(userTimeout: 0))
        #expect(try await facts(heartbeat: 0) { $0.heartbeat = .zero } == Facts(userTimeout: 0))
    }

    @Test("Keep-alive and patience are as the options say")
    func options() async throws {
        let patient = try await facts(heartbeat: 7) { options in
            options.socket.userTimeout = .seconds(9)
            options.socket.keepAlive?.idle = .seconds(30)
            options.socket.keepAlive?.interval = .milliseconds(10)
            options.socket.keepAlive?.probes = 2
        }
        var expected = Facts(userTimeout: 9000)
        // Not less than the second that the kernel can count.
        expected.probing = [30, 1, 2]
        #expect(patient == expected)
        let silent = try await facts(heartbeat: 7) { $0.socket.keepAlive = nil }
        expected = Facts(userTimeout: 0)
        expected.keepAlive = 0
        #expect(silent == expected)
    }
}

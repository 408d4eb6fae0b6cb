import AMQP
import FaultProxySupport
import Glibc
import Synchronization
import TestSupport
import Testing

extension AMQPFaultTests {
    @Suite("Peers that fall silent") struct Silence {
        @Test("A link that swallows everything is noticed while every thread of the pool is blocked")
        func blackhole() async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await notices(uri) { proxy.apply(.blackhole) }
            }
        }

        @Test(
            "A frozen broker is noticed while every thread of the pool is blocked",
            .enabled(if: PrivateRabbitMQ.script != nil, "set CELERIAC_SERVERS")
        )
        func frozen() async throws {
            try await PrivateRabbitMQ.with { server in
                let pid = try await server.pid()
                defer { Glibc.kill(pid, SIGCONT) }
                try await notices(server.uri) { Glibc.kill(pid, SIGSTOP) }
            }
        }

        private func notices(_ uri: AMQPURI, _ silence: @escaping @Sendable () -> Void) async throws {
            try await withConnection(to: uri, { $0.heartbeat = .seconds(1) }) { connection in
                let channel = try await connection.openChannel()
                let queue = try await channel.declareQueue(exclusive: true).name
                try await channel.publish(AMQPMessage(routingKey: queue, body: [1]))
                let ended = Latch()
                connection.onClose { _ in ended.open() }
                let isInTime = await withBlockedPool {
                    silence()
                    return ended.wait(seconds: 10)
                }
                #expect(isInTime)
                #expect(connection.closeReason?.code == .heartbeatMissed)
            }
        }

        @Test(
            "A link deaf in one direction ends, and a publish into it has an unknown outcome",
            arguments: Direction.allCases
        )
        func deaf(_ direction: Direction) async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await withConnection(to: uri, { $0.heartbeat = .seconds(1) }) { connection in
                    let channel = try await connection.openChannel()
                    let queue = try await channel.declareQueue(exclusive: true).name
                    try await channel.publish(AMQPMessage(routingKey: queue, body: [1]))
                    proxy.apply(.blackhole, to: [direction])
                    let error = await failure { try await channel.publish(AMQPMessage(routingKey: queue, body: [2])) }
                    #expect(error?.isOutcomeUnknown == true)
                    // Deaf itself it hears no heartbeat; heard by nobody, it is the server that hangs up.
                    let code = await connection.waitUntilClosed().code
                    #expect(code == (direction == .fromServer ? .heartbeatMissed : .connectionLost))
                }
            }
        }

        @Test("A window that never opens ends the connection, too")
        func stopped() async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await withConnection(to: uri, { $0.heartbeat = .seconds(1) }) { connection in
                    let channel = try await connection.openChannel()
                    let queue = try await channel.declareQueue(exclusive: true).name
                    proxy.apply(.stopReading)
                    let message = AMQPMessage(routingKey: queue, body: [UInt8](repeating: 1, count: 8 << 20))
                    let error = await failure { try await channel.publish(message) }
                    #expect(error?.isOutcomeUnknown == true)
                    _ = await connection.waitUntilClosed()
                }
            }
        }
    }
}

/// Runs a closure on a thread of its own while tasks block every thread of Swift's pool.
///
/// More tasks block than the pool may ever have threads, in each of its queues: nothing that comes after them runs
/// before they are let go.
private func withBlockedPool<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    let (entered, release) = (Latch(count: sysconf(Int32(_SC_NPROCESSORS_ONLN))), Latch())
    let result = Mutex<Value?>(nil)
    let thread = BlockingThread {
        _ = entered.wait(seconds: 60)
        let value = body()
        result.withLock { $0 = value }
        release.open()
    }
    await withTaskGroup(of: Void.self) { group in
        for _ in 0..<300 {
            for priority in [TaskPriority.high, .medium, .low] {
                group.addTask(priority: priority) {
                    entered.open()
                    _ = release.wait(seconds: 60)
                }
            }
        }
    }
    thread.join()
    guard let value = result.withLock({ $0 }) else { preconditionFailure("the thread has ended without a result") }
    return value
}

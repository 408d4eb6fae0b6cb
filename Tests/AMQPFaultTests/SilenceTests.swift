import AMQP
import FaultProxySupport
import Glibc
import ProcessSupport
import Synchronization
import TestSupport
import Testing

extension AMQPFaultTests {
    @Suite("Peers that fall silent") struct Silence {
        private static let interval = Duration.seconds(2)
        /// Two intervals of silence, and half a one for a busy machine.
        ///
        /// The only duration that these tests judge, because it is what heartbeats promise: the time from the last
        /// octet to the end, taken when the end is told.
        private static let patience = interval * 5 / 2

        @Test("A link that swallows everything is noticed in time while every thread of the pool is blocked")
        func blackhole() async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await notices(uri) { proxy.apply(.blackhole) }
            }
        }

        @Test(
            "A frozen broker is noticed in time while every thread of the pool is blocked",
            .enabled(if: ServerScript.isAvailable, "set CELERIAC_SERVERS")
        )
        func frozen() async throws {
            try await PrivateRabbitMQ.with { server in
                let pid = try await server.pid()
                defer { Glibc.kill(pid, SIGCONT) }
                try await notices(server.uri) { Glibc.kill(pid, SIGSTOP) }
            }
        }

        private func notices(_ uri: AMQPURI, _ silence: @escaping @Sendable () -> Void) async throws {
            try await withConnection(to: uri, { $0.heartbeat = Self.interval }) { connection in
                let channel = try await connection.openChannel()
                let queue = try await channel.declareQueue(exclusive: true).name
                try await channel.publish(AMQPMessage(routingKey: queue, body: [1]))
                let end = End(of: connection)
                let silenced = await withBlockedPool {
                    silence()
                    defer { end.wait() }
                    return ContinuousClock.now
                }
                #expect(try await end.told() - silenced <= Self.patience)
                #expect(connection.closeReason?.code == .heartbeatMissed)
            }
        }

        @Test(
            "A link deaf in one direction ends, and a publish into it has an unknown outcome",
            arguments: Direction.allCases
        )
        func deaf(_ direction: Direction) async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await withConnection(to: uri, { $0.heartbeat = Self.interval }) { connection in
                    let channel = try await connection.openChannel()
                    let queue = try await channel.declareQueue(exclusive: true).name
                    try await channel.publish(AMQPMessage(routingKey: queue, body: [1]))
                    let end = End(of: connection)
                    proxy.apply(.blackhole, to: [direction])
                    let silenced = ContinuousClock.now
                    let error = await failure { try await channel.publish(AMQPMessage(routingKey: queue, body: [2])) }
                    #expect(error?.isOutcomeUnknown == true)
                    // Deaf itself it hears no heartbeat; heard by nobody, it is the server that hangs up.
                    let code = await connection.waitUntilClosed().code
                    #expect(code == (direction == .fromServer ? .heartbeatMissed : .connectionLost))
                    #expect(error?.code == code)
                    if direction == .fromServer { #expect(try await end.told() - silenced <= Self.patience) }
                }
            }
        }

        @Test(
            "A window that never opens ends the connection, by heartbeats or by the server that hears none",
            arguments: [Direction.allCases, [.toServer]]
        )
        func stopped(_ directions: [Direction]) async throws {
            try await withProxy(to: AMQPFaultTests.uri()) { proxy, uri in
                try await withConnection(to: uri, { $0.heartbeat = Self.interval }) { connection in
                    let channel = try await connection.openChannel()
                    let queue = try await channel.declareQueue(exclusive: true).name
                    let end = End(of: connection)
                    proxy.apply(.stopReading, to: directions)
                    let silenced = ContinuousClock.now
                    let message = AMQPMessage(routingKey: queue, body: [UInt8](repeating: 1, count: 8 << 20))
                    let error = await failure { try await channel.publish(message) }
                    #expect(error?.isOutcomeUnknown == true)
                    // A server that is heard, and hears nothing itself, is the one to hang up, when it sees fit.
                    let isHeard = directions == [.toServer]
                    let code = await connection.waitUntilClosed().code
                    #expect(code == (isHeard ? .connectionLost : .heartbeatMissed))
                    // Not the publish's own deadline.
                    #expect(error?.code == code)
                    if !isHeard { #expect(try await end.told() - silenced <= Self.patience) }
                }
            }
        }
    }
}

/// When a connection ended, taken on the spot.
private struct End: Sendable {
    private let latch = Latch()
    private let taken = Shared<ContinuousClock.Instant?>(nil)

    init(of connection: AMQPConnection) {
        connection.onClose { [latch, taken] _ in
            taken.value = .now
            latch.open()
        }
    }

    /// Blocks until then, for half a minute at most.
    func wait() { _ = latch.wait(seconds: 30) }

    /// The same for a task: callbacks have a thread of their own, and waits for the end may be over before them.
    func told() async throws -> ContinuousClock.Instant {
        try await eventually("the end is told") { taken.value != nil }
        return try instant()
    }

    func instant() throws -> ContinuousClock.Instant { try #require(taken.value, "the connection has not ended") }
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

import Dispatch
import Synchronization
import Testing

@testable import AMQP

/// Callbacks of the user run where they can hold up nothing but each other.
@Suite("Callbacks", .timeLimit(.minutes(1))) struct CallbackTests {
    /// Something to wait for on a thread that may block.
    private final class Gate: Sendable {
        private let semaphore = DispatchSemaphore(value: 0)

        func open() { semaphore.signal() }

        /// Gives up some time, so that a failing test ends.
        func wait() { #expect(semaphore.wait(timeout: .now() + 20) == .success) }
    }

    @Test("One that blocks keeps back no heartbeat, and the later ones come in order")
    func blocking() async throws {
        let gate = Gate()
        let broker = FakeBroker { peer in
            peer.handshake(heartbeat: 1)
            peer.beating {
                peer.openChannel()
                peer.send(.connectionBlocked(.init(reason: "1")))
                peer.send(.connectionUnblocked)
                peer.send(.connectionBlocked(.init(reason: "2")))
                for _ in 1...2 { peer.expectHeartbeat() }
                gate.open()
                peer.goodbye()
            }
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let (events, continuation) = AsyncStream<String>.makeStream()
        connection.onBlocked { reason in
            gate.wait()
            gate.open()
            continuation.yield(reason ?? "goes on")
        }
        connection.onClose { _ in
            continuation.yield("closed")
            continuation.finish()
        }
        _ = try await connection.openChannel()
        while connection.currentBlockedReason != "2" { await Task.yield() }
        await connection.close()
        var told: [String] = []
        for await event in events { told.append(event) }
        #expect(told == ["1", "goes on", "2", "closed"])
    }

    @Test("A server that blocks and goes on without end fills no memory, and each change is told")
    func blockedFlood() async throws {
        let count = 5000
        let gate = Gate()
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            for number in 1...count {
                peer.send(number % 2 == 0 ? .connectionUnblocked : .connectionBlocked(.init(reason: "low on memory")))
            }
            peer.goodbye()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let (events, continuation) = AsyncStream<Void>.makeStream()
        connection.onBlocked { _ in
            gate.wait()
            gate.open()
            continuation.yield()
        }
        _ = try await connection.openChannel()
        while await connection.pausedInboxes == 0 { await Task.yield() }
        gate.open()
        var iterator = events.makeAsyncIterator()
        for _ in 1...count { await iterator.next() }
        await connection.close()
    }

    @Test("Returned messages wait for their callback in bounded number, and none is lost")
    func returns() async throws {
        let count = 5000
        let gate = Gate()
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("basic.publish")
            let method = AMQP.Method.basicReturn(
                .init(replyCode: 312, replyText: "NO_ROUTE", exchange: "", routingKey: "q")
            )
            let message = Attack.method(method) + Attack.header(1000) + Attack.body(1000)
            for _ in 1...count { peer.send(message) }
            peer.goodbye()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        let (events, continuation) = AsyncStream<Void>.makeStream()
        channel.onReturn { _, _ in
            gate.wait()
            gate.open()
            continuation.yield()
        }
        try await channel.publishUnconfirmed(AMQPMessage(routingKey: "q", body: []))
        while await connection.pausedInboxes == 0 { await Task.yield() }
        gate.open()
        var iterator = events.makeAsyncIterator()
        for _ in 1...count { await iterator.next() }
        await connection.close()
    }
}

import Synchronization
import Testing

@testable import AMQP

/// Publishes that end before the broker has said anything: what they leave behind on their channel.
@Suite("Publishes given up", .timeLimit(.minutes(1))) struct GivenUpPublishTests {
    private let message = AMQPMessage(routingKey: "q", body: [1, 2, 3])
    private var batch: [AMQPMessage] { Array(repeating: message, count: 1000) }

    private func connect(
        window: Int,
        _ script: @escaping @Sendable (FakeBroker.Peer) -> Void
    ) async throws -> AMQPConnection {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.expect("confirm.select")
            peer.send(.confirmSelectOk, on: 1)
            script(peer)
        }
        var options = AMQPConnection.Options()
        options.publishWindow = window
        options.closeTimeout = .milliseconds(50)
        return try await AMQPConnection.connect(to: broker.uri, options: options)
    }

    private func codes(_ results: [Result<Void, AMQPError>]) -> [AMQPError.Code?] {
        results.map { if case .failure(let error) = $0 { error.code } else { nil } }
    }

    @Test("A window of publishes that timed out is free again, and late confirmations do no harm")
    func timedOut() async throws {
        let connection = try await connect(window: 8) { peer in
            for _ in 1...9 { peer.expect("basic.publish") }
            peer.send(.basicAck(.init(deliveryTag: 3)), on: 1)
            peer.send(.basicAck(.init(deliveryTag: 9)), on: 1)
            peer.expect("basic.publish")
            peer.send(.basicAck(.init(deliveryTag: 10, multiple: true)), on: 1)
            peer.goodbye()
        }
        let channel = try await connection.openChannel()
        let eight = await channel.publish(Array(repeating: message, count: 8), timeout: .milliseconds(50))
        #expect(codes(eight) == Array(repeating: .timedOut, count: 8))
        try await channel.publish(message)
        try await channel.publish(message)
        await connection.close()
    }

    @Test("A window of cancelled publishes is free again")
    func cancelled() async throws {
        let (seen, report) = AsyncStream<Void>.makeStream()
        let connection = try await connect(window: 8) { peer in
            for _ in 1...8 { peer.expect("basic.publish") }
            report.yield()
            peer.expect("basic.publish")
            peer.send(.basicAck(.init(deliveryTag: 9)), on: 1)
            peer.goodbye()
        }
        let channel = try await connection.openChannel()
        await withTaskGroup(of: Void.self) { group in
            for _ in 1...8 { group.addTask { try? await channel.publish(message) } }
            var iterator = seen.makeAsyncIterator()
            await iterator.next()
            group.cancelAll()
        }
        try await channel.publish(message)
        await connection.close()
    }

    @Test("The return of a publish that nobody waits for ends nothing")
    func returned() async throws {
        let connection = try await connect(window: 8) { peer in
            peer.expect("basic.publish")
            peer.expect("basic.publish")
            let method = AMQP.Method.basicReturn(
                .init(replyCode: 312, replyText: "NO_ROUTE", exchange: "", routingKey: "q")
            )
            peer.send(Attack.method(method) + Attack.header(3) + Attack.frame(3, 1, [1, 2, 3]))
            peer.send(.basicAck(.init(deliveryTag: 2, multiple: true)), on: 1)
            peer.goodbye()
        }
        let channel = try await connection.openChannel()
        #expect(codes(await channel.publish([message], timeout: .milliseconds(50))) == [.timedOut])
        try await channel.publish(AMQPMessage(routingKey: "other", body: []))
        await connection.close()
    }

    @Test("One cancelled publish leaves its place in a full window to one that waits")
    func oneCancelled() async throws {
        let (seen, report) = AsyncStream<Void>.makeStream()
        let connection = try await connect(window: 8) { peer in
            for _ in 1...8 { peer.expect("basic.publish") }
            report.yield()
            peer.expect("basic.publish")
            peer.send(.basicAck(.init(deliveryTag: 9, multiple: true)), on: 1)
            peer.goodbye()
        }
        let channel = try await connection.openChannel()
        async let seven = channel.publish(Array(repeating: message, count: 7))
        let cancelled = Task { await channel.publish([message]) }
        var iterator = seen.makeAsyncIterator()
        await iterator.next()
        async let waiting = channel.publish([message])
        cancelled.cancel()
        #expect(codes(await cancelled.value) == [.cancelled])
        #expect(codes(await waiting) == [nil])
        #expect(codes(await seven) == Array(repeating: nil, count: 7))
        await connection.close()
    }

    @Test("A window of any size leaves a channel open that is owed few confirmations", arguments: [1, .max])
    func few(_ window: Int) async throws {
        let connection = try await connect(window: window) { peer in
            var count: UInt64 = 0
            while let (_, method) = peer.nextMethod() {
                guard case .basicPublish(let publish) = method else { continue }
                count += 1
                if publish.routingKey == "last" { break }
            }
            peer.send(.basicAck(.init(deliveryTag: count)), on: 1)
            peer.goodbye()
        }
        let channel = try await connection.openChannel()
        for _ in 1...17 {
            #expect(codes(await channel.publish([message], timeout: .milliseconds(10))) == [.timedOut])
        }
        try await channel.publish(AMQPMessage(routingKey: "last", body: []))
        await connection.close()
    }

    @Test("A channel that is owed sixteen windows of confirmations is closed, and tells those who still wait")
    func tooMany() async throws {
        let published = Mutex(0)
        let connection = try await connect(window: 1000) { peer in
            while let (_, method) = peer.nextMethod(), method.name != "channel.close" {
                if case .basicPublish = method { published.withLock { $0 += 1 } }
            }
            peer.send(.channelCloseOk, on: 1)
            peer.expect("channel.open")
            peer.send(.channelOpenOk, on: 2)
            peer.goodbye()
        }
        let channel = try await connection.openChannel()
        async let waiting = channel.publish([message])
        var last: [AMQPError.Code?] = []
        while !last.contains(.channelClosed) {
            last = codes(await channel.publish(batch, timeout: .milliseconds(20)))
            #expect(Set(last).isSubset(of: [.timedOut, .channelClosed]))
        }
        guard case .failure(let error) = await waiting[0] else {
            Issue.record("confirmed by nobody")
            return
        }
        #expect(error.code == .channelClosed)
        let later = await #expect(throws: AMQPError.self) { try await channel.publish(message) }
        #expect(later?.code == .channelClosed && later?.isOutcomeUnknown == false)
        // Answered after all that was sent before.
        _ = try await connection.openChannel()
        #expect(published.withLock { $0 } > 16_000)
        await connection.close()
    }

    @Test("A logical channel goes on over the next one when that was closed for what it was owed")
    func recovering() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            var first: UInt16?
            var confirmed: UInt64 = 0
            while let (number, method) = peer.nextMethod() {
                switch method {
                case .channelOpen:
                    first = first ?? number
                    peer.send(.channelOpenOk, on: number)
                case .confirmSelect: peer.send(.confirmSelectOk, on: number)
                case .basicPublish where number != first:
                    confirmed += 1
                    peer.send(.basicAck(.init(deliveryTag: confirmed)), on: number)
                case .channelClose: peer.send(.channelCloseOk, on: number)
                case .connectionClose: peer.send(.connectionCloseOk)
                default: break
                }
            }
        }
        var options = RecoveringConnection.Options()
        options.closeTimeout = .zero
        let connection = try await RecoveringConnection.connect(to: [broker.uri], options: options)
        let channel = try await connection.openChannel()
        let physical = channel.gate.current
        while physical?.closeReason == nil { _ = await channel.publish(batch, timeout: .milliseconds(20)) }
        try await channel.publish(message)
        await connection.close()
    }

    @Test("Cancelled publishes leave the line while the broker blocks publishers")
    func cancelledInLine() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.send(.connectionBlocked(.init(reason: "low on memory")))
            peer.goodbye()
        }
        let connection = try await AMQPConnection.connect(to: broker.uri)
        let channel = try await connection.openChannel()
        while connection.currentBlockedReason == nil { await Task.yield() }
        async let kept = channel.publish([message])
        await withTaskGroup(of: Void.self) { group in
            for _ in 1...1000 { group.addTask { try? await channel.publish(message) } }
            while await connection.waitingSubmissions < 1000 { await Task.yield() }
            group.cancelAll()
        }
        while await connection.waitingSubmissions > 2 { await Task.yield() }
        await connection.close()
        #expect(codes(await kept) == [.closed])
    }
}

extension AMQPConnection {
    fileprivate var waitingSubmissions: Int { channels.values.reduce(0) { $0 + $1.waiting.submissionCount } }
}

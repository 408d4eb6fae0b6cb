import FaultProxySupport
import Synchronization
import TestSupport
import Testing

@testable import AMQP

/// What the caller decides: which hosts, how often, what comes back, what waits.
extension RecoveryFeatures {
    // MARK: Connecting

    static func first(_ lab: Lab) async throws {
        let relay = try lab.relay()
        defer { relay.stop() }
        let uri = lab.uri(over: relay)
        relay.setArrivals(.refuse)
        #expect(await failure { _ = try await RecoveringConnection.connect(to: [uri]) }?.code == .unreachable)
        relay.setArrivals(.reset)
        var options = RecoveringConnection.Options()
        options.reconnect.cap = .milliseconds(50)
        options.reconnect.retriesFirstConnect = true
        let connecting = Task { [options] in try await RecoveringConnection.connect(to: [uri], options: options) }
        try await eventually("the client tries again") { relay.rejectedCount >= 2 }
        relay.setArrivals(.accept)
        let connection = try await connecting.value
        #expect(connection.state == .open)
        await connection.close()
        #expect(connection.isClosed)
    }

    static func failover(_ lab: Lab) async throws {
        let relays = try [lab.relay(), lab.relay()]
        defer { for relay in relays { relay.stop() } }
        try await withConnection(to: relays.map { lab.uri(over: $0) }) { connection in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(durable: false, exclusive: true).name
            let used = relays[0].linkCount == 1 ? 0 : 1
            #expect(relays[1 - used].linkCount == 0)
            relays[used].setArrivals(.reset)
            try await cut(relays[used], connection)
            #expect(relays[1 - used].linkCount == 1)
            try await channel.publish(.text("x", connection.currentName(ofQueue: queue)))
        }
    }

    static func states(_ lab: Lab) async throws {
        let relay = try lab.relay()
        defer { relay.stop() }
        relay.setArrivals(.reset)
        var options = RecoveringConnection.Options()
        options.reconnect.cap = .milliseconds(50)
        options.reconnect.retriesFirstConnect = true
        let connection = RecoveringConnection.connecting(to: [lab.uri(over: relay)], options: options)
        // One that never looks holds nobody up.
        let idle = connection.states.makeAsyncIterator()
        let observers = (0..<2).map { _ in
            let states = connection.states.makeAsyncIterator()
            return Task { await told(states) }
        }
        await wait(for: connection) { if case .recovering(3..., _, _) = $0 { true } else { false } }
        relay.setArrivals(.accept)
        await wait(for: connection) { $0 == .open }
        await interrupt(relay, connection)
        relay.setArrivals(.accept)
        await wait(for: connection) { $0 == .open }
        await connection.close()
        for observer in observers {
            let told = await observer.value
            #expect(told.kinds.first == "connecting" || told.kinds.first == "recovering")
            #expect(told.kinds.suffix(4) == ["open", "recovering", "open", "closed"])
            // An observer that was not woken in time hears of the latest only.
            #expect(told.attempts.contains { $0 >= 3 })
            #expect(told.reasons.allSatisfy { !$0.message.isEmpty })
        }
        _ = idle
    }

    fileprivate struct Told {
        /// One for several in a row.
        var kinds: [String] = []
        var attempts: [Int] = []
        var reasons: [AMQPError] = []
    }

    private static func told(_ states: ConnectionStates.AsyncIterator) async -> Told {
        var states = states
        var told = Told()
        while let state = await states.next(isolation: nil) {
            let kind =
                switch state {
                case .connecting: "connecting"
                case .open: "open"
                case .blocked: "blocked"
                case .recovering(let attempt, let reason, _): told.note(attempt, reason)
                case .closed(let error): error.code == .closed ? "closed" : "failed"
                }
            if told.kinds.last != kind { told.kinds.append(kind) }
        }
        return told
    }

    // MARK: What comes back

    static func filter(_ lab: Lab) async throws {
        let (kept, dropped) = (lab.unique("kept"), lab.unique("dropped"))
        try await withRelay(lab) {
            $0.shouldRestore = { $0 != .queue(AMQPQueue(dropped, isDurable: false, isExclusive: true)) }
        } _: { connection, relay in
            let channel = try await connection.openChannel()
            for name in [kept, dropped] { _ = try await channel.declareQueue(name, durable: false, exclusive: true) }
            try await cut(relay, connection)
            // The broker may notice the end of the last connection, which has both, after the next one has begun.
            try await eventually("what is kept is back") {
                (try? await channel.declareQueue(kept, passive: true)) != nil
            }
            try await eventually("what is dropped stays away") {
                do throws(AMQPError) {
                    _ = try await channel.declareQueue(dropped, passive: true)
                    return false
                } catch {
                    return error.code == .notFound
                }
            }
            #expect(connection.restoreFailures.allSatisfy { $0.error.code == .resourceLocked })
        }
    }

    static func failures(_ lab: Lab) async throws {
        let changed = try await lab.exchange(.direct)
        // Left out: the default for what does not mend itself.
        try await withRelay(lab) { connection, relay in
            let channel = try await connection.openChannel()
            try await channel.declareExchange(changed, type: .direct, durable: false)
            try await exchange(changed, of: .fanout, lab)
            try await cut(relay, connection)
            let refused = connection.restoreFailures
            #expect(refused.map(\.error.code) == [.preconditionFailed])
            #expect(refused.first?.entity == .exchange(AMQPExchange(changed, isDurable: false)))
            #expect(connection.state == .open)
        }
        // Tried again: the default for a queue that another connection still has.
        let locked = lab.unique("locked")
        try await withRelay(lab) { connection, relay in
            let channel = try await connection.openChannel()
            _ = try await channel.declareQueue(locked, durable: false, exclusive: true)
            await interrupt(relay, connection)
            let other = try await lab.connect()
            try await eventually("the broker has noticed the end") {
                let channel = try await other.openChannel()
                return (try? await channel.declareQueue(locked, durable: false, exclusive: true)) != nil
            }
            relay.setArrivals(.accept)
            try await eventually("the broker refuses it") {
                connection.restoreFailures.contains { $0.error.code == .resourceLocked }
            }
            await other.close()
            try await eventually("the broker takes it") {
                let channel = try await connection.connection(before: .now + .seconds(10)).openChannel()
                return (try? await channel.declareQueue(locked, passive: true)) != nil
            }
        }
        // The end, after as many attempts as the caller likes.
        let attempts = Mutex<[Int]>([])
        try await exchange(changed, of: .direct, lab)
        try await withRelay(lab) {
            $0.restoreFailed = { failure in
                attempts.withLock { $0.append(failure.attempts) }
                return failure.attempts < 3 ? .retry : .giveUp
            }
        } _: { connection, relay in
            try await connection.openChannel().declareExchange(changed, type: .direct, durable: false)
            try await exchange(changed, of: .fanout, lab)
            relay.apply(.cut(.finish))
            var last: RecoveringConnection.State?
            for await state in connection.states { last = state }
            guard case .closed(let reason) = last else {
                Issue.record("\(String(describing: last))")
                return
            }
            #expect(reason.code == .preconditionFailed)
        }
        #expect(attempts.withLock { $0 } == [1, 2, 3])
    }

    /// Makes an exchange another one behind the back of those who know it.
    private static func exchange(_ name: String, of type: ExchangeType, _ lab: Lab) async throws {
        try await lab.channel.deleteExchange(name)
        try await lab.channel.declareExchange(name, type: type, durable: false)
    }

    // MARK: What waits

    static func bounds(_ lab: Lab) async throws {
        for policy in [RecoveringConnection.OutagePolicy.wait(messages: 1), .wait(octets: 1), .fail] {
            try await withRelay(lab) {
                $0.duringOutage = policy
            } _: { connection, relay in
                let channel = try await connection.openChannel()
                await interrupt(relay, connection)
                let codes = await withTaskGroup(of: AMQPError.Code?.self) { group in
                    for _ in 0..<2 {
                        group.addTask {
                            await failure { try await channel.publish(.text("x", "q"), timeout: .milliseconds(300)) }?
                                .code
                        }
                    }
                    return await group.reduce(into: Set<AMQPError.Code?>()) { $0.insert($1) }
                }
                #expect(codes == (policy == .fail ? [.recovering] : [.recovering, .timedOut]))
                relay.setArrivals(.accept)
                await wait(for: connection) { $0 == .open }
                let error = await failure { try await channel.publish(.text("x", lab.unique("none"))) }
                #expect(error?.code == .returned)
            }
        }
    }

    static func refusedCalls(_ lab: Lab) async throws {
        let queue = try await lab.durableQueue()
        try await withConnection(to: [lab.uri], { $0.whenLost = .republish }) { connection in
            let channel = try await connection.openChannel()
            let consumer = try await channel.consume(queue)
            for _ in 0..<3 {
                let missing = lab.unique("missing")
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<20 { group.addTask { try await channel.publish(.text("x", queue)) } }
                    group.addTask {
                        let error = await failure { try await channel.publish(.text("x", "k", exchange: missing)) }
                        #expect(error?.code == .notFound)
                        #expect(error?.isOutcomeUnknown == false)
                    }
                    group.addTask {
                        let error = await failure { _ = try await channel.declareQueue(missing, passive: true) }
                        #expect(error?.code == .notFound)
                    }
                    for _ in 0..<5 { group.addTask { _ = try await channel.declareQueue(queue, passive: true) } }
                    for try await _ in group {}
                }
                var settled = 0
                while settled < 20, let delivery = try await consumer.next() {
                    do throws(AMQPError) {
                        try channel.acknowledge(delivery.tag)
                        settled += 1
                    } catch {
                        #expect(error.code == .staleDelivery)
                    }
                }
            }
            #expect(connection.state == .open)
        }
        // What is wrong with a message itself ends that message alone.
        let other = try await lab.durableQueue()
        try await withConnection(to: [lab.uri], { $0.whenLost = .republish }) { connection in
            let channel = try await connection.openChannel()
            var undated = BasicProperties()
            undated.expiration = "soon"
            for properties in [BasicProperties(userID: "somebody else"), undated] {
                try await fail(alone: .text("x", other, properties: properties), on: channel)
                #expect(try await taken(20, from: other, on: channel))
            }
        }
    }

    // MARK: Closing

    static func graceful(_ lab: Lab) async throws {
        let queue = try await lab.durableQueue()
        let relay = try lab.relay()
        defer { relay.stop() }
        let connection = try await RecoveringConnection.connect(to: [lab.uri(over: relay)])
        let channel = try await connection.openChannel()
        for result in await channel.publish((0..<20).map { .text("\($0)", queue) }) { try result.get() }
        let consumer = try await channel.consume(queue, prefetch: 10)
        let taken = try #require(try await consumer.next())
        // The broker's answers are on their way, and stay there.
        relay.apply(.stopReading, to: [.fromServer])
        let sent = Task { try await channel.publish(.text("late", queue)) }
        // Ten of the others are out.
        try await eventually("the broker has it") { try await lab.count(queue) == 11 }
        let closing = Task { await connection.close(within: .seconds(30)) }
        try await eventually("it closes") { connection.isClosed }
        // Still open for what was taken, and for what was sent.
        try channel.acknowledge(taken.tag)
        relay.heal()
        try await sent.value
        await closing.value
        #expect(try await consumer.next() == nil)
        #expect(await failure { try await channel.publish(.text("x", queue)) }?.code == .closed)
        #expect(await failure { _ = try await connection.openChannel() }?.code == .closed)
        #expect(try await lab.channel.purgeQueue(queue) == 20)
    }
}

extension RecoveryFeatures.Told {
    fileprivate mutating func note(_ attempt: Int, _ reason: AMQPError) -> String {
        if attempts.last != attempt { attempts.append(attempt) }
        reasons.append(reason)
        return "recovering"
    }
}

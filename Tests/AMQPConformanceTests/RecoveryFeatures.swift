import FaultProxySupport
import TestSupport
import Testing

@testable import AMQP

enum RecoveryFeatures {
    static let all = [
        Feature(
            "Recovered connections",
            "topology, prefetch and consumers come back, and a server-named queue with a new name",
            need: .ownBroker,
            recovered
        ),
        Feature(
            "Recovered consumers",
            "keep their prefetch, the channel's too, their priority and their exclusiveness",
            consumers
        ),
        Feature("Cancelled consumers", "of a recovering connection go on when their queue is back", cancelled),
        Feature("Choice of what comes back", "what a filter leaves out stays away, the rest comes back", filter),
        Feature(
            "What the broker does not take back",
            "is told, and then left out, tried again until it is taken, or the end, as decided",
            failures
        ),
        Feature("First connection", "is tried again if so wanted, else each host once", first),
        Feature("List of hosts", "the next one takes over from one that is gone", failover),
        Feature("Connection states", "are told with reason and attempt, to each observer, up to the end", states),
        Feature(
            "Publishing during an outage",
            "waits for the connection, and is confirmed by the new one",
            need: .ownBroker,
            outage
        ),
        Feature(
            "Bounds of waiting",
            "publishes wait by number, by octets and by time; or fail at once, if so wanted",
            bounds
        ),
        Feature(
            "Refused calls",
            "fail alone: the channel is opened again, its consumers go on, other publishes arrive",
            refusedCalls
        ),
        Feature(
            "Oversized messages",
            "over the broker's own limit fail alone, with advice, and other publishes arrive",
            need: .ownBroker,
            oversized
        ),
        Feature(
            "Closing gracefully",
            "waits for settlements and confirmations, and gives back what nobody took",
            graceful
        ),
    ]

    // MARK: With a broker that restarts

    static func recovered(_ lab: Lab) async throws {
        try await Control.withOwnBroker { uri, broker in
            try await withConnection(to: [uri]) { connection in
                let channel = try await connection.openChannel()
                let news = lab.unique("news")
                try await channel.declareExchange(news, type: .fanout, durable: false)
                let queue = try await channel.declareQueue(durable: false, exclusive: true).name
                try await channel.bindQueue(queue, to: news, routingKey: "")
                let consumer = try await channel.consume(queue, prefetch: 10)
                try await channel.publish(.text("before", "", exchange: news))
                let before = try #require(try await consumer.next())
                #expect(before.text == "before")
                try await broker.perform("restart")
                for number in 0..<20 {
                    try await channel.publish(.text("\(number)", "", exchange: news), timeout: .seconds(60))
                }
                #expect(connection.currentName(ofQueue: queue) != queue)
                var held: [AMQPDelivery] = []
                try await eventually("the prefetch is used up") {
                    held += consumer.takeAvailable()
                    return held.count >= 10
                }
                // The rest is ready, and stays so until something is settled.
                #expect(try await channel.declareQueue(queue, passive: true).messageCount == 10)
                #expect(held.map(\.text) == (0..<10).map { "\($0)" })
                try channel.acknowledge(held[0].tag)
                #expect(try await consumer.next()?.text == "10")
            }
        }
    }

    static func outage(_ lab: Lab) async throws {
        try await Control.withOwnBroker { uri, broker in
            try await withConnection(to: [uri]) { connection in
                let channel = try await connection.openChannel()
                let queue = try await channel.declareQueue(lab.unique("outage")).name
                try await broker.perform("stop")
                async let published: Void = channel.publish(.text("patient", queue), timeout: .seconds(90))
                try await broker.perform("start")
                try await published
                #expect(try await channel.get(queue, noAck: true)?.text == "patient")
                try await channel.deleteQueue(queue)
            }
        }
    }

    static func oversized(_ lab: Lab) async throws {
        try await Control.withOwnBroker { uri, broker in
            let limit = try await broker.control("eval", "element(2, application:get_env(rabbit, max_message_size)).")
            func set(_ limit: String) async throws {
                try await broker.control("eval", "application:set_env(rabbit, max_message_size, \(limit)).")
            }
            // Each channel asks for it when it is opened.
            try await set("1000")
            do {
                try await withConnection(to: [uri], { $0.whenLost = .republish }) { connection in
                    let channel = try await connection.openChannel()
                    let queue = try await channel.declareQueue(lab.unique("small"), durable: false).name
                    try await fail(alone: .text(String(repeating: "x", count: 1001), queue), on: channel) { error in
                        #expect(error?.message.contains("max_message_size") == true)
                    }
                    #expect(try await taken(20, from: queue, on: channel))
                    try await channel.deleteQueue(queue)
                }
            } catch {
                try await set(limit)
                throw error
            }
            try await set(limit)
        }
    }

    /// Publishes a message that the broker refuses (406) among twenty that it takes, on the same channel.
    static func fail(
        alone refused: AMQPMessage,
        on channel: RecoveringChannel,
        _ judge: @escaping @Sendable (AMQPError?) -> Void = { _ in }
    ) async throws {
        let queue = refused.routingKey
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                if number == 10 {
                    group.addTask {
                        let error = await failure { try await channel.publish(refused) }
                        #expect(error?.code == .preconditionFailed)
                        #expect(error?.isOutcomeUnknown == false)
                        judge(error)
                    }
                }
                group.addTask { try await channel.publish(.text("\(number)", queue)) }
            }
            for try await _ in group {}
        }
    }

    /// Whether each number is in a queue, some twice perhaps, and nothing else.
    static func taken(_ count: Int, from queue: String, on channel: RecoveringChannel) async throws -> Bool {
        var texts: Set<String> = []
        while let delivery = try await channel.get(queue, noAck: true) { texts.insert(delivery.text) }
        return texts == Set((0..<count).map { "\($0)" })
    }

    // MARK: Consumers

    static func cancelled(_ lab: Lab) async throws {
        try await withConnection(to: [lab.uri]) { connection in
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue(lab.unique("deleted"), durable: false, exclusive: true).name
            let consumer = try await channel.consume(queue)
            // Behind the back of whoever would note it down.
            let other = try await connection.openChannel()
            try await connection.live?.openChannel().deleteQueue(queue)
            // Declared and consumed anew by the connection itself.
            try await eventually("the queue is back") {
                await other.outcomeIsConfirmed(.text("again", queue))
            }
            #expect(try await consumer.next()?.text == "again")
        }
    }

    static func consumers(_ lab: Lab) async throws {
        let limited = try await lab.durableQueue()
        let together = try await lab.durableQueue()
        let preferred = try await lab.durableQueue()
        let usual = try await lab.durableQueue()
        try await withRelay(lab) { connection, relay in
            let channel = try await connection.openChannel()
            let ten = try await channel.consume(limited, prefetch: 10, exclusive: true)
            let high = try await channel.consume(preferred, arguments: ConsumerArguments(priority: 5))
            let low = try await lab.channel.consume(preferred)
            let sharing = try await connection.openChannel()
            try await sharing.setPrefetch(7, scope: .channel)
            try await sharing.setPrefetch(3)
            let pair = [
                try await sharing.consume(together, prefetch: 0), try await sharing.consume(together, prefetch: 0),
            ]
            // Without a prefetch of its own it has the one that the channel was told for such.
            let three = try await sharing.consume(usual)
            try await cut(relay, connection)
            for (queue, count) in [(limited, 1), (together, 2), (preferred, 2), (usual, 1)] {
                try await eventually("the consumers of \(queue) are back") {
                    try await lab.channel.declareQueue(queue, passive: true).consumerCount == count
                }
            }
            for queue in [limited, together, preferred] {
                for number in 0..<20 { try await lab.publish("\(number)", to: queue) }
            }
            // Nothing is settled, so nothing more may be out.
            var held = 0
            try await eventually("the consumer's prefetch is used up") {
                held += ten.takeAvailable().count
                return held >= 10
            }
            #expect(try await lab.count(limited) == 10)
            held = 0
            try await eventually("the channel's prefetch is used up") {
                held += pair.reduce(0) { $0 + $1.takeAvailable().count }
                return held >= 7
            }
            #expect(try await lab.count(together) == 13)
            for delivery in pair.flatMap({ $0.takeAvailable() }) { try sharing.nack(delivery.tag, requeue: true) }
            for consumer in pair { try await consumer.cancel() }
            try await sharing.setPrefetch(0, scope: .channel)
            for number in 0..<20 { try await lab.publish("\(number)", to: usual) }
            held = 0
            try await eventually("the usual prefetch is used up") {
                held += three.takeAvailable().count
                return held >= 3
            }
            #expect(try await lab.count(usual) == 17)
            var texts: [String] = []
            while texts.count < 20 { texts += [try #require(try await high.next()).text] }
            #expect(texts == (0..<20).map { "\($0)" })
            #expect(low.takeAvailable().isEmpty)
            let other = try await lab.openChannel()
            #expect(await failure { _ = try await other.consume(limited) }?.code == .accessRefused)
        }
    }

    // MARK: Tools

    static func withConnection(
        to uris: [AMQPURI],
        _ change: (inout RecoveringConnection.Options) -> Void = { _ in },
        _ body: (RecoveringConnection) async throws -> Void
    ) async throws {
        var options = RecoveringConnection.Options()
        options.reconnect.cap = .milliseconds(500)
        options.closeTimeout = .seconds(2)
        change(&options)
        let connection = try await RecoveringConnection.connect(to: uris, options: options)
        do {
            try await body(connection)
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    /// A connection over a relay, whose links the clause cuts.
    static func withRelay(
        _ lab: Lab,
        _ change: (inout RecoveringConnection.Options) -> Void = { _ in },
        _ body: (RecoveringConnection, FaultProxy) async throws -> Void
    ) async throws {
        let relay = try lab.relay()
        defer { relay.stop() }
        try await withConnection(to: [lab.uri(over: relay)], change) { try await body($0, relay) }
    }

    /// Cuts all links and waits until everything is back.
    static func cut(_ relay: FaultProxy, _ connection: RecoveringConnection) async throws {
        let lost = connection.live
        relay.apply(.cut(.finish))
        try await eventually("the connection is back") {
            // Asked once: between two questions the lost one may end, and nothing is not the lost one either.
            guard let live = connection.live else { return false }
            return live !== lost
        }
    }

    /// Waits for a state, passing over others.
    static func wait(
        for connection: RecoveringConnection,
        _ isAwaited: (RecoveringConnection.State) -> Bool
    ) async {
        for await state in connection.states where isAwaited(state) { return }
        Issue.record("the connection is closed")
    }

    /// Cuts all links, and rejects the client when it comes again.
    static func interrupt(_ relay: FaultProxy, _ connection: RecoveringConnection) async {
        relay.setArrivals(.reset)
        relay.apply(.cut(.finish))
        await wait(for: connection) { if case .recovering = $0 { true } else { false } }
    }
}

extension RecoveringChannel {
    /// Whether a message finds its queue.
    fileprivate func outcomeIsConfirmed(_ message: AMQPMessage) async -> Bool {
        (try? await publish(message)) != nil
    }
}

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
            "Publishing during an outage",
            "waits for the connection, and is confirmed by the new one",
            need: .ownBroker,
            outage
        ),
        Feature("Cancelled consumers", "of a recovering connection go on when their queue is back", cancelled),
    ]

    private static func withConnection(
        to uri: AMQPURI,
        _ body: (RecoveringConnection) async throws -> Void
    ) async throws {
        var options = RecoveringConnection.Options()
        options.reconnect.cap = .milliseconds(500)
        options.duringOutage = .wait()
        let connection = try await RecoveringConnection.connect(to: [uri], options: options)
        do {
            try await body(connection)
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    static func recovered(_ lab: Lab) async throws {
        try await Control.withOwnBroker { uri, broker in
            try await withConnection(to: uri) { connection in
                let channel = try await connection.openChannel()
                try await channel.declareExchange("news", type: .fanout, durable: false)
                let queue = try await channel.declareQueue(durable: false, exclusive: true).name
                try await channel.bindQueue(queue, to: "news", routingKey: "")
                let consumer = try await channel.consume(queue, prefetch: 10)
                try await channel.publish(.text("before", "", exchange: "news"))
                let before = try #require(try await consumer.next())
                #expect(before.text == "before")
                try await broker.perform("restart")
                try await channel.publish(.text("after", "", exchange: "news"), timeout: .seconds(60))
                let after = try #require(try await consumer.next())
                #expect(after.text == "after")
                try channel.acknowledge(after.tag)
                #expect(connection.currentName(ofQueue: queue) != queue)
            }
        }
    }

    static func outage(_ lab: Lab) async throws {
        try await Control.withOwnBroker { uri, broker in
            try await withConnection(to: uri) { connection in
                let channel = try await connection.openChannel()
                let queue = try await channel.declareQueue("durable").name
                try await broker.perform("stop")
                async let published: Void = channel.publish(.text("patient", queue), timeout: .seconds(90))
                try await broker.perform("start")
                try await published
                #expect(try await channel.get(queue, noAck: true)?.text == "patient")
            }
        }
    }

    static func cancelled(_ lab: Lab) async throws {
        try await withConnection(to: lab.uri) { connection in
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
}

extension RecoveringChannel {
    /// Whether a message finds its queue.
    fileprivate func outcomeIsConfirmed(_ message: AMQPMessage) async -> Bool {
        (try? await publish(message)) != nil
    }
}

import TestSupport
import Testing

@testable import AMQP

/// Publishes messages one by one over one connection and consumes them over another, while something is being broken.
struct LoadRun: Sendable {
    let producing: RecoveringConnection
    let consuming: RecoveringConnection
    let queue: String
    /// Where the queue was declared.
    let firstPeer: String
    /// At least so many messages; more while faults go on.
    let total: Int
    let ledger = Ledger()
    /// Of a publish.
    private let lastFailure = Shared<AMQPError?>(nil)

    static let prefetch: UInt16 = 200
    /// Publishes at once.
    static let lanes = 100

    /// Connects, declares the queue, and closes both connections at the end.
    static func with(
        _ uris: [AMQPURI],
        total: Int,
        queue arguments: QueueArguments = [:],
        _ body: (LoadRun) async throws -> Void
    ) async throws {
        var options = RecoveringConnection.Options()
        options.connection.heartbeat = .seconds(1)
        options.connection.connectTimeout = .seconds(2)
        options.connection.closeTimeout = .seconds(1)
        options.reconnect = ReconnectPolicy(base: .milliseconds(20), cap: .milliseconds(500))
        options.reconnect.retriesFirstConnect = true
        // Noise on the line is one of the faults, and comes more often here than anywhere.
        options.reconnect.maximumConnectionErrors = nil
        options.closeTimeout = .seconds(2)
        let producing = try await RecoveringConnection.connect(to: uris, options: options)
        let consuming = try await RecoveringConnection.connect(to: uris, options: options)
        let queue = uniqueName("load")
        let result: Result<Void, any Error>
        do {
            let link = try await producing.connection(before: .now + .seconds(20))
            _ = try await link.withChannel { channel in
                try await channel.declareQueue(queue, durable: true, arguments: arguments)
            }
            let run = LoadRun(
                producing: producing,
                consuming: consuming,
                queue: queue,
                firstPeer: link.peer,
                total: total
            )
            result = .success(try await body(run))
        } catch {
            result = .failure(error)
        }
        // After a failure there may be nobody left to say goodbye to.
        if case .success = result { _ = try? await producing.openChannel().deleteQueue(queue) }
        await producing.close(within: .zero)
        await consuming.close(within: .zero)
        try result.get()
    }

    /// Publishes and consumes until the faults are over and everything confirmed has been consumed; then judges.
    func verify(_ faults: @escaping @Sendable () async throws -> Void) async throws {
        let areFaultsOver = Shared(false)
        let last = Shared(0)
        let producer = Producer(producing, try await producing.openChannel())
        let channel = try await consuming.openChannel()
        let consumer = try await channel.consume(queue, prefetch: Self.prefetch)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask { try await consume(consumer, channel) }
            }
            group.addTask {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        do {
                            try await faults()
                        } catch {
                            Issue.record("\(error); \(account)")
                            throw error
                        }
                        areFaultsOver.value = true
                    }
                    for _ in 0..<Self.lanes {
                        group.addTask {
                            while true {
                                let message = last.change { last in
                                    last += 1
                                    return last
                                }
                                guard message <= total || !areFaultsOver.value else { return }
                                try await publish(message, producer)
                            }
                        }
                    }
                    // Other than waiting for all, this cancels the others when one fails.
                    for try await _ in group {}
                }
                try await eventually(within: .seconds(60), "everything confirmed is consumed: \(ledger.summary)") {
                    ledger.unconsumedCount == 0
                }
                try await consumer.cancel()
            }
            for try await _ in group {}
        }
        tell("\(queue): \(ledger.summary)")
        #expect(ledger.confirmedCount >= total)
        #expect(ledger.strangers == [])
        #expect(ledger.unexplained == [], "\(ledger.summary)")
        let limit = ledger.duplicateLimit(prefetch: Int(Self.prefetch), lanes: Self.lanes)
        #expect(ledger.duplicateCount <= limit, "\(ledger.summary)")
    }

    private var account: String {
        "\(ledger.summary), \(ledger.unconsumedCount) unconsumed, \(producing.state), \(consuming.state), "
            + "last failure: \(lastFailure.value.map { "\($0)" } ?? "none")"
    }

    /// How often in a row one of the connections has tried to come back by now.
    var attempts: Int {
        [producing.state, consuming.state].map { state in
            if case .recovering(let attempt, _, _) = state { attempt } else { 0 }
        }.max() ?? 0
    }

    private func body(_ message: Int) -> [UInt8] {
        Array("\(message):".utf8) + [UInt8](repeating: UInt8(truncatingIfNeeded: message), count: 100)
    }

    /// Publishes a message until it is confirmed, always under the same id.
    private func publish(_ message: Int, _ producer: Producer) async throws {
        var properties = BasicProperties.persistent
        properties.messageID = "\(message)"
        let outgoing = AMQPMessage(routingKey: queue, properties: properties, body: body(message))
        while true {
            // A failure on the way out of the test would be tried again for ever.
            try Task.checkCancellation()
            ledger.attempt(message)
            let channel = await producer.channel
            do throws(AMQPError) {
                try await channel.publish(outgoing, timeout: .seconds(20))
                return ledger.confirmed(message)
            } catch {
                lastFailure.value = error
                if error.isOutcomeUnknown { ledger.unknown(message) } else { ledger.unsent(message) }
                if [.cancelled, .invalidArgument, .returned, .notFound].contains(error.code) { throw error }
                // Nothing else would end this loop.
                if case .closed = producing.state { throw error }
                if error.code == .nacked { try await producer.replace(channel) }
            }
        }
    }

    private func consume(_ consumer: RecoveringConsumer, _ channel: RecoveringChannel) async throws {
        while let delivery = try await consumer.next() {
            let id = delivery.properties.messageID
            let isIntact = id.flatMap { Int($0) }.map { body($0) == delivery.body } ?? false
            ledger.delivered(isIntact ? id : "damaged \(id ?? "")", isMarked: delivery.isRedelivered)
            try settle(delivery, channel)
        }
    }

    private func settle(_ delivery: AMQPDelivery, _ channel: RecoveringChannel) throws(AMQPError) {
        do {
            try channel.acknowledge(delivery.tag)
        } catch {
            // A stale one comes again.
            if error.code != .staleDelivery { throw error }
        }
    }
}

/// The channel that messages are published on, until the broker refuses them.
///
/// RabbitMQ asks the leader of a quorum queue for its version when a channel publishes to it first, and refuses what
/// that channel publishes for as long as the node of the leader that it knew then is away, whoever leads by now.
private actor Producer {
    private let connection: RecoveringConnection
    private(set) var channel: RecoveringChannel

    init(_ connection: RecoveringConnection, _ channel: RecoveringChannel) {
        self.connection = connection
        self.channel = channel
    }

    /// Takes another channel instead of one that refuses; what is under way on the old one may end there.
    func replace(_ refusing: RecoveringChannel) async throws {
        try await Task.sleep(for: .milliseconds(100))
        guard channel === refusing else { return }
        let fresh = try await connection.openChannel()
        if channel === refusing { channel = fresh } else { await fresh.close() }
    }
}

import CeleriacCore
import Synchronization
import TestSupport
import Testing

@testable import AMQP
@testable import CeleriacAMQP

@Suite(
    "AMQP driver under faults",
    .tags(.integration),
    .enabled(if: TestServer.rabbitMQ != nil, "set RABBITMQ_URL"),
    .timeLimit(.minutes(2))
)
struct RecoveryTests {
    /// What was logged of some importance.
    final class Log: LogSink {
        let lines = Mutex<[(level: LogLevel, message: String, metadata: [(String, String)])]>([])

        func log(level: LogLevel, message: String, metadata: [(String, String)], label: String) {
            if level >= .warning { lines.withLock { $0.append((level, message, metadata)) } }
        }

        /// The lines of a level.
        func messages(_ level: LogLevel) -> [String] {
            lines.withLock { $0.filter { $0.level == level }.map(\.message) }
        }
    }

    func withBroker(_ log: Log = Log(), _ body: (AMQPBroker) async throws -> Void) async throws {
        let broker = try AMQPBroker(
            ServerURL(TestServer.require(.rabbitMQ)),
            clientName: "recovery",
            logger: TaskLogger(label: "test", sink: log)
        )
        do {
            try await body(broker)
        } catch {
            await broker.close(grace: .seconds(1))
            throw error
        }
        await broker.close(grace: .seconds(1))
    }

    func withServer(_ body: (AMQPChannel) async throws -> Void) async throws {
        let connection = try await AMQPConnection.connect(to: AMQPURI(TestServer.require(.rabbitMQ)))
        do {
            try await body(connection.openChannel())
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    /// Makes the server close a connection: an unknown type of exchange is an error of the whole connection (503).
    private func kill(_ connection: AMQPConnection) async throws {
        let channel = try await connection.openChannel()
        await #expect(throws: AMQPError.self) { try await channel.declareExchange(uniqueName(), type: "nonsense") }
        #expect(connection.closeReason != nil)
    }

    @Test("A delayed message waits in the broker's delay queues, and holds up none whose time comes earlier")
    func delayed() async throws {
        try await withBroker { broker in
            let queue = uniqueQueue()
            let began = ContinuousClock.now
            try await broker.publish(.text("later"), to: Route(to: queue), delay: .seconds(3))
            try await broker.publish(.text("sooner"), to: Route(to: queue), delay: .seconds(1))
            #expect(try await broker.depth(of: "celery_delayed_1") != nil)
            let consumer = try await broker.consume([queue], prefetch: 10)
            for text in ["sooner", "later"] {
                let delivery = try await consumer.take()
                #expect(delivery.text == text)
                #expect(delivery.exchange.hasPrefix("celery_delayed_"))
                #expect(delivery.routingKey.hasSuffix(".\(queue.name)"))
                #expect(delivery.message.headers["x-death"] != nil)
                delivery.acknowledge()
            }
            #expect(began.duration(to: .now) >= .milliseconds(2900))
        }
    }

    @Test("A delay beyond what the delay queues hold is cut, not refused")
    func endlessDelay() async throws {
        try await withBroker { broker in
            try await broker.publish(.text("x"), to: Route(to: uniqueQueue()), delay: .seconds(300_000_000_000))
        }
    }

    @Test("A queue that was deleted is declared again by the next publish")
    func deletedQueue() async throws {
        try await withBroker { broker in
            let queue = uniqueQueue()
            try await broker.publish("before", to: queue)
            try await withServer { channel in _ = try await channel.deleteQueue(queue.name.rawValue) }
            try await broker.publish("after", to: queue)
            #expect(try await broker.take(from: queue.name).text == "after")
        }
    }

    @Test("A thousand first calls at once declare and arrive")
    func burst() async throws {
        try await withBroker { broker in
            let queue = uniqueQueue()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<3000 { group.addTask { try await broker.publish("x", to: queue) } }
                try await group.waitForAll()
            }
            #expect(try await broker.purge(queue.name) == 3000)
        }
    }

    @Test("A refused publish fails alone: the others on its channel arrive")
    func refusal() async throws {
        let log = Log()
        try await withBroker(log) { broker in
            let queue = uniqueQueue()
            try await broker.publish("first", to: queue)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        if number == 100 {
                            let route = Route(exchange: "no-such-exchange", routingKey: "x")
                            let error = await #expect(throws: CeleriacError.self) {
                                try await broker.publish(.text("guilty"), to: route)
                            }
                            #expect(error?.code == .notFound)
                            #expect(error?.isIndeterminate == false)
                        } else {
                            try await broker.publish("innocent", to: queue)
                        }
                    }
                }
                try await group.waitForAll()
            }
            // A publish repeated after the channel was closed may be there twice.
            #expect(try await broker.purge(queue.name) >= 200)
        }
        let lines = log.lines.withLock { $0 }
        #expect(lines.map(\.message) == ["the broker closed the channel of publishes"])
        #expect(lines.first?.level == .warning)
        #expect(lines.first?.metadata.first { $0.0 == "error" }?.1.contains("no-such-exchange") == true)
    }

    @Test("A consumer outlives the deletion of its queue", arguments: [1, 2])
    func deletedUnderConsumer(queues count: Int) async throws {
        let log = Log()
        try await withBroker(log) { broker in
            let queues = (0..<count).map { _ in uniqueQueue() }
            let consumer = try await broker.consume(queues, prefetch: 20)
            for _ in 0..<2 {
                for queue in queues { try await broker.publish("a", to: queue) }
                for text in try await consumer.texts(count) { #expect(text == "a") }
                // Fetched by the consumer, taken by nobody: the surviving queues' must come again.
                for queue in queues.dropFirst() { try await broker.publish("kept", to: queue) }
                try await withServer { channel in _ = try await channel.deleteQueue(queues[0].name.rawValue) }
                for text in try await consumer.texts(count - 1) { #expect(text == "kept") }
                try await broker.publish("again", to: queues[0])
                #expect(try await consumer.texts(1) == ["again"])
            }
        }
        // Told each time, as messages are gone.
        let message = "subscription lost; subscribing again"
        #expect(log.messages(.error) == [message, message])
        #expect(log.messages(.warning) == [])
    }

    @Test("A queue that was declared again under its producer still gets what is delayed")
    func delayedAfterDeletion() async throws {
        try await withBroker { broker in
            let queue = uniqueQueue()
            let consumer = try await broker.consume([queue], prefetch: 1)
            try await broker.publish(.text("one"), to: Route(to: queue), delay: .seconds(1))
            #expect(try await consumer.texts(1) == ["one"])
            try await withServer { channel in _ = try await channel.deleteQueue(queue.name.rawValue) }
            try await broker.publish("bound again", to: queue)
            #expect(try await consumer.texts(1) == ["bound again"])
            try await broker.publish(.text("two"), to: Route(to: queue), delay: .seconds(1))
            #expect(try await consumer.texts(1) == ["two"])
        }
    }

    @Test("A quorum queue counts deliveries, and a classic queue does not", arguments: [true, false])
    func deliveryCount(isQuorum: Bool) async throws {
        try await withBroker { broker in
            let queue = QueueDeclaration(QueueName(uniqueName()), kind: isQuorum ? .quorum : .classic)
            try await broker.publish("x", to: queue)
            for count in [nil, 1, 2] {
                try await eventually("it is there") {
                    guard let delivery = try await broker.get(queue.name) else { return false }
                    #expect(delivery.isRedelivered == (count != nil))
                    #expect(delivery.deliveryCount == (isQuorum ? count : nil))
                    delivery.giveBack()
                    return true
                }
            }
            try await withServer { channel in _ = try await channel.deleteQueue(queue.name.rawValue) }
        }
    }

    @Test("A consumer outlives its connection, and what it held comes again")
    func killedConnection() async throws {
        try await withBroker { broker in
            let queue = uniqueQueue()
            let consumer = try await broker.consume([queue], prefetch: 5)
            try await broker.publish("held", to: queue)
            let held = try await consumer.take()
            try await kill(broker.consuming.connection(before: .now + .seconds(10)))
            let again = try await consumer.take()
            #expect(again.text == "held")
            #expect(again.isRedelivered)
            held.acknowledge()  // of the old connection: dropped
            again.acknowledge()
            try await broker.publish("next", to: queue)
            #expect(try await consumer.texts(1) == ["next"])
        }
    }

    @Test("A broker that ends one connection after the other for errors ends the consumer, with an error that says so")
    func endlessErrors() async throws {
        try await withBroker { broker in
            let consumer = try await broker.consume([uniqueQueue()], prefetch: 1)
            for _ in 0..<6 { try await kill(broker.consuming.connection(before: .now + .seconds(20))) }
            let error = await #expect(throws: CeleriacError.self) { _ = try await consumer.take() }
            #expect(error?.code == .internalError)
            #expect(error?.message.contains("nonsense") == true)
        }
    }

    @Test("The rest after too many errors begins with the last of them, not with the next call")
    func rest() async throws {
        try await withBroker { broker in
            for _ in 0..<6 { try await kill(broker.publishing.connection(before: .now + .seconds(20))) }
            // Nobody asks for another connection.
            try await eventually("it rests") { broker.publishing.restsUntil != nil }
            let end = broker.publishing.restsUntil
            let error = await #expect(throws: CeleriacError.self) { try await broker.publish("x", to: uniqueQueue()) }
            #expect(error?.code == .internalError)
            #expect(broker.publishing.restsUntil == end)
        }
    }

    @Test("Stopped consumers are not kept")
    func stoppedConsumers() async throws {
        try await withBroker { broker in
            for _ in 0..<5 {
                let consumer = try await broker.consume([uniqueQueue()], prefetch: 1)
                await consumer.stop()
            }
            #expect(broker.consumerCount <= 1)
        }
    }
}

import CeleriacCore
import Synchronization
import TestSupport
import Testing

@testable import AMQP
@testable import CeleriacAMQP

extension AMQPConnection {
    var channelCount: Int { channels.count }
}

private final class Counter: Sendable {
    private let number = Atomic<Int>(0)

    var value: Int { number.load(ordering: .relaxed) }

    func add(_ difference: Int) { number.add(difference, ordering: .relaxed) }
}

extension RecoveryTests {
    private func consumingConnection(of broker: AMQPBroker) async throws -> AMQPConnection {
        try await broker.consuming.connection(before: .now + .seconds(10))
    }

    @Test("A subscription that the broker ends leaves no channel behind, however many lanes wait", arguments: [1, 2])
    func endedSubscriptions(queues count: Int) async throws {
        try await withBroker { broker in
            let queues = (0..<count).map { _ in uniqueQueue() }
            let consumer = try await broker.consume(queues, prefetch: 20)
            let connection = try await consumingConnection(of: broker)
            let before = await connection.channelCount
            let arrived = Counter()
            try await withThrowingTaskGroup(of: Void.self) { lanes in
                for _ in 0..<8 {
                    lanes.addTask {
                        while let delivery = try await consumer.next() {
                            delivery.acknowledge()
                            arrived.add(1)
                        }
                    }
                }
                for round in 1...5 {
                    try await withServer { channel in _ = try await channel.deleteQueue(queues[0].name.rawValue) }
                    try await broker.publish("again", to: queues[0])
                    try await eventually("round \(round)") { arrived.value == round }
                }
                try await eventually("one channel is left") { await connection.channelCount == before }
                await consumer.stop()
                try await lanes.waitForAll()
            }
            try await eventually("no channel is left") { await connection.channelCount == before - 1 }
        }
    }

    @Test("A subscription that the broker ends while its deliveries are at work closes its channel with the last")
    func endedAtWork() async throws {
        try await withBroker { broker in
            let queue = uniqueQueue()
            let consumer = try await broker.consume([queue], prefetch: 20)
            let connection = try await consumingConnection(of: broker)
            let before = await connection.channelCount
            for _ in 0..<3 {
                try await broker.publish("x", to: queue)
                let held = try await consumer.take()
                try await withServer { channel in _ = try await channel.deleteQueue(queue.name.rawValue) }
                try await broker.publish("again", to: queue)
                #expect(try await consumer.texts(1) == ["again"])
                held.acknowledge()
            }
            try await eventually("one channel is left") { await connection.channelCount == before }
        }
    }

    @Test("The channel of a stopped consumer closes with the last settlement")
    func lastSettlement() async throws {
        try await withBroker { broker in
            let queue = uniqueQueue()
            let consumer = try await broker.consume([queue], prefetch: 5)
            let connection = try await consumingConnection(of: broker)
            let before = await connection.channelCount
            try await broker.publish("first", "second", to: queue)
            let (first, second) = (try await consumer.take(), try await consumer.take())
            await consumer.stop()
            first.acknowledge()
            #expect(await connection.channelCount == before)
            second.giveBack()
            try await eventually("the channel is closed") { await connection.channelCount == before - 1 }
            let again = try await broker.take(from: queue.name)
            #expect(again.text == "second")
            again.acknowledge()
            #expect(try await broker.isEmpty(queue.name))
        }
    }

    @Test("What was fetched and not taken goes back even if the stopping task is cancelled", arguments: [1, 2])
    func cancelledStop(queues count: Int) async throws {
        try await withBroker { broker in
            let queues = (0..<count).map { _ in uniqueQueue() }
            let consumer = try await broker.consume(queues, prefetch: 10 * count)
            for _ in 0..<4 { try await broker.publish("x", to: queues[0]) }
            let held = try await consumer.take()
            try await eventually("all are fetched") { try await broker.depth(of: queues[0].name) == 0 }
            let stopping = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                await consumer.stop()
            }
            await stopping.value
            try await eventually("three are back") { try await broker.depth(of: queues[0].name) == 3 }
            held.acknowledge()
        }
    }

    @Test("A delivery that is dropped unsettled goes back, and a warning tells of the first")
    func dropped() async throws {
        let log = Log()
        try await withBroker(log) { broker in
            let queue = uniqueQueue()
            let consumer = try await broker.consume([queue], prefetch: 1)
            try await broker.publish("x", to: queue)
            for round in 0..<3 {
                let delivery = try await consumer.take()
                #expect(delivery.text == "x" && delivery.isRedelivered == (round > 0))
            }
            try await consumer.take().giveBack()
            try await consumer.take().acknowledge()
            let warning = "a delivery was dropped without being settled; it goes back to its queue"
            #expect(log.messages(.warning) == [warning])
        }
    }

    @Test("Taking single messages goes on over one channel")
    func gotten() async throws {
        try await withBroker { broker in
            let queue = uniqueQueue()
            try await broker.publish("1", "2", "3", to: queue)
            #expect(try await broker.take(from: queue.name).text == "1")
            let connection = try await consumingConnection(of: broker)
            let before = await connection.channelCount
            for _ in 0..<3 { try await broker.take(from: queue.name).acknowledge() }
            #expect(try await broker.isEmpty(queue.name))
            #expect(await connection.channelCount == before)
        }
    }

    @Test("Publishes go on over a new channel when theirs is closed, those under way as well")
    func closedPublishChannel() async throws {
        try await withBroker { broker in
            let queue = uniqueQueue()
            try await broker.publish("0", to: queue)
            let connection = try await broker.publishing.connection(before: .now + .seconds(10))
            let before = await connection.channelCount
            let left = Counter()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...2000 {
                    left.add(1)
                    group.addTask {
                        defer { left.add(-1) }
                        try await broker.publish("\(number)", to: queue)
                    }
                }
                group.addTask {
                    for _ in 0..<5 where left.value > 0 {
                        try await eventually("there is a channel") { broker.sharedChannel?.physical.closeReason == nil }
                        await broker.sharedChannel?.physical.close()
                    }
                }
                try await group.waitForAll()
            }
            var missing = Set((0...2000).map(String.init))
            while !missing.isEmpty {
                let delivery = try await broker.take(from: queue.name)
                missing.remove(delivery.text)
                delivery.acknowledge()
            }
            try await eventually("one channel is left") { await connection.channelCount == before }
        }
    }

    @Test("After a refusal publishes go over another channel, and those under way stay on theirs")
    func refusedPublish() async throws {
        try await withBroker { broker in
            let full = uniqueQueue()
            try await withServer { channel in
                _ = try await channel.declareQueue(
                    full.name.rawValue,
                    durable: true,
                    arguments: QueueArguments(maxLength: 1, overflow: .rejectPublish)
                )
            }
            try await broker.publish("fits", to: full)
            let first = try #require(broker.sharedChannel)
            let error = await #expect(throws: CeleriacError.self) { try await broker.publish("too much", to: full) }
            #expect(error?.code == .refused)
            #expect(broker.sharedChannel == nil && first.physical.closeReason == nil)
            try await broker.publish("elsewhere", to: uniqueQueue())
            let second = try #require(broker.sharedChannel)
            #expect(second !== first)
            try await broker.take(from: full.name).acknowledge()
            try await broker.publish("fits again", to: full)
            #expect(broker.sharedChannel === second)
            try await withServer { channel in _ = try await channel.deleteQueue(full.name.rawValue) }
        }
    }
}

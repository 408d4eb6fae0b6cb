import AMQP
import CeleriacAMQP
import CeleriacCore
import FoundationEssentials
import TestSupport
import Testing

@Suite(
    "Reply queues",
    .tags(.integration),
    .enabled(if: TestServer.rabbitMQ != nil, "set RABBITMQ_URL"),
    .timeLimit(.minutes(1))
)
struct ReplyQueueTests {
    @Test("A reply queue that somebody deletes is declared again, and what is sent from then on arrives")
    func deleted() async throws {
        let url = try TestServer.require(.rabbitMQ)
        let broker = try AMQPBroker(ServerURL(url), clientName: "replies")
        let backend = try RPCResultBackend(through: broker)
        let task = uniqueTask()
        let queue = try #require(try await backend.expect(task, within: .seconds(20)))

        let connection = try await AMQPConnection.connect(to: AMQPURI(url))
        try await connection.withChannel { channel in
            _ = try await channel.deleteQueue(queue)
            try await eventually("it is declared again") { try await broker.depth(of: QueueName(queue)) != nil }
            // There, it may have no consumer yet: what is sent waits.
        }
        await connection.close()

        var record = TaskRecord.success(task, 7)
        record.reply = ReplyAddress(replyTo: queue, correlationID: nil, task: task)
        #expect(try await backend.store(record, ttl: .seconds(60), within: .seconds(20)))
        #expect(try await backend.outcome(of: task, within: .seconds(20)).value(as: Int.self) == 7)
        await backend.close()
        #expect(try await broker.depth(of: QueueName(queue)) == nil)
        await broker.close(grace: .seconds(1))
    }

    @Test("A broker that cannot be reached fails the call in time, and says that it was not sent")
    func unreachable() async throws {
        let broker = try AMQPBroker("amqp://127.0.0.1:1", clientName: "replies")
        let backend = try RPCResultBackend(through: broker)
        let error = await #expect(throws: CeleriacError.self) {
            try await backend.expect(uniqueTask(), within: .milliseconds(200))
        }
        #expect(error?.isIndeterminate == false)
        await backend.close()
        await broker.close(grace: .seconds(1))
    }
}

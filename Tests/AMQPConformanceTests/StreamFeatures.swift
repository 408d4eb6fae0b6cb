import TestSupport
import Testing

@testable import AMQP

enum StreamFeatures {
    static let all = [
        Feature("Reading a stream", "again and again, by several, with the number of each message", reading),
        Feature("Stream offsets", "a table of first, last, next, a number, a time and an interval", offsets),
        Feature("Rules of a stream's consumer", "prefetch and acknowledgements are demanded before sending", rules),
        Feature(
            "Retention of streams",
            "by size: what is past it goes, a segment at a time; the age is sent",
            retention
        ),
        Feature(
            "Super streams",
            "partitions are queues behind a direct exchange, read by their names",
            .partly("there is no helper that hashes keys or reads all partitions"),
            partitions
        ),
        Feature(
            "Stream filters",
            "their arguments are sent and checked",
            .partly("RabbitMQ has them from 3.13 on"),
            filters
        ),
        Feature(
            "Stream protocol",
            "streams are read over AMQP 0-9-1",
            .notSupported("the binary stream protocol is another one"),
            reading
        ),
    ]

    /// A stream of so many messages, whose bodies are their numbers.
    private static func stream(_ lab: Lab, _ count: Int) async throws -> String {
        let stream = try await lab.durableQueue(QueueArguments(type: .stream))
        for number in 0..<count { try await lab.publish("\(number)", to: stream) }
        return stream
    }

    static func reading(_ lab: Lab) async throws {
        let stream = try await stream(lab, 5)
        for _ in 0..<2 {
            let channel = try await lab.openChannel()
            let consumer = try await channel.consume(
                stream,
                prefetch: 2,
                arguments: ConsumerArguments(streamOffset: .first)
            )
            for number in 0..<5 as Range<UInt64> {
                let delivery = try await consumer.required()
                #expect(delivery.text == "\(number)")
                #expect(delivery.properties.streamOffset == number)
                try channel.acknowledge(delivery.tag)
            }
            await channel.close()
        }
    }

    static func offsets(_ lab: Lab) async throws {
        let stream = try await stream(lab, 10)
        let table: [(offset: StreamOffset, first: Set<UInt64>)] = [
            (.first, [0]),
            (.offset(5), [5]),
            (.offset(9), [9]),
            // The last chunk has one message or more.
            (.last, Set(0...9)),
            (.timestamp(1_000_000_000), [0]),
            (.interval(.seconds(3600)), [0]),
            (.next, [10]),
        ]
        var consumers: [AMQPConsumer] = []
        for (offset, _) in table {
            consumers.append(
                try await lab.openChannel().consume(stream, arguments: ConsumerArguments(streamOffset: offset))
            )
        }
        try await lab.publish("10", to: stream)
        for (consumer, row) in zip(consumers, table) {
            let first = try await consumer.required()
            #expect(first.properties.streamOffset.map(row.first.contains) == true, "\(row.offset): \(first.text)")
        }
    }

    static func rules(_ lab: Lab) async throws {
        let stream = try await stream(lab, 1)
        let first = ConsumerArguments(streamOffset: .first)
        let unlimited = await failure { _ = try await lab.channel.consume(stream, prefetch: 0, arguments: first) }
        #expect(unlimited?.code == .invalidArgument)
        #expect(unlimited?.message.contains("prefetch = 0") == true)
        let unsettled = await failure { _ = try await lab.channel.consume(stream, noAck: true, arguments: first) }
        #expect(unsettled?.code == .invalidArgument)
        #expect(unsettled?.message.contains("noAck = true") == true)
        let nonsense = ConsumerArguments(streamOffset: .interval(.zero))
        #expect(await failure { _ = try await lab.channel.consume(stream, arguments: nonsense) } != nil)
        // Without the argument nothing is known of the queue's type, and the broker's answer is explained.
        let channel = try await lab.openChannel()
        let refused = await failure { _ = try await channel.consume(stream, prefetch: 0) }
        #expect(refused?.code == .preconditionFailed)
        #expect(refused?.reply?.advice?.contains("prefetch") == true)
        let connection = try await lab.connect()
        let pulling = try await connection.openChannel()
        let pulled = await failure { _ = try await pulling.get(stream) }
        #expect(pulled?.reply?.code == .notImplemented)
        #expect(pulled?.reply?.advice?.contains("consumer") == true)
    }

    static func retention(_ lab: Lab) async throws {
        let arguments = QueueArguments(
            type: .stream,
            maxLengthOctets: 200_000,
            maxAge: .seconds(3600),
            streamMaxSegmentOctets: 50_000
        )
        #expect(try arguments.fields()["x-max-age"] == "3600s")
        let stream = try await lab.durableQueue(arguments)
        let body = [UInt8](repeating: 1, count: 10_000)
        var published: UInt64 = 0
        try await eventually(within: .seconds(40), "the oldest segments are gone") {
            // Segments end between chunks, and a chunk is what arrives together. Another end makes the broker look.
            for _ in 0..<20 { try await lab.channel.publish(AMQPMessage(routingKey: stream, body: body)) }
            published += 20
            let channel = try await lab.openChannel()
            let consumer = try await channel.consume(
                stream,
                prefetch: 1,
                arguments: ConsumerArguments(streamOffset: .first)
            )
            let first = try #require(try await consumer.required().properties.streamOffset)
            await channel.close()
            #expect(first < published)
            return first > 0
        }
    }

    static func partitions(_ lab: Lab) async throws {
        let exchange = try await lab.exchange(.direct)
        var partitions: [String] = []
        for number in 0..<3 {
            let partition = try await stream(lab, 0)
            try await lab.channel.bindQueue(
                partition,
                to: exchange,
                routingKey: "\(number)",
                arguments: ["x-stream-partition-order": .int32(Int32(number))]
            )
            partitions.append(partition)
        }
        for number in 0..<6 { try await lab.publish("\(number)", to: "\(number % 3)", exchange: exchange) }
        for (number, partition) in partitions.enumerated() {
            let consumer = try await lab.channel.consume(
                partition,
                arguments: ConsumerArguments(streamOffset: .first)
            )
            #expect(try await consumer.texts(2) == ["\(number)", "\(number + 3)"])
        }
    }

    static func filters(_ lab: Lab) async throws {
        let stream = try await lab.durableQueue(QueueArguments(type: .stream, streamFilterOctets: 32))
        let arguments = ConsumerArguments(
            streamOffset: .first,
            streamFilter: ["invoices"],
            streamMatchUnfiltered: true
        )
        #expect(
            try arguments.fields() == [
                "x-stream-offset": "first", "x-stream-filter": ["invoices"], "x-stream-match-unfiltered": true,
            ]
        )
        try await lab.publish("unfiltered", to: stream)
        let consumer = try await lab.channel.consume(stream, arguments: arguments)
        #expect(try await consumer.texts(1) == ["unfiltered"])
        let creditless = await failure {
            _ = try await lab.channel.consume(
                stream,
                prefetch: 0,
                arguments: ConsumerArguments(streamFilter: ["invoices"])
            )
        }
        #expect(creditless?.code == .invalidArgument)
        #expect(creditless?.message.contains("x-stream-filter") == true)
        let error = await failure {
            _ = try await lab.durableQueue(QueueArguments(type: .stream, streamFilterOctets: 8))
        }
        #expect(error?.message.contains("x-stream-filter-size-bytes = 8") == true)
    }
}

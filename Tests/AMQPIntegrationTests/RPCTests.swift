import Testing
import Transport

@testable import AMQP

/// Both ways in which replies find their client.
private let addresses: [RPCClient.Options.ReplyAddress] = [.direct, .exclusiveQueue]

private func options(
    _ address: RPCClient.Options.ReplyAddress = .direct,
    _ change: (inout RPCClient.Options) -> Void = { _ in }
) -> RPCClient.Options {
    var options = RPCClient.Options()
    options.replyAddress = address
    change(&options)
    return options
}

/// Answers a request that a test has taken from the queue itself.
private func reply(
    to request: AMQPDelivery,
    _ body: [UInt8],
    correlationID: String? = nil,
    on channel: AMQPChannel
) async throws {
    var properties = BasicProperties()
    properties.correlationID = correlationID ?? request.properties.correlationID
    let replyTo = try #require(request.properties.replyTo)
    try await channel.publish(
        AMQPMessage(routingKey: replyTo, properties: properties, body: body, isMandatory: false)
    )
}

@Suite(
    "Remote procedure calls: the client",
    .tags(.integration),
    .enabled(if: TestBroker.url != nil, "set RABBITMQ_URL"),
    .timeLimit(.minutes(1))
)
struct RPCClientTests {
    @Test("A thousand calls at once each get their own reply, in whatever order replies come", arguments: addresses)
    fileprivate func outOfOrder(_ address: RPCClient.Options.ReplyAddress) async throws {
        let count = 1000
        try await TestBroker.withQueue { server, queue in
            try await server.connection.withRPCClient(options(address)) { client in
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<count {
                        group.addTask {
                            let octets = [UInt8(number & 255), UInt8(number >> 8)]
                            return try await client.call(queue, octets).body == octets.reversed()
                        }
                    }
                    let consumer = try await server.consume(queue, prefetch: 0, noAck: true)
                    var requests: [AMQPDelivery] = []
                    while requests.count < count { requests.append(try await consumer.required()) }
                    #expect(client.statistics.outstanding == count)
                    for request in requests.shuffled() {
                        try await reply(to: request, request.body.reversed(), on: server)
                    }
                    for try await isRight in group { #expect(isRight) }
                }
                #expect(client.statistics == .init(outstanding: 0, waiting: 0, lateReplies: 0, unknownReplies: 0))
            }
        }
    }

    @Test("A call ends at its deadline; the reply that comes later is dropped", arguments: addresses)
    fileprivate func late(_ address: RPCClient.Options.ReplyAddress) async throws {
        try await TestBroker.withQueue { server, queue in
            try await server.connection.withRPCClient(options(address)) { client in
                let consumer = try await server.consume(queue, noAck: true)
                let error = await failure { _ = try await client.call(queue, [1], timeout: .milliseconds(50)) }
                #expect(error?.code == .timedOut)
                #expect(error?.isOutcomeUnknown == true)
                let late = try await consumer.required()
                try await reply(to: late, [1], on: server)
                // Replies keep their order, so once this one has come, the late one has, too.
                async let second = client.call(queue, [2])
                try await reply(to: try await consumer.required(), [22], on: server)
                let secondReply = try await second
                #expect(secondReply.body == [22])
                #expect(client.statistics.lateReplies == 1)
            }
        }
    }

    @Test("Replies with an unknown correlation id are dropped and disturb nobody", arguments: addresses)
    fileprivate func unknown(_ address: RPCClient.Options.ReplyAddress) async throws {
        try await TestBroker.withQueue { server, queue in
            try await server.connection.withRPCClient(options(address)) { client in
                let consumer = try await server.consume(queue, noAck: true)
                async let call = client.call(queue, [1])
                let request = try await consumer.required()
                try await reply(to: request, [66], correlationID: "somebody else's", on: server)
                try await reply(to: request, [11], on: server)
                let answer = try await call
                #expect(answer.body == [11])
                #expect(client.statistics.unknownReplies == 1)
            }
        }
    }

    @Test("Direct replies and deliveries share a channel, though RabbitMQ gives them the same numbers")
    func sharedChannel() async throws {
        try await TestBroker.withQueue { channel, queue in
            let replies = try await channel.consume("amq.rabbitmq.reply-to", noAck: true)
            let server = try await channel.connection.openChannel()
            let requests = try await server.consume(queue)
            let other = try await channel.declareQueue(durable: false, exclusive: true).name
            let consumer = try await channel.consume(other)
            var properties = BasicProperties()
            properties.replyTo = "amq.rabbitmq.reply-to"
            for number in 0..<3 as Range<UInt8> {
                try await channel.publish(AMQPMessage(routingKey: queue, properties: properties, body: [number]))
                let request = try await requests.required()
                try await reply(to: request, [number], on: server)
                let answer = try await replies.required()
                #expect(answer.body == [number])
                try await channel.publish(AMQPMessage(routingKey: other, body: [number]))
                let delivery = try await consumer.required()
                // Means nothing, and so does not settle the delivery of the same number either.
                try channel.acknowledge(answer.tag)
                try channel.reject(delivery.tag, requeue: true)
                let again = try await consumer.required()
                #expect(again.isRedelivered)
                try channel.acknowledge(again.tag)
            }
        }
    }

    @Test("Calling a queue that does not exist fails at once")
    func noQueue() async throws {
        try await TestBroker.withConnection { connection in
            try await connection.withRPCClient { client in
                let error = await failure { _ = try await client.call(TestBroker.uniqueName("nowhere"), []) }
                #expect(error?.code == .returned)
                #expect(error?.isOutcomeUnknown == false)
                #expect(client.statistics.outstanding == 0)
            }
        }
    }

    @Test("A request that no server takes by its deadline is dropped by the broker")
    func expired() async throws {
        try await TestBroker.withQueue { channel, queue in
            try await channel.connection.withRPCClient { client in
                let error = await failure { _ = try await client.call(queue, [1], timeout: .milliseconds(50)) }
                #expect(error?.code == .timedOut)
            }
            while try await channel.declareQueue(queue, passive: true, durable: false, exclusive: true).messageCount > 0
            {}
        }
    }

    @Test("Past the limit calls wait for others to end, or for their deadline")
    func bounded() async throws {
        try await TestBroker.withQueue { server, queue in
            try await server.connection.withRPCClient(options { $0.maximumOutstanding = 1 }) { client in
                let consumer = try await server.consume(queue, noAck: true)
                async let first = client.call(queue, [1])
                let request = try await consumer.required()
                let error = await failure { _ = try await client.call(queue, [2], timeout: .milliseconds(20)) }
                #expect(error?.code == .timedOut)
                #expect(error?.isOutcomeUnknown == false)
                async let third = client.call(queue, [3])
                while client.statistics.waiting == 0 { await Task.yield() }
                #expect(consumer.takeAvailable().isEmpty)
                try await reply(to: request, [11], on: server)
                let firstReply = try await first
                #expect(firstReply.body == [11])
                let next = try await consumer.required()
                #expect(next.body == [3])
                try await reply(to: next, [33], on: server)
                let thirdReply = try await third
                #expect(thirdReply.body == [33])
            }
        }
    }

    @Test("Cancelling ends the wait, and the reply is dropped as late")
    func cancelled() async throws {
        try await TestBroker.withQueue { server, queue in
            try await server.connection.withRPCClient { client in
                let consumer = try await server.consume(queue, noAck: true)
                let first = try await withThrowingTaskGroup(of: AMQPError?.self) { group in
                    group.addTask { await failure { _ = try await client.call(queue, [1]) } }
                    let request = try await consumer.required()
                    group.cancelAll()
                    #expect(try await group.next()??.code == .cancelled)
                    return request
                }
                #expect(client.statistics.outstanding == 0)
                try await reply(to: first, [11], on: server)
                async let second = client.call(queue, [2])
                try await reply(to: try await consumer.required(), [22], on: server)
                let secondReply = try await second
                #expect(secondReply.body == [22])
                #expect(client.statistics.lateReplies == 1)
            }
        }
    }

    @Test("The loss of the connection fails all outstanding calls, and says that their outcome is unknown")
    func connectionLost() async throws {
        try await TestBroker.withQueue { server, queue in
            let own = try await TestBroker.connect()
            let consumer = try await server.consume(queue, noAck: true)
            let errors = try await withThrowingTaskGroup(of: [AMQPError?].self) { group in
                group.addTask {
                    try await own.withRPCClient { client in
                        var errors = await withTaskGroup(of: AMQPError?.self) { calls in
                            for _ in 0..<5 {
                                calls.addTask { await failure { _ = try await client.call(queue, []) } }
                            }
                            return await calls.reduce(into: []) { $0.append($1) }
                        }
                        errors.append(await failure { _ = try await client.call(queue, []) })
                        return errors
                    }
                }
                for _ in 0..<5 { _ = try await consumer.required() }
                own.loop.execute {
                    own.assumeIsolated { $0.stream.abort(TransportError(.closed, "cut by the test")) }
                }
                return try await group.next() ?? []
            }
            #expect(errors.count == 6)
            #expect(errors.allSatisfy { $0?.code == .connectionLost })
            #expect(errors.map { $0?.isOutcomeUnknown } == [true, true, true, true, true, false])
        }
    }

    @Test("The end of the scope ends calls that still run, and takes the reply queue along", arguments: addresses)
    fileprivate func scope(_ address: RPCClient.Options.ReplyAddress) async throws {
        try await TestBroker.withQueue { server, queue in
            let consumer = try await server.consume(queue, noAck: true)
            try await withThrowingTaskGroup(of: AMQPError?.self) { group in
                let replyTo = try await server.connection.withRPCClient(options(address)) { client in
                    group.addTask { await failure { _ = try await client.call(queue, []) } }
                    return try #require(try await consumer.required().properties.replyTo)
                }
                let error = try await group.next() ?? nil
                #expect(error?.code == .closed)
                if address == .exclusiveQueue {
                    let other = try await server.connection.openChannel()
                    let missing = await failure { _ = try await other.declareQueue(replyTo, passive: true) }
                    #expect(missing?.code == .notFound)
                }
            }
        }
    }
}

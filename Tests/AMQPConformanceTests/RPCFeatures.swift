import Testing

@testable import AMQP

enum RPCFeatures {
    static let all = [
        Feature("Calls", "many at once find their own replies, over direct reply-to and a queue of one's own", calls),
        Feature("Unanswered calls", "end at their deadline", unanswered),
        Feature("Calls that nobody serves", "fail at once, without waiting for the deadline", unserved),
    ]

    static func calls(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        let requests = try await lab.openChannel().consume(queue)
        for address in [.direct, .exclusiveQueue] as [RPCClient.Options.ReplyAddress] {
            var options = RPCClient.Options()
            options.replyAddress = address
            try await lab.connection.withRPCClient(options) { client in
                try await withThrowingTaskGroup { group in
                    for number in 0..<50 as Range<UInt8> {
                        group.addTask {
                            let reply = try await client.call(queue, [number])
                            #expect(reply.body == [number, 1])
                        }
                    }
                    for _ in 0..<50 {
                        let request = try await requests.required()
                        var properties = BasicProperties()
                        properties.correlationID = request.properties.correlationID
                        let address = try #require(request.properties.replyTo)
                        try await lab.channel.publish(
                            AMQPMessage(
                                routingKey: address,
                                properties: properties,
                                body: request.body + [1],
                                isMandatory: false
                            )
                        )
                        try requests.channel.acknowledge(request.tag)
                    }
                    try await group.waitForAll()
                }
            }
        }
    }

    static func unanswered(_ lab: Lab) async throws {
        let queue = try await lab.queue()
        try await lab.connection.withRPCClient { client in
            let error = await failure { _ = try await client.call(queue, [1], timeout: .milliseconds(100)) }
            #expect(error?.code == .timedOut)
        }
    }

    static func unserved(_ lab: Lab) async throws {
        try await lab.connection.withRPCClient { client in
            let error = await failure { _ = try await client.call(lab.unique("nobody"), [1]) }
            #expect(error?.code == .returned)
        }
    }
}

import Synchronization
import Testing

@testable import AMQP

@Suite(
    "Remote procedure calls: the server",
    .tags(.integration),
    .enabled(if: TestBroker.url != nil, "set RABBITMQ_URL"),
    .timeLimit(.minutes(1))
)
struct RPCServerTests {
    /// A client, and a server that runs beside it.
    private func withServer(
        prefetch: UInt16 = 16,
        _ handler: @escaping RPCServer.Handler,
        _ body: (RPCClient, RPCServer, String) async throws -> Void
    ) async throws {
        try await TestBroker.withQueue { channel, queue in
            var options = RPCServer.Options()
            options.prefetch = prefetch
            let server = RPCServer(connection: channel.connection, queue: queue, options: options, handler: handler)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.run() }
                try await channel.connection.withRPCClient { client in try await body(client, server, queue) }
                await server.shutDown()
                try await group.waitForAll()
            }
        }
    }

    @Test("Answers many calls, several at once")
    func answers() async throws {
        try await withServer {
            RPCReply($0.body.reversed())
        } _: { client, server, queue in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<100 as Range<UInt8> {
                    group.addTask { try await client.call(queue, [number, 1]).body == [1, number] }
                }
                for try await isRight in group { #expect(isRight) }
            }
            #expect(client.statistics.lateReplies + client.statistics.unknownReplies == 0)
        }
    }

    @Test("Handles no more requests at once than the prefetch says")
    func bounded() async throws {
        let running = Atomic(0)
        let most = Atomic(0)
        try await withServer(prefetch: 3) { request in
            most.max(running.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
            for _ in 0..<10 { await Task.yield() }
            running.subtract(1, ordering: .relaxed)
            return RPCReply(request.body)
        } _: { client, _, queue in
            try await withThrowingDiscardingTaskGroup { group in
                for _ in 0..<50 { group.addTask { _ = try await client.call(queue, []) } }
            }
        }
        #expect((1...3).contains(most.load(ordering: .relaxed)))
    }

    @Test("A failure that the handler throws reaches the caller, text and all")
    func failures() async throws {
        let told = RPCFailure(kind: "NoSuchFruit", message: "we sell apples")
        try await withServer { request in
            if request.body == [1] { throw told }
            throw AMQPError(.accessRefused, "an internal matter")
        } _: { client, server, queue in
            let first = await failure { _ = try await client.call(queue, [1]) }
            #expect(first?.code == .remoteFailure)
            #expect(first?.rpcFailure == told)
            #expect(first?.isOutcomeUnknown == false)
            let second = await failure { _ = try await client.call(queue, [2]) }
            #expect(second?.rpcFailure?.kind == "AMQPError")
            #expect(second?.rpcFailure?.message.contains("internal") == false)
        }
    }

    @Test("A reply that cannot be sent fails the call instead of leaving its caller waiting")
    func unsendable() async throws {
        try await withServer { _ in
            var properties = BasicProperties()
            properties.type = String(repeating: "x", count: 300)
            return RPCReply([], properties: properties)
        } _: { client, _, queue in
            let error = await failure { _ = try await client.call(queue, []) }
            #expect(error?.rpcFailure?.kind == "InvalidReply")
        }
    }

    @Test("A request whose server stops while handling it is carried out by the next, marked as redelivered")
    func serverGone() async throws {
        try await TestBroker.withQueue { channel, queue in
            let (taken, hasTaken) = AsyncStream.makeStream(of: Void.self)
            let server = RPCServer(connection: channel.connection, queue: queue) { request in
                RPCReply(request.body + [request.isRedelivered ? 1 : 0])
            }
            try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
                group.addTask {
                    try await channel.connection.withRPCClient { try await $0.call(queue, [7]).body }
                }
                await withTaskGroup(of: Void.self) { first in
                    first.addTask {
                        let error = await failure {
                            try await channel.connection.serve(queue) { _ in
                                hasTaken.yield()
                                try await Task.sleep(for: .seconds(600))
                                return RPCReply([0])
                            }
                        }
                        #expect(error?.code == .cancelled)
                    }
                    for await _ in taken { break }
                    first.cancelAll()
                }
                group.addTask {
                    try await server.run()
                    return nil
                }
                let answer = try await group.next() ?? nil
                #expect(answer == [7, 1])
                await server.shutDown()
                try await group.waitForAll()
            }
        }
    }

    @Test("Counts a reply that nobody takes, and does not carry the request out again")
    func unclaimed() async throws {
        try await TestBroker.withQueue { channel, queue in
            let server = RPCServer(connection: channel.connection, queue: queue) { RPCReply($0.body) }
            var properties = BasicProperties()
            properties.replyTo = TestBroker.uniqueName("gone")
            try await channel.publish(AMQPMessage(routingKey: queue, properties: properties, body: [1]))
            try await channel.publish(AMQPMessage(routingKey: queue, body: [2]))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.run() }
                while server.statistics.answered < 2 { try await Task.sleep(for: .milliseconds(1)) }
                await server.shutDown()
                try await group.waitForAll()
            }
            #expect(server.statistics == .init(answered: 2, failed: 0, unclaimed: 1))
            let left = try await channel.get(queue)
            #expect(left == nil)
        }
    }

    @Test("Shutting down answers what was taken, and leaves the rest in the queue")
    func shutDown() async throws {
        try await TestBroker.withQueue { channel, queue in
            let (started, hasStarted) = AsyncStream.makeStream(of: Void.self)
            let (released, release) = AsyncStream.makeStream(of: Never.self)
            var options = RPCServer.Options()
            options.prefetch = 1
            let server = RPCServer(connection: channel.connection, queue: queue, options: options) { request in
                hasStarted.yield()
                for await _ in released {}
                return RPCReply(request.body)
            }
            try await channel.connection.withRPCClient { client in
                async let first = client.call(queue, [1])
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await server.run() }
                    for await _ in started { break }
                    try await channel.publish(AMQPMessage(routingKey: queue, body: [2]))
                    await server.shutDown()
                    release.finish()
                    try await group.waitForAll()
                }
                let firstReply = try await first
                #expect(firstReply.body == [1])
            }
            let left = try await channel.get(queue, noAck: true)
            #expect(left?.body == [2])
        }
    }

    @Test("A server for a queue that is missing says so")
    func missing() async throws {
        try await TestBroker.withConnection { connection in
            let error = await failure {
                try await connection.serve(TestBroker.uniqueName("nowhere")) { RPCReply($0.body) }
            }
            #expect(error?.code == .notFound)
        }
    }
}

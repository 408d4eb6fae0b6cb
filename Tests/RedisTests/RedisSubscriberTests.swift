import Redis
import Testing

@Suite(
    "Redis subscriber",
    .tags(.integration),
    .enabled(if: TestServer.url != nil, "set REDIS_URL"),
    .timeLimit(.minutes(1))
)
struct RedisSubscriberTests {
    func withSubscriber(
        _ configuration: RedisConfiguration? = nil,
        _ body: (RedisSubscriber, RedisClient, String) async throws -> Void
    ) async throws {
        let configuration = try configuration ?? TestServer.configuration()
        let subscriber = RedisSubscriber(configuration)
        do {
            try await TestServer.withClient(configuration) { try await body(subscriber, $0, $1) }
        } catch {
            await subscriber.close()
            throw error
        }
        await subscriber.close()
    }

    func listeners(_ redis: RedisClient, _ channel: String) async throws -> Int? {
        try await redis.send(RedisCommand("PUBSUB", "NUMSUB", channel)).array?.last?.integer
    }

    @Test("Is listening once subscribing has returned")
    func confirmed() async throws {
        try await withSubscriber { subscriber, redis, prefix in
            let subscription = try await subscriber.subscribe(to: prefix + "c")
            #expect(try await redis.send(RedisCommand("PUBLISH", prefix + "c", "hi")) == .integer(1))
            #expect(try await subscription.next(within: .seconds(5)) == .message(Array("hi".utf8)))
            #expect(try await subscription.next(within: .milliseconds(1)) == nil)
        }
    }

    @Test("Listeners of one channel share it; the last to leave gives it up")
    func sharing() async throws {
        try await withSubscriber { subscriber, redis, prefix in
            let channel = prefix + "c"
            let first = try await subscriber.subscribe(to: channel)
            do {
                let second = try await subscriber.subscribe(to: channel)
                #expect(try await redis.send(RedisCommand("PUBLISH", channel, "x")) == .integer(1))
                #expect(try await first.next(within: .seconds(5)) == .message([120]))
                #expect(try await second.next(within: .seconds(5)) == .message([120]))
            }
            #expect(try await listeners(redis, channel) == 1)
            first.cancel()
            await #expect { try await first.next() } throws: { ($0 as? RedisError)?.code == .closed }
            try await TestServer.eventually { try await listeners(redis, channel) == 0 }
        }
    }

    @Test("Thousands of short subscriptions come and go")
    func many() async throws {
        try await withSubscriber { subscriber, redis, prefix in
            let received = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<3_000 {
                    group.addTask {
                        let channel = "\(prefix)\(number)"
                        let subscription = try await subscriber.subscribe(to: channel)
                        _ = try await redis.send(RedisCommand("PUBLISH", channel, number))
                        return try await subscription.next(within: .seconds(20)) == .message(Array("\(number)".utf8))
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(received == 3_000)
            try await TestServer.eventually {
                try await redis.send(RedisCommand("PUBSUB", "CHANNELS", prefix + "*")) == .array([])
            }
        }
    }

    @Test("Comes back after the server has dropped it, and tells its listeners")
    func reconnection() async throws {
        var configuration = try TestServer.configuration()
        configuration.clientName = "celeriac-kill"
        try await withSubscriber(configuration) { subscriber, redis, prefix in
            let subscription = try await subscriber.subscribe(to: prefix + "c")
            let clients = try await redis.send(RedisCommand("CLIENT", "LIST", "TYPE", "pubsub")).string ?? ""
            let line = clients.split(separator: "\n").first { $0.contains("name=celeriac-kill ") }
            let id = try #require(line?.split(separator: " ").first?.dropFirst(3))
            _ = try await redis.send(RedisCommand("CLIENT", "KILL", "TYPE", "pubsub", "ID", String(id)))
            #expect(try await subscription.next(within: .seconds(10)) == .resubscribed)
            _ = try await redis.send(RedisCommand("PUBLISH", prefix + "c", "hi"))
            #expect(try await subscription.next(within: .seconds(10)) == .message(Array("hi".utf8)))
        }
    }

    @Test("A listener that does not take its messages loses the oldest and is told how many")
    func overflow() async throws {
        try await withSubscriber { subscriber, redis, prefix in
            let subscription = try await subscriber.subscribe(to: prefix + "c", buffer: 2)
            let witness = try await subscriber.subscribe(to: prefix + "c")
            for text in ["a", "b", "c", "d"] { _ = try await redis.send(RedisCommand("PUBLISH", prefix + "c", text)) }
            for _ in 0..<4 { _ = try await witness.next(within: .seconds(5)) }
            #expect(try await subscription.next() == .dropped(2))
            #expect(try await subscription.next() == .message(Array("c".utf8)))
            #expect(try await subscription.next() == .message(Array("d".utf8)))
        }
    }

    @Test("A cancelled wait ends, and the next one goes on")
    func cancellation() async throws {
        try await withSubscriber { subscriber, redis, prefix in
            let subscription = try await subscriber.subscribe(to: prefix + "c")
            let wait = Task { try await subscription.next() }
            wait.cancel()
            await #expect { try await wait.value } throws: { ($0 as? RedisError)?.code == .cancelled }
            _ = try await redis.send(RedisCommand("PUBLISH", prefix + "c", "x"))
            #expect(try await subscription.next(within: .seconds(5)) == .message([120]))
        }
    }

    @Test("Iteration ends when the subscriber is closed")
    func iteration() async throws {
        try await withSubscriber { subscriber, redis, prefix in
            let subscription = try await subscriber.subscribe(to: prefix + "c")
            for text in ["a", "b"] { _ = try await redis.send(RedisCommand("PUBLISH", prefix + "c", text)) }
            var events: [RedisSubscription.Event] = []
            for try await event in subscription {
                events.append(event)
                if events.count == 2 { await subscriber.close() }
            }
            #expect(events == [.message([97]), .message([98])])
            await #expect { try await subscriber.subscribe(to: "x") } throws: {
                ($0 as? RedisError)?.code == .closed
            }
        }
    }

    @Test("A channel that the user may not read is refused")
    func permission() async throws {
        try await TestServer.withClient { admin, prefix in
            let user = String(prefix.filter(\.isLetter))
            _ = try await admin.send(
                RedisCommand("ACL", "SETUSER", user, "on", ">pw", "+@all", "resetchannels", "&\(prefix)ok")
            )
            var configuration = try TestServer.configuration()
            configuration.url.user = user
            configuration.url.password = "pw"
            let subscriber = RedisSubscriber(configuration)
            await #expect { try await subscriber.subscribe(to: prefix + "no") } throws: {
                ($0 as? RedisError)?.code == .notPermitted
            }
            _ = try await subscriber.subscribe(to: prefix + "ok")
            await subscriber.close()
            _ = try await admin.send(RedisCommand("ACL", "DELUSER", user))
        }
    }
}

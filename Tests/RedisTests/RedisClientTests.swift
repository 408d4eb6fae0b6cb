import Redis
import Testing

@Suite(
    "Redis client",
    .tags(.integration),
    .enabled(if: TestServer.url != nil, "set REDIS_URL"),
    .timeLimit(.minutes(1))
)
struct RedisClientTests {
    @Test("Sends commands and reads every kind of reply")
    func commands() async throws {
        try await TestServer.withClient { redis, prefix in
            let payload: [UInt8] = [0, 13, 10, 255]
            #expect(try await redis.send(RedisCommand("SET", prefix + "k", payload, "EX", 60)) == .simple("OK"))
            #expect(try await redis.send(RedisCommand("GET", prefix + "k")) == .bulk(payload))
            #expect(try await redis.send(RedisCommand("GET", prefix + "none")).isNull)
            #expect(try await redis.send(RedisCommand("RPUSH", prefix + "l", "a", "b")) == .integer(2))
            #expect(
                try await redis.send(RedisCommand("LRANGE", prefix + "l", 0, -1))
                    == .array([.bulk([97]), .bulk([98])])
            )
            let error = await #expect(throws: RedisError.self) {
                try await redis.send(RedisCommand("INCR", prefix + "l"))
            }
            #expect(error?.code == .command && error?.message.hasPrefix("WRONGTYPE") == true)
            _ = try await redis.send(RedisCommand("DEL", prefix + "k", prefix + "l"))
        }
    }

    @Test("Carries values of many megabytes in both directions")
    func bigValues() async throws {
        try await TestServer.withClient { redis, prefix in
            let payload = (0..<20_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let replies = try await redis.pipeline([
                RedisCommand("SET", prefix + "big", payload, "EX", 60), RedisCommand("GET", prefix + "big"),
                RedisCommand("DEL", prefix + "big"),
            ])
            #expect(replies == [.simple("OK"), .bulk(payload), .integer(1)])
        }
    }

    @Test("A pipeline keeps its order, with errors as values in their places")
    func pipeline() async throws {
        try await TestServer.withClient { redis, prefix in
            let replies = try await redis.pipeline([
                RedisCommand("SET", prefix + "n", 1, "EX", 60), RedisCommand("NONSENSE"),
                RedisCommand("INCR", prefix + "n"),
            ])
            #expect(replies.count == 3 && replies[0] == .simple("OK") && replies[2] == .integer(2))
            guard case .error = replies[1] else {
                Issue.record("no error value: \(replies[1])")
                return
            }
            #expect(try await redis.pipeline([]) == [])
        }
    }

    @Test("Ten thousand concurrent callers each get their own answer")
    func concurrency() async throws {
        try await TestServer.withClient { redis, _ in
            let sum = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<10_000 {
                    group.addTask { try await redis.send(RedisCommand("ECHO", number)).integer == number }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(sum == 10_000)
        }
    }

    @Test("Back-pressure holds more callers than the window, and refuses more than the bound")
    func bounds() async throws {
        var configuration = try TestServer.configuration()
        configuration.maximumInFlight = 3
        configuration.maximumWaiting = 500
        try await TestServer.withClient(configuration) { redis, _ in
            _ = try await redis.send(RedisCommand("PING"))
            let outcomes = await withTaskGroup(of: RedisError.Code?.self) { group in
                for number in 0..<2_000 {
                    group.addTask {
                        do {
                            let reply = try await redis.send(RedisCommand("ECHO", number))
                            return reply.integer == number ? nil : .unexpectedReply
                        } catch {
                            return (error as? RedisError)?.code ?? .command
                        }
                    }
                }
                return await group.reduce(into: [RedisError.Code?]()) { $0.append($1) }
            }
            #expect(outcomes.allSatisfy { $0 == nil || $0 == .overloaded })
            #expect(outcomes.filter { $0 == nil }.count >= 500)
        }
    }

    @Test("A transaction runs as a whole, or not at all")
    func transaction() async throws {
        try await TestServer.withClient { redis, prefix in
            let key = prefix + "t"
            let replies = try await redis.transaction([
                RedisCommand("INCR", key), RedisCommand("INCR", key), RedisCommand("DEL", key),
            ])
            #expect(replies == [.integer(1), .integer(2), .integer(1)])
            let error = await #expect(throws: RedisError.self) {
                try await redis.transaction([RedisCommand("INCR", key), RedisCommand("NONSENSE")])
            }
            #expect(error?.code == .transactionAborted)
            #expect(try await redis.send(RedisCommand("EXISTS", key)) == .integer(0))
        }
    }

    @Test("Scripts run by digest, and again after the server has forgotten them")
    func scripts() async throws {
        try await TestServer.withClient { redis, prefix in
            let script = RedisScript("return {KEYS[1], ARGV[1], '\(prefix)'}")
            let expected: RESPValue = .array([.bulk([107]), .bulk([55]), .bulk(Array(prefix.utf8))])
            #expect(try await redis.evaluate(script, keys: ["k"], arguments: [7]) == expected)
            #expect(try await redis.evaluate(script, keys: ["k"], arguments: [7]) == expected)
            _ = try await redis.send(RedisCommand("SCRIPT", "FLUSH"))
            #expect(try await redis.evaluate(script, keys: ["k"], arguments: [7]) == expected)
            #expect(try await redis.pipeline([script.command(keys: ["k"], arguments: [7])]) == [expected])
        }
    }

    @Test("Cancelling ends the wait only, and shifts nobody's answer")
    func cancellation() async throws {
        try await TestServer.withClient { redis, prefix in
            let blocked = Task { try await redis.send(RedisCommand("BLPOP", prefix + "none", "0.3")) }
            let behind = Task { try await redis.send(RedisCommand("ECHO", "behind")).string }
            blocked.cancel()
            await #expect { try await blocked.value } throws: { ($0 as? RedisError)?.code == .cancelled }
            #expect(try await behind.value == "behind")
            let after = try await redis.send(RedisCommand("ECHO", "after")).string
            #expect(after == "after")
        }
    }

    @Test("A late answer is swallowed, and the connection lives on")
    func lateAnswer() async throws {
        try await TestServer.withClient { redis, prefix in
            let before = try await redis.send(RedisCommand("CLIENT", "ID"))
            let error = await #expect(throws: RedisError.self) {
                try await redis.send(RedisCommand("BLPOP", prefix + "none", "0.3"), timeout: .milliseconds(50))
            }
            #expect(error?.code == .timedOut && error?.mayHaveExecuted == true)
            #expect(try await redis.send(RedisCommand("ECHO", "x")).string == "x")
            #expect(try await redis.send(RedisCommand("CLIENT", "ID")) == before)
        }
    }

    @Test("A connection that answers nothing after a timeout is given up and replaced")
    func muteConnection() async throws {
        var configuration = try TestServer.configuration()
        configuration.suspectGrace = .milliseconds(100)
        try await TestServer.withClient(configuration) { redis, prefix in
            try await TestServer.withClient { other, _ in
                let before = try #require(try await redis.send(RedisCommand("CLIENT", "ID")).integer)
                async let lost = redis.send(RedisCommand("BLPOP", prefix + "none", 30), timeout: .seconds(20))
                try await TestServer.eventually {
                    try await other.send(RedisCommand("CLIENT", "LIST", "ID", before)).string?.contains("cmd=blpop")
                        == true
                }
                async let repeated = redis.send(RedisCommand("ECHO", "again"), retry: .idempotent)
                let stuck = RedisCommand("BLPOP", prefix + "none2", 30)
                await #expect { try await redis.send(stuck, timeout: .milliseconds(50)) } throws: {
                    ($0 as? RedisError)?.code == .timedOut
                }
                _ = try await repeated
                let after = try await redis.send(RedisCommand("CLIENT", "ID"), retry: .idempotent).integer
                #expect(before != after)
                do {
                    _ = try await lost
                    Issue.record("a lost command succeeded")
                } catch {
                    #expect((error as? RedisError)?.code == .outcomeUnknown)
                }
            }
        }
    }

    @Test("Reconnects after being killed, and repeats what may be repeated")
    func killed() async throws {
        try await TestServer.withClient { redis, prefix in
            try await TestServer.withClient { other, _ in
                let id = try #require(try await redis.send(RedisCommand("CLIENT", "ID")).integer)
                _ = try await redis.send(RedisCommand("RPUSH", prefix + "l", "x"))
                let blocked = RedisCommand("BLPOP", prefix + "none", 5)
                async let lost = redis.send(blocked)
                try await TestServer.eventually {
                    try await other.send(RedisCommand("CLIENT", "LIST", "ID", id)).string?.contains("cmd=blpop") == true
                }
                async let repeated = redis.send(RedisCommand("LLEN", prefix + "l"), retry: .idempotent)
                _ = try await other.send(RedisCommand("CLIENT", "KILL", "ID", id))
                #expect(try await repeated == .integer(1))
                do {
                    _ = try await lost
                    Issue.record("a lost command succeeded")
                } catch {
                    #expect((error as? RedisError)?.code == .outcomeUnknown)
                    #expect((error as? RedisError)?.mayHaveExecuted == true)
                }
                _ = try await redis.send(RedisCommand("DEL", prefix + "l"))
            }
        }
    }

    @Test("Selects its database and gives its name")
    func greeting() async throws {
        var configuration = try TestServer.configuration()
        configuration.url.database = 9
        configuration.clientName = "celeriac-test"
        try await TestServer.withClient(configuration) { redis, _ in
            let info = try #require(try await redis.send(RedisCommand("CLIENT", "INFO")).string)
            #expect(info.contains("db=9 ") && info.contains("name=celeriac-test "))
        }
    }

    @Test("Authenticates as an ACL user; wrong credentials fail at once and show no secret")
    func authentication() async throws {
        try await TestServer.withClient { admin, prefix in
            let user = String(prefix.filter(\.isLetter))
            _ = try await admin.send(
                RedisCommand("ACL", "SETUSER", user, "on", ">canary pw", "+@all", "~*", "-get", "-ping")
            )
            var configuration = try TestServer.configuration()
            configuration.url.user = user
            configuration.url.password = "canary pw"
            try await TestServer.withClient(configuration) { redis, _ in
                let name = try await redis.send(RedisCommand("ACL", "WHOAMI")).string
                #expect(name == user)
                await #expect { try await redis.send(RedisCommand("GET", "x")) } throws: {
                    ($0 as? RedisError)?.code == .notPermitted
                }
            }
            configuration.url.password = "canary wrong"
            configuration.backoff.cap = .seconds(60)
            try await TestServer.withClient(configuration) { redis, _ in
                for _ in 0..<3 {
                    let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("PING")) }
                    #expect(error?.code == .authentication)
                    #expect(error?.description.contains("canary") == false)
                }
            }
            _ = try await admin.send(RedisCommand("ACL", "DELUSER", user))
        }
    }

    @Test("A database that the server does not have fails at once, and so does a name that it does not accept")
    func badGreetings() async throws {
        var configuration = try TestServer.configuration()
        configuration.url.database = 1_000_000
        try await TestServer.withClient(configuration) { redis, _ in
            let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("PING")) }
            #expect(error?.code == .invalidDatabase && error?.message.contains("out of range") == true)
        }
        configuration = try TestServer.configuration()
        configuration.clientName = "two words"
        try await TestServer.withClient(configuration) { redis, _ in
            let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("PING")) }
            #expect(error?.code == .invalidClientName)
        }
    }

    @Test("A closed client refuses commands")
    func closed() async throws {
        let redis = RedisClient(try TestServer.configuration())
        _ = try await redis.send(RedisCommand("PING"))
        await redis.close()
        await #expect { try await redis.send(RedisCommand("PING")) } throws: { ($0 as? RedisError)?.code == .closed }
        await redis.close()
    }

    @Test("A single connection reports its end and stays ended")
    func connection() async throws {
        let connection = try await RedisConnection.connect(try TestServer.configuration())
        #expect(try await connection.send(RedisCommand("ECHO", "x")).string == "x")
        #expect(try await connection.transaction([RedisCommand("ECHO", "y")]) == [.bulk([121])])
        // The reply still arrives before the server hangs up.
        #expect(try await connection.send(RedisCommand("QUIT")) == .simple("OK"))
        try await TestServer.eventually {
            do {
                _ = try await connection.send(RedisCommand("PING"))
                return false
            } catch {
                return (error as? RedisError)?.code == .connectionLost
            }
        }
        await connection.close()
    }
}

import Redis
import Testing

@Suite("Redis client and a server with a script", .timeLimit(.minutes(1)))
struct MisbehavingServerTests {
    @Test(
        "A command refused for now is repeated on the same connection, after a wait",
        arguments: ["-LOADING soon\r\n", "-BUSY script\r\n"]
    )
    func repeatHere(_ refusal: String) async throws {
        let attempts = Counter()
        try await ScriptedServer.with { _, _ in
            attempts.next() < 4 ? ScriptedServer.Answer(refusal) : "+done\r\n"
        } _: { server in
            try await TestServer.withClient(server.configuration) { redis, _ in
                let reply = try await redis.send(RedisCommand("INCR", "k"))
                #expect(reply == .simple("done"))
                #expect(server.connectionCount == 1)
                #expect(attempts.value == 4)
            }
        }
    }

    @Test("A busy server is not waited for past the command's deadline")
    func busyForever() async throws {
        try await ScriptedServer.with { _, _ in
            "-BUSY script\r\n"
        } _: { server in
            var configuration = server.configuration
            // The first wait that would end past the deadline; shorter ones may leave a repeat under way at the end.
            configuration.backoff = RedisBackoff(base: .seconds(50), cap: .seconds(50), random: { 1 })
            try await TestServer.withClient(configuration) { redis, _ in
                let error = await #expect(throws: RedisError.self) {
                    try await redis.send(RedisCommand("GET", "k"), timeout: .seconds(40))
                }
                #expect(error?.code == .busy && error?.message.contains("SCRIPT KILL") == true)
            }
        }
    }

    @Test("Closing the client ends the wait for a busy server")
    func closedWhileBusy() async throws {
        let attempts = Counter()
        try await ScriptedServer.with { _, _ in
            attempts.next() < 0 ? "" : "-BUSY script\r\n"
        } _: { server in
            var configuration = server.configuration
            configuration.backoff = RedisBackoff(base: .seconds(5), cap: .seconds(5), random: { 1 })
            let redis = RedisClient(configuration)
            async let waiting = redis.send(RedisCommand("GET", "k"))
            try await TestServer.eventually { attempts.value > 0 }
            // The refusal is read before this answer is.
            async let closing: Void = redis.close()
            do {
                _ = try await waiting
                Issue.record("a refused command succeeded")
            } catch {
                #expect([.closed, .busy].contains((error as? RedisError)?.code))
            }
            await closing
        }
    }

    @Test("A command that a replica refuses is repeated on a new connection, although it is not idempotent")
    func readOnly() async throws {
        try await ScriptedServer.with { connection, command in
            connection == 1 ? "-READONLY replica\r\n" : ScriptedServer.Answer("+\(command[0]) on \(connection)\r\n")
        } _: { server in
            try await TestServer.withClient(server.configuration) { redis, _ in
                let reply = try await redis.send(RedisCommand("INCR", "k"))
                #expect(reply == .simple("INCR on 2"))
            }
        }
    }

    @Test("A transaction that a replica discards is repeated on a new connection")
    func readOnlyTransaction() async throws {
        try await ScriptedServer.withClient { connection, command in
            switch (connection, command[0]) {
            case (_, "MULTI"): "+OK\r\n"
            case (1, "EXEC"): "-EXECABORT Transaction discarded because of previous errors.\r\n"
            case (1, _): "-READONLY replica\r\n"
            case (_, "EXEC"): "*1\r\n:7\r\n"
            default: "+QUEUED\r\n"
            }
        } _: { redis in
            let replies = try await redis.transaction([RedisCommand("INCR", "k")])
            #expect(replies == [.integer(7)])
        }
    }

    @Test("A node of a cluster is told apart", arguments: ["MOVED 3999 127.0.0.1:1", "ASK 3999 127.0.0.1:1"])
    func cluster(_ text: String) async throws {
        try await ScriptedServer.withClient { _, _ in
            ScriptedServer.Answer("-\(text)\r\n")
        } _: { redis in
            let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("GET", "k")) }
            #expect(error?.code == .clusterNotSupported)
            #expect(
                error?.message == "\(text) (\(ErrorReplyTests.unsupported): name a stand-alone server, or sentinels)"
            )
        }
    }

    static let hostile = [
        "$-2\r\n", "*-2\r\n", "*2147483647\r\n", "*9999999999999\r\n", "$9999999999999\r\n", "$3\r\nabcXY", ":\r\n",
        ":12a\r\n", "hello\r\n", "\0\0\0\0", "%1\r\n+a\r\n+b\r\n", ">2\r\n+a\r\n+b\r\n", "~1\r\n+a\r\n", "_\r\n",
        "#t\r\n",
        ",1.5\r\n", "(1\r\n", "=5\r\ntxt:a\r\n", "!3\r\nERR\r\n", "|1\r\n+a\r\n+b\r\n", "HTTP/1.1 400 Bad Request\r\n",
        String(repeating: "*1\r\n", count: 10_000), "+" + String(repeating: "y", count: 100_000),
    ]

    @Test("Octets that are not RESP 2 end the connection, and each command in flight is told", arguments: hostile)
    func garbage(_ octets: String) async throws {
        try await ScriptedServer.with { connection, command in
            connection < 3 ? ScriptedServer.Answer(octets) : ScriptedServer.Answer("+\(command[1])\r\n")
        } _: { server in
            try await TestServer.withClient(server.configuration) { redis, _ in
                let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("INCR", "k")) }
                #expect(error?.code == .outcomeUnknown && error?.mayHaveExecuted == true)
                #expect((error?.underlying as? RedisError)?.code == .protocolViolation)
                // The second connection ends the same way, and the command is repeated on the third.
                let reply = try await redis.send(RedisCommand("ECHO", "again"), retry: .idempotent)
                #expect(reply == .simple("again"))
            }
            let connection = try await RedisConnection.connect(server.configuration)
            #expect(try await connection.send(RedisCommand("ECHO", "x")) == .simple("x"))
            await connection.close()
        }
    }

    @Test("A reply that nothing asked for ends the connection before it can shift another's")
    func unsolicited() async throws {
        try await ScriptedServer.withClient { connection, command in
            ScriptedServer.Answer("+\(command[1])\r\n" + (connection == 1 ? "+stray\r\n" : ""))
        } _: { redis in
            for number in 0..<20 {
                let reply = try await redis.send(RedisCommand("ECHO", number), retry: .idempotent)
                #expect(reply == .simple("\(number)"))
            }
        }
    }

    @Test("An error line may hold any octet, NUL included")
    func nulInError() async throws {
        try await ScriptedServer.withClient { _, _ in
            "-ERR a\0b\r\n"
        } _: { redis in
            let error = await #expect(throws: RedisError.self) { try await redis.send(RedisCommand("GET", "k")) }
            #expect(error?.code == .command && error?.message == "ERR a\0b")
        }
    }

    @Test("An answer abandoned at its deadline or by cancellation shifts nobody's", arguments: [true, false])
    func abandoned(_ isCancelled: Bool) async throws {
        let seen = Counter()
        try await ScriptedServer.with { _, command in
            if command[0] == "SLOW" { return ScriptedServer.Answer(seen.next() < 0 ? "+" : "") }
            return ScriptedServer.Answer((seen.value > 0 ? "+slow\r\n" : "") + "+\(command[1])\r\n")
        } _: { server in
            try await TestServer.withClient(server.configuration) { redis, _ in
                // Connected before the time begins to run.
                _ = try await redis.send(RedisCommand("ECHO", "hello"))
                let timeout: Duration = isCancelled ? .seconds(10) : .milliseconds(500)
                let slow = Task { try await redis.send(RedisCommand("SLOW"), timeout: timeout) }
                try await TestServer.eventually { seen.value == 1 }
                if isCancelled { slow.cancel() }
                await #expect { try await slow.value } throws: {
                    ($0 as? RedisError)?.code == (isCancelled ? .cancelled : .timedOut)
                }
                let own = try await redis.send(RedisCommand("ECHO", "own"))
                #expect(own == .simple("own"))
                #expect(server.connectionCount == 1)
            }
        }
    }

    @Test("A connection that ends within a reply fails what may not be repeated, and repeats what may")
    func cutWithinReply() async throws {
        try await ScriptedServer.withClient { connection, command in
            connection == 1 ? ScriptedServer.Answer("$10\r\nabc", hangsUp: true) : "+\(command[1])\r\n".answer
        } _: { redis in
            async let repeated = redis.send(RedisCommand("ECHO", "again"), retry: .idempotent)
            async let lost = redis.send(RedisCommand("INCR", "k"))
            let again = try await repeated
            #expect(again == .simple("again"))
            do {
                // It may also have been sent after the second connection had come about.
                #expect(try await lost == .simple("k"))
            } catch {
                #expect((error as? RedisError)?.code == .outcomeUnknown)
                #expect((error as? RedisError)?.mayHaveExecuted == true)
            }
        }
    }

    @Test("Sends no more octets than the window allows, and refuses what would exceed the bound")
    func octetBounds() async throws {
        try await ScriptedServer.with { _, _ in
            ""
        } _: { server in
            var configuration = server.configuration
            configuration.maximumInFlightOctets = 1000
            configuration.maximumWaitingOctets = 1000
            configuration.commandTimeout = .milliseconds(300)
            configuration.suspectGrace = .milliseconds(50)
            try await TestServer.withClient(configuration) { redis, _ in
                let value = [UInt8](repeating: 120, count: 900)
                let codes = await withTaskGroup(of: RedisError.Code?.self) { group in
                    for _ in 0..<5 {
                        group.addTask {
                            do {
                                _ = try await redis.send(RedisCommand("SET", "k", value))
                                return nil
                            } catch {
                                return (error as? RedisError)?.code
                            }
                        }
                    }
                    return await group.reduce(into: [RedisError.Code?]()) { $0.append($1) }
                }
                #expect(codes.allSatisfy { $0 == .timedOut || $0 == .overloaded })
                #expect(codes.contains(.overloaded) && codes.contains(.timedOut))
            }
        }
    }
}

extension String {
    fileprivate var answer: ScriptedServer.Answer { ScriptedServer.Answer(self) }
}

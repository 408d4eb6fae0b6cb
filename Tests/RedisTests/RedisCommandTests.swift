import Redis
import Testing

@Suite("Redis commands") struct RedisCommandTests {
    @Test("Are encoded as an array of bulks")
    func encoding() {
        let command = RedisCommand("SET", "key", [UInt8]([0, 13, 10, 255]), "EX", 60)
        let expected =
            Array("*5\r\n$3\r\nSET\r\n$3\r\nkey\r\n$4\r\n".utf8) + [0, 13, 10, 255]
            + Array("\r\n$2\r\nEX\r\n$2\r\n60\r\n".utf8)
        #expect(RedisCommand.encoded([command]) == expected)
    }

    @Test("May have empty arguments and lists of arguments")
    func lists() {
        var command = RedisCommand("DEL", arguments: ["a", ""])
        command.append(contentsOf: ["b", 1] as RedisArguments)
        let expected = "*5\r\n$3\r\nDEL\r\n$1\r\na\r\n$0\r\n\r\n$1\r\nb\r\n$1\r\n1\r\n"
        #expect(RedisCommand.encoded([command]) == Array(expected.utf8))
    }

    @Test("Do not show their arguments")
    func description() {
        #expect(RedisCommand("AUTH", "secret").description == "AUTH (1 arguments)")
    }

    @Test(
        "An error reply is classified by its first word",
        arguments: [
            ("WRONGPASS invalid", RedisError.Code.authentication), ("NOAUTH Authentication required.", .authentication),
            ("LOADING Redis is loading", .loading), ("READONLY You can't write", .readOnly), ("OOM x", .outOfMemory),
            ("NOSCRIPT No matching", .noScript), ("MASTERDOWN Link", .masterDown), ("ERR LOADING", .command),
            ("", .command),
        ]
    )
    func classification(_ reply: String, _ code: RedisError.Code) {
        #expect(RedisError(reply: reply).code == code)
    }

    @Test("The backoff grows to its cap, and jitter takes any part of it")
    func backoff() {
        let full = RedisBackoff(base: .milliseconds(50), cap: .seconds(2), random: { 1 })
        let delays = (0...8).map { full.delay(attempt: $0) }
        #expect(delays == [0, 50, 100, 200, 400, 800, 1600, 2000, 2000].map { .milliseconds($0) })
        #expect(full.delay(attempt: 1_000_000) == .seconds(2))
        #expect(RedisBackoff(random: { 0 }).delay(attempt: 5) == .zero)
        #expect(RedisBackoff(base: .milliseconds(100), random: { 0.5 }).delay(attempt: 1) == .milliseconds(50))
    }
}

import ProcessSupport
import Redis
import Testing

/// A master, its replica and three sentinels of a test's own, by `server.sh`.
struct SentinelServers {
    let directory: String
    let url: String

    var configuration: RedisConfiguration {
        get throws {
            var configuration = RedisConfiguration(try RedisURL(url))
            configuration.backoff = RedisBackoff(base: .milliseconds(20), cap: .milliseconds(300))
            configuration.commandTimeout = .seconds(30)
            return configuration
        }
    }

    /// Runs a body beside the servers, and ends them.
    static func with(_ body: (SentinelServers) async throws -> Void) async throws {
        try await ServerScript.withDirectory("sentinel") { directory in
            let url = try await ServerScript.run("sentinel", directory)
            try await body(SentinelServers(directory: directory, url: url))
        }
    }

    /// Servers 1 and 2 hold data, 3 to 5 are sentinels.
    func control(_ action: String, _ number: Int) async throws -> String {
        try await ServerScript.run(action, "redis", "\(directory)/\(number)")
    }

    /// The number of the server at a client's far end.
    func serving(_ redis: RedisClient) async throws -> Int {
        let reply = try await redis.send(RedisCommand("CONFIG", "GET", "port"), retry: .idempotent)
        let port = try #require(reply.array?.last?.string)
        for number in 1...2 {
            if try await control("url", number).contains(":\(port)/") { return number }
        }
        Issue.record("port \(port) is neither server's")
        return 0
    }
}

import Foundation
import ProcessSupport
import Redis
import Testing
import Transport

extension Tag {
    /// Needs servers.
    @Tag static var integration: Self
}

/// The server that the integration suites use, named by the environment.
enum TestServer {
    static let url = ProcessInfo.processInfo.environment["REDIS_URL"]
    static let program = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"]
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    static func configuration() throws -> RedisConfiguration {
        var configuration = RedisConfiguration(try RedisURL(try #require(url)))
        configuration.backoff = RedisBackoff(base: .milliseconds(10), cap: .milliseconds(100))
        return configuration
    }

    /// Runs a body with a client, and a prefix for keys and channels that nobody else uses.
    static func withClient<R>(
        _ configuration: RedisConfiguration? = nil,
        _ body: (RedisClient, String) async throws -> R
    ) async throws -> R {
        let client = RedisClient(try configuration ?? Self.configuration())
        do {
            let result = try await body(client, "celeriac-test-\(UUID().uuidString):")
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    /// Asks again and again until the answer is yes, or the time is over.
    static func eventually(
        within limit: Duration = .seconds(10),
        _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + limit
        while try await !condition() {
            try #require(ContinuousClock.now < deadline, "the condition did not come true in \(limit)")
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}

/// A Redis server of a test's own, which it may stop, freeze and start again.
final class OwnServer {
    let port: Int
    private let directory: URL
    private var process: ChildProcess?
    private let arguments: [String]

    init(arguments: [String] = []) throws {
        port = try Self.freePort()
        self.arguments = arguments
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("redis-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    deinit {
        process?.send(SIGKILL)
        try? FileManager.default.removeItem(at: directory)
    }

    var configuration: RedisConfiguration {
        var configuration = RedisConfiguration(RedisURL(endpoint: .tcp(host: "127.0.0.1", port: port)))
        configuration.backoff = RedisBackoff(base: .milliseconds(10), cap: .milliseconds(100))
        return configuration
    }

    func start() throws {
        process = try ChildProcess(
            "redis-server",
            #require(TestServer.program),
            ["--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--dir", directory.path] + arguments,
            directory: directory.path
        )
    }

    func signal(_ number: Int32) { process?.send(number) }

    func stop() async {
        await process?.destroy()
        process = nil
    }

    static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) == 0 ? getsockname(descriptor, address, &length) : -1
            }
        }
        try #require(status == 0)
        return Int(UInt16(bigEndian: address.sin_port))
    }
}

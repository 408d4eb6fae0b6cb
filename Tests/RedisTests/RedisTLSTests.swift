import TLSSupport
import Testing

@testable import Redis

@Suite(
    "Redis over TLS",
    .enabled(if: TLSServers.areAvailable, "run with Scripts/with-servers.sh"),
    .timeLimit(.minutes(1))
)
struct RedisTLSTests {
    private func connect(_ text: String) async throws -> RedisConnection {
        try await RedisConnection.connect(RedisConfiguration(RedisURL(text)))
    }

    @Test("Carries values of any size")
    func values() async throws {
        let server = try await TLSServers.server(.redis)
        let connection = try await connect("\(server.url)?ssl_ca_certs=\(TestCertificates.shared.path("ca.pem"))")
        for size in [0, 1, 16_384, 5_000_000] {
            let text = String(repeating: "x", count: size)
            _ = try await connection.send(RedisCommand("SET", "tls-\(size)", text))
            let reply = try await connection.send(RedisCommand("GET", "tls-\(size)"))
            #expect(reply == .bulk(Array(text.utf8)))
        }
        await connection.close()
    }

    @Test("A server whose authority is not trusted is refused, unless told otherwise")
    func untrusted() async throws {
        let server = try await TLSServers.server(.redis)
        let error = await #expect(throws: RedisError.self) { _ = try await connect(server.url) }
        #expect(error?.code == .tlsFailed)
        #expect(error?.tlsFailure == .unknownAuthority)
        await (try connect("\(server.url)?ssl_cert_reqs=none")).close()
    }

    @Test("A Redis without TLS, which waits in silence, costs the deadline, and the error says what to suspect")
    func notTLS() async throws {
        let plain = try RedisURL(try await TLSServers.server(.redis).plainURL)
        var configuration = RedisConfiguration(try RedisURL("rediss://\(plain.endpoint)"))
        configuration.connectTimeout = .seconds(1)
        let error = await #expect(throws: RedisError.self) { _ = try await RedisConnection.connect(configuration) }
        #expect(error?.code == .cannotConnect)
        #expect((error?.underlying as? TransportError)?.message.contains("TLS") == true)
    }
}

import COpenSSL
import Glibc
import TLSSupport
import Testing

@testable import Transport

@Suite("TLS failures", .timeLimit(.minutes(1))) struct TLSFailureTests {
    /// Connects in vain, perhaps until the first octet: TLS 1.3 lets a client finish before it is judged.
    private func failure(
        _ port: Int,
        host: String = "localhost",
        _ configuration: TLSConfiguration,
        within timeout: Duration = .seconds(10)
    ) async -> TransportError? {
        do {
            let stream = try await ByteStream.connect(
                to: .tcp(host: host, port: port),
                timeout: timeout,
                tls: configuration
            )
            let recorder = Recorder()
            await stream.onLoop { $0.start(recorder) }
            let seen = await recorder.wait { $0.end != nil || !$0.bytes.isEmpty }
            return seen.bytes.isEmpty ? seen.end : nil
        } catch {
            #expect(!"\(error)".contains("canary"))
            return error
        }
    }

    private func client(
        _ certificate: String,
        key: String = "client.key",
        passphrase: String? = nil
    ) -> TLSConfiguration.ClientCertificate {
        let certificates = TestCertificates.shared
        return .init(
            certificateFile: certificates.path(certificate),
            keyFile: certificates.path(key),
            passphrase: passphrase
        )
    }

    @Test(
        "A certificate that must not be believed has a reason of its own",
        arguments: [
            ("expired.pem", "ca.pem", "localhost", .certificateExpired),
            ("future.pem", "ca.pem", "localhost", .certificateNotYetValid),
            ("server.pem", "other-ca.pem", "localhost", .unknownAuthority),
            ("self-signed.pem", "ca.pem", "localhost", .selfSigned),
            ("elsewhere.pem", "ca.pem", "localhost", .hostNameMismatch),
            ("elsewhere.pem", "ca.pem", "127.0.0.1", .hostNameMismatch),
        ] as [(String, String, String, TLSFailure)]
    )
    func badCertificate(_ certificate: String, _ authority: String, _ host: String, _ expected: TLSFailure) async throws
    {
        for version in [celeriac_tls_1_2, celeriac_tls_1_3] {
            let server = try TLSServer(.init(certificate: certificate, maximum: version)) { $0.write([1]) }
            let error = await failure(server.port, host: host, trusting(authority))
            #expect(error?.tlsFailure == expected, "\(error.map { "\($0)" } ?? "none")")
            #expect(error?.code == .tlsFailed)
        }
    }

    @Test("The system's authorities do not know the tests' one")
    func systemTrust() async throws {
        let server = try TLSServer { $0.write([1]) }
        #expect(await failure(server.port, TLSConfiguration())?.tlsFailure == .unknownAuthority)
    }

    @Test("Without the name any certificate of the authority will do, but not one of another")
    func noHostname() async throws {
        let server = try TLSServer(.init(certificate: "elsewhere.pem")) { $0.write([1]) }
        #expect(await failure(server.port, trusting { $0.verification = .noHostname }) == nil)
        let other = trusting("other-ca.pem") { $0.verification = .noHostname }
        #expect(await failure(server.port, other)?.tlsFailure == .unknownAuthority)
    }

    @Test("A server of an older version is refused")
    func oldVersion() async throws {
        let server = try TLSServer(.init(maximum: celeriac_tls_1_2)) { $0.write([1]) }
        let error = await failure(server.port, trusting { $0.minimumVersion = .v1_3 })
        #expect(error?.tlsFailure == .protocolVersion, "\(error.map { "\($0)" } ?? "none")")
    }

    @Test(
        "What does not speak TLS is called that",
        arguments: [
            [UInt8]("AMQP".utf8) + [0, 0, 9, 1], Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), Array("-ERR\r\n".utf8),
        ]
    )
    func notTLS(_ answer: [UInt8]) async throws {
        let server = try LoopbackServer { descriptor in
            var buffer = [UInt8](repeating: 0, count: 4096)
            _ = read(descriptor, &buffer, buffer.count)
            _ = write(descriptor, answer, answer.count)
            shutdown(descriptor, Int32(SHUT_WR))
            _ = readAll(descriptor)
        }
        #expect(await failure(server.port, trusting())?.tlsFailure == .notTLS)
    }

    @Test("A stream that ends during the handshake was interrupted")
    func interrupted() async throws {
        let server = try LoopbackServer { descriptor in
            var buffer = [UInt8](repeating: 0, count: 4096)
            _ = read(descriptor, &buffer, buffer.count)
        }
        #expect(await failure(server.port, trusting())?.tlsFailure == .interrupted)
    }

    @Test("Silence in the handshake ends with the deadline")
    func silence() async throws {
        let server = try LoopbackServer { _ = readAll($0) }
        #expect(await failure(server.port, trusting(), within: .milliseconds(200))?.code == .timedOut)
    }

    @Test("Cancelling a handshake ends it and closes the socket")
    func cancelled() async throws {
        let ends = AsyncStream<Void>.makeStream()
        let arrivals = AsyncStream<Void>.makeStream()
        let server = try LoopbackServer { descriptor in
            var buffer = [UInt8](repeating: 0, count: 4096)
            _ = read(descriptor, &buffer, buffer.count)
            arrivals.continuation.yield()
            _ = readAll(descriptor)
            ends.continuation.yield()
        }
        let task = Task { await failure(server.port, trusting(), within: .seconds(50)) }
        var arrived = arrivals.stream.makeAsyncIterator()
        await arrived.next()
        task.cancel()
        #expect(await task.value?.code == .cancelled)
        var ended = ends.stream.makeAsyncIterator()
        await ended.next()
    }

    @Test("A client certificate lets the client in, also with an encrypted key")
    func clientCertificate() async throws {
        for version in [celeriac_tls_1_2, celeriac_tls_1_3] {
            let server = try TLSServer(.init(maximum: version, clientAuthority: "ca.pem")) { $0.write([1]) }
            for certificate in [
                client("client.pem"), client("client-both.pem", key: "client-both.pem"),
                client("client.pem", key: "client-encrypted.key", passphrase: "canary"),
            ] {
                let error = await failure(server.port, trusting { $0.clientCertificate = certificate })
                #expect(error == nil, "\(certificate)")
            }
        }
    }

    @Test("A client certificate that is missing or foreign is refused, each in its own words")
    func refusedClient() async throws {
        for version in [celeriac_tls_1_2, celeriac_tls_1_3] {
            let server = try TLSServer(.init(maximum: version, clientAuthority: "ca.pem")) { $0.write([1]) }
            let missing = await failure(server.port, trusting())
            #expect(missing?.tlsFailure == .clientCertificateRequired, "\(missing.map { "\($0)" } ?? "none")")
            let foreign = await failure(server.port, trusting { $0.clientCertificate = client("stranger.pem") })
            #expect(foreign?.tlsFailure == .clientCertificateRefused, "\(foreign.map { "\($0)" } ?? "none")")
        }
    }

    @Test("Files that cannot be used are found before connecting, and named")
    func files() async throws {
        let certificates = TestCertificates.shared
        func failure(_ change: (inout TLSConfiguration) -> Void) -> TLSFailure? {
            let error = #expect(throws: TransportError.self) { _ = try TLSContext(trusting("ca.pem", change)) }
            #expect(error.map { "\($0)".contains("canary") } == false)
            return error?.tlsFailure
        }
        #expect(failure { $0.trust = .file("/nonexistent.pem") } == .unreadableFile)
        #expect(failure { $0.trust = .directory("/nonexistent") } == .unreadableFile)
        #expect(failure { $0.trust = .file(certificates.path("server.key")) } == .invalidFile)
        #expect(failure { $0.trust = .pem(Array("-----BEGIN CERTIFICATE-----\nAAAA\n".utf8)) } == .invalidFile)
        #expect(failure { $0.trust = .pem([]) } == .invalidFile)
        #expect(failure { $0.clientCertificate = client("client.pem", key: "missing.key") } == .unreadableFile)
        #expect(failure { $0.clientCertificate = client("missing.pem") } == .unreadableFile)
        #expect(failure { $0.clientCertificate = client("client.pem", key: "server.key") } == .keyMismatch)
        #expect(failure { $0.clientCertificate = client("client.pem", key: "ca.pem") } == .invalidFile)
        let encrypted = "client-encrypted.key"
        #expect(failure { $0.clientCertificate = client("client.pem", key: encrypted) } == .wrongPassphrase)
        let wrong = client("client.pem", key: encrypted, passphrase: "canary-wrong")
        #expect(failure { $0.clientCertificate = wrong } == .wrongPassphrase)
        #expect(failure { $0.cipherList = "NONSENSE" } == .invalidOption)
        #expect(failure { $0.cipherSuites = "NONSENSE" } == .invalidOption)
        let unused = await self.failure(1, trusting { $0.trust = .file("/nonexistent.pem") })
        #expect(unused?.tlsFailure == .unreadableFile)
    }
}

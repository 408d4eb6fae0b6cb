import COpenSSL
import Glibc
import Synchronization
import TLSSupport
import Testing

@testable import Transport

/// The configuration that trusts the tests' authority.
func trusting(_ authority: String = "ca.pem", _ change: (inout TLSConfiguration) -> Void = { _ in }) -> TLSConfiguration
{
    var configuration = TLSConfiguration()
    configuration.trust = .file(TestCertificates.shared.path(authority))
    change(&configuration)
    return configuration
}

@Suite("TLS stream", .timeLimit(.minutes(1))) struct TLSStreamTests {
    private func connect(
        _ port: Int,
        host: String = "localhost",
        _ configuration: TLSConfiguration = trusting()
    ) async throws -> ByteStream {
        try await ByteStream.connect(to: .tcp(host: host, port: port), timeout: .seconds(10), tls: configuration)
    }

    private static let versions = [celeriac_tls_1_2, celeriac_tls_1_3]

    private func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9) } }

    @Test("Carries ten megabytes each way at once, in any version", arguments: versions)
    func largeTransfer(_ version: Int32) async throws {
        let sent = pattern(10_000_000)
        let seenVersion = Mutex("")
        let server = try TLSServer(.init(maximum: version)) { session in
            seenVersion.withLock { $0 = session.version }
            var rest = sent.count
            while rest > 0 {
                let octets = session.read()
                guard !octets.isEmpty else { return }
                session.write(octets)
                rest -= octets.count
            }
            _ = session.readAll()
        }
        let stream = try await connect(server.port)
        let recorder = Recorder()
        await stream.onLoop { stream in
            stream.start(recorder)
            // Uneven, so that records and writes do not line up.
            var rest = sent[...]
            while !rest.isEmpty {
                stream.write(Array(rest.prefix(77_777)))
                rest = rest.dropFirst(77_777)
            }
        }
        let seen = await recorder.wait { $0.bytes.count >= sent.count || $0.end != nil }
        #expect(seen.bytes == sent)
        #expect(seenVersion.withLock { $0 } == (version == celeriac_tls_1_2 ? "TLSv1.2" : "TLSv1.3"))
        await stream.onLoop { $0.close(grace: .seconds(5)) }
        #expect(await recorder.wait { $0.end != nil }.end?.code == .closed)
    }

    @Test("Understands octets that dribble in one by one", arguments: versions)
    func dribble(_ version: Int32) async throws {
        let server = try TLSServer(.init(maximum: version)) { session in
            while case let octets = session.read(), !octets.isEmpty { session.write(octets) }
            session.goodbye()
        }
        let relay = try Relay(to: server.port, step: 1)
        let stream = try await connect(relay.port)
        let recorder = Recorder()
        await stream.onLoop { stream in
            stream.start(recorder)
            stream.write(Array("drop by drop".utf8))
        }
        #expect(await recorder.wait { $0.bytes.count == 12 }.bytes == Array("drop by drop".utf8))
        await stream.onLoop { $0.close(grace: .seconds(5)) }
        #expect(await recorder.wait { $0.end != nil }.end?.code == .closed)
    }

    @Test("Writes of one turn share records")
    func sharedRecords() async throws {
        let server = try TLSServer(.init(maximum: celeriac_tls_1_2)) { session in
            var count = 0
            while count < 16_000, case let octets = session.read(), !octets.isEmpty { count += octets.count }
            session.write([1])
            _ = session.readAll()
        }
        let relay = try Relay(to: server.port)
        let stream = try await connect(relay.port)
        let recorder = Recorder()
        await stream.onLoop { stream in
            stream.start(recorder)
            for _ in 0..<100 { stream.write { $0 += [UInt8](repeating: 1, count: 110) } }
            stream.write([UInt8](repeating: 2, count: 5000))  // large enough for a chunk of its own
        }
        _ = await recorder.wait { $0.bytes.count == 1 }
        let applicationData: UInt8 = 23
        #expect(relay.recordTypes.count { $0 == applicationData } == 1)
        await stream.onLoop { $0.close(grace: .seconds(5)) }
    }

    @Test("Reports back-pressure and sends everything, and a goodbye, before an orderly close")
    func backPressure() async throws {
        let gate = Gate()
        let ends = AsyncStream<(count: Int, saidGoodbye: Bool)>.makeStream()
        let server = try TLSServer { session in
            gate.wait()
            let result = session.readAll()
            ends.continuation.yield((result.bytes.count, result.saidGoodbye))
        }
        let stream = try await connect(server.port)
        let recorder = Recorder()
        let chunk = [UInt8](repeating: 3, count: 100_000)
        let isWritable = await stream.onLoop { stream in
            stream.start(recorder)
            for _ in 0..<200 { stream.write(chunk) }
            return stream.isWritable
        }
        #expect(!isWritable)
        gate.open()
        let seen = await recorder.wait { $0.writability == [false, true] || $0.end != nil }
        #expect(seen.end == nil)
        await stream.onLoop { $0.close(grace: .seconds(10)) }
        #expect(await recorder.wait { $0.end != nil }.end?.code == .closed)
        var iterator = ends.stream.makeAsyncIterator()
        let end = await iterator.next()
        #expect(end?.count == 20_000_000)
        #expect(end?.saidGoodbye == true)
        _ = server
    }

    @Test("Stops reading while paused and loses nothing")
    func pausedReading() async throws {
        let sent = pattern(3_000_000)
        let server = try TLSServer { session in
            session.write(sent)
            session.goodbye()
        }
        let stream = try await connect(server.port)
        let recorder = Recorder()
        await stream.onLoop { stream in
            stream.start(recorder)
            stream.setReading(false)
        }
        await stream.onLoop { $0.setReading(true) }
        let seen = await recorder.wait { $0.end != nil }
        #expect(seen.bytes == sent)
        #expect(seen.end?.code == .closedByPeer)
        #expect(seen.end?.tlsFailure == nil)
    }

    @Test("An owner that takes nothing ends the stream at the input limit")
    func overflow() async throws {
        let server = try TLSServer { session in
            session.write([UInt8](repeating: 1, count: 1 << 20))
            _ = session.readAll()
        }
        var limits = ByteStream.Limits()
        limits.input = 1 << 18
        let stream = try await ByteStream.connect(
            to: .tcp(host: "localhost", port: server.port),
            timeout: .seconds(5),
            tls: trusting(),
            limits: limits
        )
        let recorder = Recorder { _ in 0 }
        await stream.onLoop { $0.start(recorder) }
        #expect(await recorder.wait { $0.end != nil }.end?.code == .overflow)
        _ = server
    }

    @Test("A stream cut off without a goodbye is told from one that ended")
    func truncated() async throws {
        let server = try TLSServer { session in session.write([1, 2, 3]) }  // closed by TCP alone
        let stream = try await connect(server.port)
        let recorder = Recorder()
        await stream.onLoop { $0.start(recorder) }
        let seen = await recorder.wait { $0.end != nil }
        #expect(seen.bytes == [1, 2, 3])
        #expect(seen.end?.code == .closedByPeer)
        #expect(seen.end?.tlsFailure == .truncated)
    }

    @Test("What arrived before anybody listened is handed over")
    func earlyOctets() async throws {
        let server = try TLSServer { session in
            session.write(Array("first".utf8))
            _ = session.readAll()
        }
        let stream = try await connect(server.port)
        let recorder = Recorder()
        await stream.onLoop { $0.start(recorder) }
        #expect(await recorder.wait { $0.bytes.count == 5 }.bytes == Array("first".utf8))
        await stream.onLoop { $0.abort(TransportError(.closed, "done")) }
    }

    @Test("Asks for a name, never for an address; the configuration's name counts")
    func serverName() async throws {
        let server = try TLSServer { session in
            session.write(Array((session.serverName ?? "nobody").utf8) + [0])
            _ = session.readAll()
        }
        func name(_ host: String, _ configuration: TLSConfiguration) async throws -> String {
            let stream = try await connect(server.port, host: host, configuration)
            let recorder = Recorder()
            await stream.onLoop { $0.start(recorder) }
            let seen = await recorder.wait { $0.bytes.last == 0 || $0.end != nil }
            await stream.onLoop { $0.abort(TransportError(.closed, "done")) }
            return String(decoding: seen.bytes.dropLast(), as: UTF8.self)
        }
        #expect(try await name("localhost", trusting()) == "localhost")
        #expect(try await name("127.0.0.1", trusting()) == "nobody")
        #expect(try await name("127.0.0.1", trusting { $0.serverName = "localhost." }) == "localhost")
        #expect(try await name("localhost", trusting { $0.sendsServerName = false }) == "nobody")
    }

    @Test("Trusts a file, a directory, octets or nobody, as told")
    func trust() async throws {
        let server = try TLSServer()
        let certificates = TestCertificates.shared
        let octets = try certificates.octets("ca.pem")
        let configurations = [
            trusting(),
            trusting { $0.trust = .directory(certificates.path("trusted")) },
            trusting { $0.trust = .pem(octets) },
            trusting("other-ca.pem") { $0.verification = .none },
        ]
        for configuration in configurations {
            let stream = try await connect(server.port, configuration)
            await stream.onLoop { $0.abort(TransportError(.closed, "done")) }
        }
    }

    @Test("Files are read again only after they have changed")
    func cache() throws {
        let certificates = TestCertificates.shared
        let copy = certificates.path("copy-\(UInt32.random(in: 0 ... .max)).pem")
        func write(_ octets: [UInt8]) {
            let file = fopen(copy, "w")
            fwrite(octets, 1, octets.count, file)
            fclose(file)
        }
        write(try certificates.octets("ca.pem"))
        let cache = TLSContextCache()
        let configuration = trusting { $0.trust = .file(copy) }
        let first = try cache.context(for: configuration)
        #expect(try cache.context(for: configuration) === first)
        write(try certificates.octets("ca.pem") + certificates.octets("other-ca.pem"))
        #expect(try cache.context(for: configuration) !== first)
    }

    @Test("The system's authorities are read again after they have changed")
    func systemCache() throws {
        let copy = TestCertificates.shared.path("system-\(UInt32.random(in: 0 ... .max))")
        #expect(mkdir(copy, 0o700) == 0)
        let cache = TLSContextCache { $0 == "SSL_CERT_DIR" ? "/nowhere:\(copy)" : nil }
        let configuration = TLSConfiguration()
        let first = try cache.context(for: configuration)
        #expect(try cache.context(for: configuration) === first)
        let file = fopen("\(copy)/new.0", "w")
        fclose(file)
        #expect(try cache.context(for: configuration) !== first)
    }

    @Test("Where the system keeps its authorities is watched, unless the environment names another place")
    func systemFiles() {
        let defaults = [X509_get_default_cert_file(), X509_get_default_cert_dir()].map { String(cString: $0) }
        let configuration = TLSConfiguration()
        #expect(TLSContextCache { _ in nil }.files(of: configuration) == defaults)
        let named = TLSContextCache { ["SSL_CERT_FILE": "bundle.pem", "SSL_CERT_DIR": "one:two"][$0] }
        #expect(named.files(of: configuration) == ["bundle.pem", "one", "two"])
    }
}

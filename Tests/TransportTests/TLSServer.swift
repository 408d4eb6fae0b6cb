import COpenSSL
import Glibc
import Synchronization
import TLSSupport

/// A TLS server on loopback: OpenSSL with blocking calls, a thread per connection.
final class TLSServer: Sendable {
    struct Setting: Sendable {
        var certificate = "server.pem"
        var key = "server.key"
        /// The highest version that is spoken.
        var maximum = celeriac_tls_1_3
        /// The authority of the certificates that clients must show.
        var clientAuthority: String?
    }

    private let listener: LoopbackServer
    var port: Int { listener.port }

    /// - Parameter serve: Called for each connection whose handshake came about.
    init(_ setting: Setting = Setting(), serve: @escaping @Sendable (Session) -> Void = { _ = $0.readAll() }) throws {
        signal(SIGPIPE, SIG_IGN)
        listener = try LoopbackServer { descriptor in
            if let session = Session(descriptor, setting) {
                serve(session)
                session.free()
            } else {
                // The client must be able to read the alert before the stream is reset.
                shutdown(descriptor, Int32(SHUT_WR))
                _ = TransportTests.readAll(descriptor)
            }
        }
    }

    /// One connection, used by its thread only.
    struct Session {
        private let ssl: OpaquePointer
        private let context: OpaquePointer
        let descriptor: Int32

        init?(_ descriptor: Int32, _ setting: Setting) {
            self.descriptor = descriptor
            guard let context = SSL_CTX_new(TLS_server_method()) else { return nil }
            self.context = context
            let certificates = TestCertificates.shared
            SSL_CTX_use_certificate_chain_file(context, certificates.path(setting.certificate))
            SSL_CTX_use_PrivateKey_file(context, certificates.path(setting.key), SSL_FILETYPE_PEM)
            _ = celeriac_tls_set_maximum(context, setting.maximum)
            if let authority = setting.clientAuthority {
                SSL_CTX_load_verify_file(context, certificates.path(authority))
                SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
            }
            ssl = SSL_new(context)
            SSL_set_fd(ssl, descriptor)
            guard SSL_accept(ssl) == 1 else {
                free()
                return nil
            }
        }

        func free() {
            SSL_free(ssl)
            SSL_CTX_free(context)
        }

        /// The name the client asked for.
        var serverName: String? { SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) } }
        var version: String { String(cString: SSL_get_version(ssl)) }

        /// Octets, or nothing at the end.
        func read() -> [UInt8] {
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            let count = SSL_read(ssl, &buffer, Int32(buffer.count))
            return Array(buffer[..<max(0, Int(count))])
        }

        func write(_ bytes: [UInt8]) { _ = SSL_write(ssl, bytes, Int32(bytes.count)) }

        /// Reads to the end; whether it came with a goodbye.
        func readAll() -> (bytes: [UInt8], saidGoodbye: Bool) {
            var bytes: [UInt8] = []
            while case let more = read(), !more.isEmpty { bytes += more }
            return (bytes, SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN != 0)
        }

        func goodbye() { _ = SSL_shutdown(ssl) }
    }
}

/// Stands between a client and a server, and remembers what the client sent.
final class Relay: Sendable {
    private let listener: LoopbackServer
    private let seen: SharedOctets
    var port: Int { listener.port }

    /// The content type of each TLS record that the client has sent.
    var recordTypes: [UInt8] {
        let stream = seen.octets.withLock { $0 }
        var types: [UInt8] = []
        var offset = 0
        while offset + 5 <= stream.count {
            types.append(stream[offset])
            offset += 5 + Int(stream[offset + 3]) << 8 + Int(stream[offset + 4])
        }
        return types
    }

    /// - Parameter step: How many octets are passed on at a time.
    init(to port: Int, step: Int = 4096) throws {
        signal(SIGPIPE, SIG_IGN)
        let seen = SharedOctets()
        self.seen = seen
        listener = try LoopbackServer { client in
            let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
            address.sin_port = UInt16(port).bigEndian
            var on: Int32 = 1
            for descriptor in [client, server] {
                setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
            }
            _ = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            let done = Gate()
            onThread {
                Self.pass(from: server, to: client, step) { _ in }
                done.open()
            }
            Self.pass(from: client, to: server, step) { octets in seen.octets.withLock { $0 += octets } }
            done.wait()
            close(server)
        }
    }

    private static func pass(from source: Int32, to target: Int32, _ step: Int, _ note: (ArraySlice<UInt8>) -> Void) {
        var buffer = [UInt8](repeating: 0, count: step)
        while case let count = read(source, &buffer, buffer.count), count > 0 {
            note(buffer[..<count])
            _ = write(target, buffer, count)
        }
        shutdown(target, Int32(SHUT_WR))
    }
}

private final class SharedOctets: Sendable {
    let octets = Mutex<[UInt8]>([])
}

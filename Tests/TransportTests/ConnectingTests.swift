import Glibc
import Testing

@testable import Transport

/// Hosts with several addresses, as the kernel and not a list of events sees them.
@Suite("Connecting to hosts of several addresses", .timeLimit(.minutes(1)), .enabled(if: HangingListener.hasIPv6))
struct ConnectingTests {
    /// A name service that knows one host by addresses of both families, the newer one first.
    private static func names(_ endpoints: [Endpoint]) async throws -> Resolver.LookUp {
        var addresses: [SocketAddress] = []
        for endpoint in endpoints {
            addresses += try await withCheckedContinuation { continuation in
                Resolver.lookUp(endpoint) { continuation.resume(returning: $0) }
            }.get()
        }
        return { [addresses] _, completion in completion(.success(addresses)) }
    }

    /// What the server says that the stream has led to.
    private func greeting(_ stream: ByteStream) async -> [UInt8] {
        let recorder = Recorder()
        await stream.onLoop { $0.start(recorder) }
        let seen = await recorder.wait { $0.bytes.count >= 2 }
        await stream.onLoop { $0.abort(TransportError(.closed, "enough")) }
        return seen.bytes
    }

    private let server: LoopbackServer
    private var live: Endpoint { .tcp(host: "127.0.0.1", port: server.port) }

    init() throws {
        server = try LoopbackServer { descriptor in
            _ = write(descriptor, Array("v4".utf8), 2)
            var octet: UInt8 = 0
            _ = read(descriptor, &octet, 1)
        }
    }

    /// Connects to a host of both addresses, the dead one first, and expects to reach the server.
    private func expectServer(after dead: HangingListener, _ options: SocketOptions) async throws {
        let stream = try await ByteStream.connect(
            to: live,
            timeout: .seconds(30),
            options: options,
            lookUp: Self.names([dead.endpoint, live])
        )
        #expect(await greeting(stream) == Array("v4".utf8))
    }

    @Test("An address that refuses gives way to the next one at once")
    func refusal() async throws {
        let dead = try HangingListener(isListening: false)
        var options = SocketOptions()
        options.attemptDelay = .seconds(3600)
        try await expectServer(after: dead, options)
    }

    @Test("Beside an address that never answers the next one is tried, and wins")
    func race() async throws {
        let dead = try HangingListener(isListening: true)
        var options = SocketOptions()
        options.attemptDelay = .milliseconds(10)
        try await expectServer(after: dead, options)
    }

    @Test("An address that takes longer than an address may gives way to the next one")
    func addressTimeout() async throws {
        let dead = try HangingListener(isListening: true)
        var options = SocketOptions()
        options.attemptDelay = .seconds(3600)
        options.addressTimeout = .milliseconds(50)
        try await expectServer(after: dead, options)
        // Without another one, that is the end, and the error says why.
        let error = await #expect(throws: TransportError.self) {
            _ = try await ByteStream.connect(
                to: dead.endpoint,
                timeout: .seconds(3600),
                options: options,
                lookUp: Self.names([dead.endpoint])
            )
        }
        #expect(error?.code == .timedOut)
        #expect(error?.message.contains("did not answer") == true)
    }
}

/// A port of ::1 where nobody listens, or where somebody does who has no room for one more.
private final class HangingListener: Sendable {
    let endpoint: Endpoint
    private let listener: Int32
    private let fillers: [Int32]

    static let hasIPv6: Bool = (try? HangingListener(isListening: false)) != nil

    init(isListening: Bool) throws {
        listener = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_addr = in6addr_loopback
        var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { [listener] in
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && getsockname(listener, $0, &size) == 0
            }
        }
        guard isBound else {
            close(listener)
            throw POSIXFailure(number: errno)
        }
        endpoint = .tcp(host: "::1", port: Int(UInt16(bigEndian: address.sin6_port)))
        guard isListening else {
            fillers = []
            return
        }
        // One that nobody accepts fills the queue; the kernel ignores whoever knocks after it.
        guard listen(listener, 0) == 0 else { throw POSIXFailure(number: errno) }
        fillers = (0..<4).map { _ in
            let filler = socket(AF_INET6, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = connect(filler, $0, size) }
            }
            return filler
        }
    }

    deinit {
        for filler in fillers { close(filler) }
        close(listener)
    }
}

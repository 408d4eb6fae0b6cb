import FaultProxySupport
import Foundation
import ProcessSupport
import Redis
import Synchronization
import Testing
import Transport

/// A server that says what a test tells it to, on a thread of its own; what a real Redis never says, too.
///
/// It answers PING by itself, so that connecting succeeds.
final class ScriptedServer: Sendable {
    /// What it says to a command.
    struct Answer: Sendable, ExpressibleByStringLiteral {
        var octets: [UInt8]
        var hangsUp = false

        init(stringLiteral text: String) { octets = Array(text.utf8) }
        init(_ text: String, hangsUp: Bool = false) {
            octets = Array(text.utf8)
            self.hangsUp = hangsUp
        }
    }

    /// Gets the connection's number, from 1, and a command; says what to send.
    typealias Script = @Sendable (_ connection: Int, _ command: [String]) -> Answer

    let port: Int
    private let listener: Int32
    private let script: Script
    private let thread = Mutex<BlockingThread?>(nil)
    private let connections = Mutex(0)

    private init(_ script: @escaping Script) throws {
        self.script = script
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, length) == 0 && listen(listener, 16) == 0
                    && getsockname(listener, address, &length) == 0
            }
        }
        try #require(isListening)
        self.listener = listener
        port = Int(UInt16(bigEndian: address.sin_port))
        let thread = BlockingThread { [self] in run() }
        self.thread.withLock { $0 = thread }
    }

    /// Runs a body beside a server.
    static func with<R>(_ script: @escaping Script, _ body: (ScriptedServer) async throws -> R) async throws -> R {
        let server = try ScriptedServer(script)
        defer { server.stop() }
        return try await body(server)
    }

    /// Runs a body with a client of a server.
    static func withClient<R>(_ script: @escaping Script, _ body: (RedisClient) async throws -> R) async throws -> R {
        try await with(script) { server in
            try await TestServer.withClient(server.configuration) { client, _ in try await body(client) }
        }
    }

    var configuration: RedisConfiguration {
        var configuration = RedisConfiguration(RedisURL(endpoint: .tcp(host: "127.0.0.1", port: port)))
        configuration.backoff = RedisBackoff(base: .milliseconds(5), cap: .milliseconds(20))
        return configuration
    }

    var connectionCount: Int { connections.withLock { $0 } }

    private func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        thread.withLock { $0.take() }?.join()
        close(listener)
    }

    private struct Peer {
        let number: Int
        let parser: RESPParser
    }

    private func run() {
        var peers: [Int32: Peer] = [:]
        defer { for descriptor in peers.keys { close(descriptor) } }
        while true {
            var polled = ([listener] + peers.keys).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&polled, nfds_t(polled.count), -1) >= 0 else { return }
            for item in polled where item.revents != 0 {
                if item.fd == listener {
                    let descriptor = accept(listener, nil, nil)
                    guard descriptor >= 0, let parser = try? RESPParser() else { return }
                    let number = connections.withLock {
                        $0 += 1
                        return $0
                    }
                    peers[descriptor] = Peer(number: number, parser: parser)
                } else if let peer = peers[item.fd], !serve(peer, item.fd) {
                    peers[item.fd] = nil
                    close(item.fd)
                }
            }
        }
    }

    /// Answers what has come; false when the connection is to be closed.
    private func serve(_ peer: Peer, _ descriptor: Int32) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return false }
        let commands = buffer.withUnsafeBytes { octets in
            (try? peer.parser.parse(UnsafeRawBufferPointer(rebasing: octets[..<count]))) ?? []
        }
        for command in commands {
            let words = (command.array ?? []).map { $0.string ?? "" }
            let answer = words == ["PING"] ? "+PONG\r\n" : script(peer.number, words)
            _ = send(descriptor, answer.octets, answer.octets.count, Int32(MSG_NOSIGNAL))
            if answer.hangsUp { return false }
        }
        return true
    }
}

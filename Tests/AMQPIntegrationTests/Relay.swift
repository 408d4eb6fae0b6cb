import Dispatch
import Glibc
import Synchronization

@testable import AMQP

/// A loopback TCP relay before the broker, whose links a test cuts.
final class Relay: Sendable {
    private struct State {
        var links: [(Int32, Int32)] = []
        var isRefusing = false
        var accepted = 0
    }

    let port: Int
    private let listener: Int32
    private let target: Int
    private let state = Mutex(State())

    init(to target: Int) {
        self.target = target
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = Self.loopback(port: 0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                precondition(bind(listener, $0, size) == 0 && listen(listener, 16) == 0)
                getsockname(listener, $0, &size)
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread.start("relay") { [weak self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { return }
                guard let self else {
                    close(client)
                    return
                }
                self.connect(client)
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
        cut()
    }

    /// Links opened so far.
    var accepted: Int { state.withLock { $0.accepted } }

    /// Cuts every link.
    func cut() {
        state.withLock { state in
            for (client, server) in state.links {
                shutdown(client, Int32(SHUT_RDWR))
                shutdown(server, Int32(SHUT_RDWR))
            }
            state.links = []
        }
    }

    /// Ends new links at once, or lets them through again.
    func refuse(_ isRefusing: Bool) {
        state.withLock { $0.isRefusing = isRefusing }
    }

    var uri: AMQPURI {
        get throws {
            var uri = try TestBroker.uri()
            uri.host = "127.0.0.1"
            uri.port = port
            return uri
        }
    }

    private func connect(_ client: Int32) {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.loopback(port: target)
        let isConnected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        let isTaken = state.withLock { state in
            guard isConnected, !state.isRefusing else { return false }
            state.links.append((client, server))
            state.accepted += 1
            return true
        }
        guard isTaken else {
            close(client)
            close(server)
            return
        }
        let counter = Counter(ends: 2) {
            self.state.withLock { $0.links.removeAll { $0 == (client, server) } }
            close(client)
            close(server)
        }
        Thread.start("relay up") { Self.copy(client, server, counter) }
        Thread.start("relay down") { Self.copy(server, client, counter) }
    }

    private static func copy(_ from: Int32, _ to: Int32, _ counter: Counter) {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(from, &chunk, chunk.count)
            guard count > 0 else { break }
            var sent = 0
            while sent < count {
                let written = chunk.withUnsafeBytes {
                    send(to, $0.baseAddress.map { $0 + sent }, count - sent, Int32(MSG_NOSIGNAL))
                }
                guard written > 0 else { break }
                sent += written
            }
            if sent < count { break }
        }
        shutdown(from, Int32(SHUT_RDWR))
        shutdown(to, Int32(SHUT_RDWR))
        counter.end()
    }

    private static func loopback(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = UInt16(port).bigEndian
        return address
    }

    /// Runs a closure when both directions have ended.
    private final class Counter: Sendable {
        private let left: Atomic<Int>
        private let body: @Sendable () -> Void

        init(ends: Int, _ body: @escaping @Sendable () -> Void) {
            left = Atomic(ends)
            self.body = body
        }

        func end() {
            if left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { body() }
        }
    }

    private enum Thread {
        static func start(_ label: String, _ body: @escaping @Sendable () -> Void) {
            DispatchQueue(label: label).async(execute: body)
        }
    }
}

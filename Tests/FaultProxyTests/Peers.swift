import Glibc
import Testing

@testable import FaultProxySupport

/// A blocking socket of the loopback interface, for the ends of a proxied conversation.
final class Peer: Sendable {
    let descriptor: Int32

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        // Past this a test has failed, whatever it waits for.
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// Connects, or tells why not.
    static func connect(to port: UInt16) throws -> Peer {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let status = withLoopback(port) { Glibc.connect(descriptor, $0, $1) }
        let reason = errno
        let peer = Peer(descriptor)
        guard status == 0 else { throw Refused(reason: reason) }
        return peer
    }

    struct Refused: Error, Equatable { let reason: Int32 }

    enum End: Equatable {
        case finished
        case reset
        case silent
    }

    func send(_ octets: [UInt8]) {
        var offset = 0
        while offset < octets.count {
            let count = octets[offset...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            offset += count
        }
    }

    /// As many octets as asked for, or fewer at the end.
    func receive(_ count: Int) -> [UInt8] {
        var octets: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while octets.count < count {
            let received = read(descriptor, &chunk, min(chunk.count, count - octets.count))
            if received <= 0 { break }
            octets += chunk[..<received]
        }
        return octets
    }

    /// Reads to the end.
    func receiveAll() -> (octets: [UInt8], end: End) {
        var octets: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let received = read(descriptor, &chunk, chunk.count)
            if received == 0 { return (octets, .finished) }
            if received < 0 { return (octets, errno == ECONNRESET ? .reset : .silent) }
            octets += chunk[..<received]
        }
    }

    /// What is there without waiting.
    var available: Int {
        var count: Int32 = 0
        _ = ioctl(descriptor, UInt(FIONREAD), &count)
        return Int(count)
    }

    /// Sends as much as the windows take.
    func fill() -> Int {
        let octets = [UInt8](repeating: 0, count: 65_536)
        var total = 0
        while total < 256 << 20 {
            let count = Glibc.send(descriptor, octets, octets.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            if count <= 0 { break }
            total += count
        }
        return total
    }

    func finish() { shutdown(descriptor, Int32(SHUT_WR)) }
    func reset() { Socket.reset(dup(descriptor)) }
}

/// Listens where a proxy leads to.
final class Listener {
    let port: UInt16
    private let descriptor: Int32

    init() throws {
        let (descriptor, port) = try Socket.bound()
        listen(descriptor, 16)
        _ = fcntl(descriptor, F_SETFL, 0)
        self.descriptor = descriptor
        self.port = port
    }

    deinit { close(descriptor) }

    func accept() -> Peer { Peer(Glibc.accept(descriptor, nil, nil)) }
}

private func withLoopback<Value>(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Value) -> Value {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
}

/// A frame with a method, as on the wire.
func frame(_ method: AMQPMethodID, arguments: Int = 5, channel: UInt8 = 1) -> [UInt8] {
    [1, 0, channel, 0, 0, 0, UInt8(4 + arguments), 0, UInt8(method.classID), 0, UInt8(method.methodID)]
        + [UInt8](repeating: 7, count: arguments) + [0xCE]
}

let protocolHeader = Array("AMQP".utf8) + [0, 0, 9, 1]

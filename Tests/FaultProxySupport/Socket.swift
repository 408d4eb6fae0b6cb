internal import CShims
internal import Glibc

/// Sockets of the loopback interface, none of which block.
enum Socket {
    /// A system call failed.
    struct Failure: Error, CustomStringConvertible {
        let description: String

        init(_ what: String) { description = "\(what): \(String(cString: strerror(errno)))" }
    }

    enum Written {
        case some(Int)
        case full
        case gone
    }

    private static let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)

    /// A socket bound to a free port that is not the kernel's to give away, so that it stays free while nobody listens.
    static func bound() throws(Failure) -> (descriptor: Int32, port: UInt16) {
        for _ in 0..<200 {
            let descriptor = socket(AF_INET, kind, 0)
            guard descriptor >= 0 else { throw Failure("socket") }
            // Else it could not listen again while links that came over this port are still open.
            set(descriptor, SO_REUSEADDR, 1)
            // Small windows, so that a lane that stops reading is felt soon.
            set(descriptor, SO_RCVBUF, 128 << 10)
            let port = UInt16.random(in: 10_000..<15_000)
            if withAddress(port, { bind(descriptor, $0, $1) }) == 0 { return (descriptor, port) }
            close(descriptor)
        }
        throw Failure("no free port")
    }

    static func set(_ descriptor: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, SOL_SOCKET, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Begins to connect; -1 if that failed at once.
    static func connect(to port: UInt16) -> Int32 {
        let descriptor = socket(AF_INET, kind, 0)
        guard descriptor >= 0 else { return -1 }
        set(descriptor, SO_RCVBUF, 128 << 10)
        _ = celeriac_set_no_delay(descriptor)
        if withAddress(port, { Glibc.connect(descriptor, $0, $1) }) == 0 || errno == EINPROGRESS { return descriptor }
        close(descriptor)
        return -1
    }

    static func accept(_ listener: Int32) -> Int32 {
        let descriptor = Glibc.accept(listener, nil, nil)
        guard descriptor >= 0 else { return -1 }
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = celeriac_set_no_delay(descriptor)
        return descriptor
    }

    /// The error that a socket has kept, and forgets now.
    static func error(of descriptor: Int32) -> Int32 { celeriac_socket_error(descriptor) }

    /// Closes with a reset.
    static func reset(_ descriptor: Int32) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        close(descriptor)
    }

    static func write(_ octets: ArraySlice<UInt8>, to descriptor: Int32) -> Written {
        let count = octets.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        if count >= 0 { return .some(count) }
        return errno == EAGAIN || errno == EINTR ? .full : .gone
    }

    private static func withAddress<Value>(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Value)
        -> Value
    {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }
}

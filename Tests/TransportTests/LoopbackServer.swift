import Glibc
import Synchronization

/// A listening socket on loopback or on a socket file, served by blocking calls on a thread of its own.
final class LoopbackServer: Sendable {
    enum Kind: CaseIterable { case tcp, unix }

    let port: Int
    let path: String
    private let listener: Int32

    /// - Parameter serve: Called for each accepted connection with its descriptor, which is closed afterwards.
    init(_ kind: Kind = .tcp, serve: @escaping @Sendable (Int32) -> Void) throws {
        let path = "/tmp/celeriac-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
        self.path = path
        let descriptor: Int32
        switch kind {
        case .tcp:
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let bound = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
                }
            }
            guard bound else { throw POSIXFailure(number: errno) }
            port = Int(UInt16(bigEndian: address.sin_port))
        case .unix:
            descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
                }
            }
            guard bound else { throw POSIXFailure(number: errno) }
            port = 0
        }
        guard listen(descriptor, 16) == 0 else { throw POSIXFailure(number: errno) }
        listener = descriptor
        onThread {
            while true {
                let connection = accept(descriptor, nil, nil)
                guard connection >= 0 else {
                    // Here and not in deinit: the number must not be reused while this thread accepts.
                    close(descriptor)
                    return
                }
                onThread {
                    serve(connection)
                    close(connection)
                }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        unlink(path)
    }
}

struct POSIXFailure: Error { let number: Int32 }

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

func onThread(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    pthread_create(
        &thread,
        nil,
        {
            guard let context = $0 else { return nil }
            Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run()
            return nil
        },
        Unmanaged.passRetained(ThreadBody(body)).toOpaque()
    )
    pthread_detach(thread)
}

/// Reads until the peer ends; gives the number of octets and their sum.
func readAll(_ descriptor: Int32) -> (count: Int, sum: Int) {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    var result = (count: 0, sum: 0)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return result }
        result.count += count
        for octet in buffer[..<count] { result.sum += Int(octet) }
    }
}

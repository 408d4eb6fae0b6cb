internal import CShims
internal import Dispatch
internal import Glibc

/// A socket address ready for `connect`.
struct SocketAddress: Sendable {
    let family: Int32
    let bytes: [UInt8]

    func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        bytes.withUnsafeBytes { raw in
            // The octets were filled in as a sockaddr by getaddrinfo or `init(unixPath:)`; the kernel reads them as such.
            guard let base = raw.baseAddress else { preconditionFailure("an address has octets") }
            return body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
    }

    /// The address of a socket file; fails when the path is longer than the system allows (107 octets).
    init(unixPath path: String) throws(TransportError) {
        var address = sockaddr_un()
        let capacity = MemoryLayout.size(ofValue: address.sun_path) - 1
        guard path.utf8.count <= capacity, !path.isEmpty else {
            throw TransportError(.unreachable, "the socket path \"\(path)\" is empty or longer than \(capacity) octets")
        }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        family = AF_UNIX
        bytes = withUnsafeBytes(of: address) { Array($0) }
    }

    fileprivate init(family: Int32, bytes: [UInt8]) {
        self.family = family
        self.bytes = bytes
    }
}

enum Resolver {
    /// A way from an endpoint to its addresses; calls back once, on any thread.
    typealias LookUp =
        @Sendable (Endpoint, _ completion: @escaping @Sendable (Result<[SocketAddress], TransportError>) -> Void) ->
        Void

    /// Looks an endpoint up without blocking the caller: name service runs on a thread of its own.
    static func lookUp(
        _ endpoint: Endpoint,
        completion: @escaping @Sendable (Result<[SocketAddress], TransportError>) -> Void
    ) {
        switch endpoint {
        case .unix(let path):
            completion(Result { () throws(TransportError) in [try SocketAddress(unixPath: path)] })
        case .tcp(let host, let port):
            DispatchQueue.global().async { completion(lookUp(host: host, port: port)) }
        }
    }

    private static func lookUp(host: String, port: Int) -> Result<[SocketAddress], TransportError> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &list)
        guard status == 0 else {
            return .failure(TransportError(.unresolvable, "look up \(host): \(String(cString: gai_strerror(status)))"))
        }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            let bytes = UnsafeRawBufferPointer(start: entry.ai_addr, count: Int(entry.ai_addrlen))
            addresses.append(SocketAddress(family: entry.ai_family, bytes: Array(bytes)))
            next = entry.ai_next
        }
        return addresses.isEmpty
            ? .failure(TransportError(.unresolvable, "\(host) has no address"))
            : .success(addresses)
    }
}

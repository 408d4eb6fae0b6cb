/// Where to connect.
public enum Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// A host name or address (IPv6 without brackets) and a port.
    case tcp(host: String, port: Int)
    /// The path of a Unix-domain socket.
    case unix(path: String)

    /// `host:port`, `[address]:port` or the path.
    public var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): path
        }
    }

    /// Whom a certificate must name; empty for a socket file.
    var host: String {
        switch self {
        case .tcp(let host, _): host
        case .unix: ""
        }
    }
}

public import Transport

/// Where a Redis server is, and as whom to speak to it.
///
/// `redis://[user][:password]@host[:port][/db]`, `unix:///path?db=1` or `redis+socket:///path?virtual_host=1`.
/// Each part may be percent-encoded; the port is 6379 and the database 0 unless given.
public struct RedisURL: Hashable, Sendable, CustomStringConvertible {
    /// The server's address.
    public var endpoint: Endpoint
    /// The ACL user; the server's default user when absent.
    public var user: String?
    /// The password; no authentication when absent.
    public var password: String?
    /// The number of the database.
    public var database: Int

    /// Names a server by its parts.
    public init(endpoint: Endpoint, user: String? = nil, password: String? = nil, database: Int = 0) {
        self.endpoint = endpoint
        self.user = user
        self.password = password
        self.database = database
    }

    /// Reads a URL.
    ///
    /// - Throws: ``RedisError``, code `.invalidURL`, or `.tlsUnavailable` for `rediss://`. The message quotes no part of
    ///   the URL that may hold credentials.
    public init(_ text: String) throws(RedisError) {
        guard let separator = text.firstRange(of: "://") else {
            throw Self.invalid("a Redis URL begins with redis:// or unix://")
        }
        let scheme = text[..<separator.lowerBound].lowercased()
        let parts = Parts(text[separator.upperBound...])
        (user, password) = try Self.credentials(parts.userInfo)
        switch scheme {
        case "redis":
            endpoint = try Self.tcp(parts.authority)
            let path = parts.path.drop { $0 == "/" }
            let query = try Self.databaseParameter(parts.query)
            database = try path.isEmpty ? query ?? 0 : Self.databaseNumber(path)
        case "unix", "redis+socket":
            guard parts.authority.isEmpty else {
                throw Self.invalid("a socket URL has three slashes before the path: \(scheme):///run/redis.sock")
            }
            let path = try Self.decoded(parts.path, "path")
            guard path.count > 1 else { throw Self.invalid("the socket URL has no path") }
            endpoint = .unix(path: path)
            database = try Self.databaseParameter(parts.query) ?? 0
        case "rediss":
            throw RedisError(.tlsUnavailable, "TLS to Redis is not available in this version; use redis:// or a tunnel")
        default:
            throw Self.invalid("unknown scheme; known are redis, unix and redis+socket")
        }
    }

    /// The URL with the password replaced by asterisks.
    public var description: String {
        let credentials = password == nil ? user.map { "\($0)@" } ?? "" : "\(user ?? ""):***@"
        return switch endpoint {
        case .tcp: "redis://\(credentials)\(endpoint)/\(database)"
        case .unix(let path): "unix://\(credentials)\(path)?db=\(database)"
        }
    }
}

extension RedisURL {
    private struct Parts {
        var userInfo: Substring?
        var authority: Substring
        var path: Substring
        var query: Substring?

        init(_ text: Substring) {
            let beforeFragment = text.prefix { $0 != "#" }
            let beforeQuery = beforeFragment.prefix { $0 != "?" }
            query =
                beforeQuery.endIndex == beforeFragment.endIndex
                ? nil : beforeFragment[beforeQuery.endIndex...].dropFirst()
            let netloc = beforeQuery.prefix { $0 != "/" }
            path = beforeQuery[netloc.endIndex...]
            if let at = netloc.lastIndex(of: "@") {
                userInfo = netloc[..<at]
                authority = netloc[at...].dropFirst()
            } else {
                authority = netloc
            }
        }
    }

    private static func invalid(_ reason: String) -> RedisError { RedisError(.invalidURL, reason) }

    private static func decoded(_ text: some StringProtocol, _ part: String) throws(RedisError) -> String {
        var octets: [UInt8] = []
        var rest = text.utf8[...]
        while let octet = rest.popFirst() {
            guard octet == UInt8(ascii: "%") else {
                octets.append(octet)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else {
                throw invalid("the \(part) has a broken percent encoding")
            }
            octets.append(high << 4 | low)
        }
        guard let decoded = String(validating: octets, as: UTF8.self) else { throw invalid("the \(part) is not UTF-8") }
        return decoded
    }

    private static func hexDigit(_ octet: UInt8) -> UInt8? {
        switch octet {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): octet - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): octet - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): octet - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func credentials(_ text: Substring?) throws(RedisError) -> (user: String?, password: String?) {
        guard let text, !text.isEmpty else { return (nil, nil) }
        let user = text.prefix { $0 != ":" }
        guard user.endIndex != text.endIndex else { throw invalid("there is a user but no password") }
        let password = try decoded(text[user.endIndex...].dropFirst(), "password")
        return (user.isEmpty ? nil : try decoded(user, "user"), password.isEmpty ? nil : password)
    }

    private static func tcp(_ text: Substring) throws(RedisError) -> Endpoint {
        var host = text
        var port: Substring?
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { throw invalid("the address has no closing bracket") }
            host = text[..<end].dropFirst()
            let rest = text[end...].dropFirst()
            guard rest.isEmpty || rest.first == ":" else { throw invalid("a port follows the bracket after a colon") }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            port = text[colon...].dropFirst()
        }
        let number = port.map { $0.isEmpty ? 6379 : Int($0) ?? -1 } ?? 6379
        guard (1...65535).contains(number) else { throw invalid("the port is a number from 1 through 65535") }
        let name = try decoded(host, "host")
        return .tcp(host: name.isEmpty ? "localhost" : name, port: number)
    }

    private static func databaseNumber(_ text: some StringProtocol) throws(RedisError) -> Int {
        guard let number = Int(text), number >= 0 else { throw invalid("the database is a number from 0") }
        return number
    }

    private static func databaseParameter(_ query: Substring?) throws(RedisError) -> Int? {
        var database: Int?
        for item in (query ?? "").split(separator: "&") {
            let name = item.prefix { $0 != "=" }
            guard name == "db" || name == "virtual_host" else { throw invalid("the only parameter known is db") }
            database = try databaseNumber(item[name.endIndex...].dropFirst().drop { $0 == "/" })
        }
        return database
    }
}

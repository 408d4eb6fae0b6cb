public import Transport

/// Where a Redis server is, and as whom to speak to it.
///
/// `redis://[user][:password]@host[:port][/db]`, `unix:///path?db=1` or `redis+socket:///path?virtual_host=1`.
/// Each part may be percent-encoded; the port is 6379 and the database 0 unless given.
///
/// `rediss://` asks for TLS, verified against the system's authorities. Its query may hold what redis-py's does:
/// `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` and `ssl_password` (of the key), `ssl_cert_reqs` (`required` or `none`)
/// and `ssl_check_hostname` (`true`, the default, or `false`).
///
/// `sentinel://[user][:password]@host[:port],host[:port]/db?master=name` names the sentinels that know the master, whose
/// user, password and database are those of the URL; a sentinel's port is 26379. Credentials for the sentinels
/// themselves are the parameters `sentinel_user` and `sentinel_password`. Celery's form, a URL for each sentinel with
/// semicolons between them, is read too, with `master` or `master_name` in one of them. `sentinels://` asks for TLS, to the
/// sentinels and to the master, with the parameters of `rediss://`.
public struct RedisURL: Hashable, Sendable, CustomStringConvertible {
    /// The server's address; that of the first sentinel, where there are ``sentinels``.
    public var endpoint: Endpoint
    /// The sentinels that tell the server's address; none, if absent.
    public var sentinels: RedisSentinels?
    /// The ACL user; the server's default user when absent.
    public var user: String?
    /// The password; no authentication when absent.
    public var password: String?
    /// The number of the database.
    public var database: Int
    /// How the connection is encrypted; not at all, if absent.
    ///
    /// Holds for the sentinels as well.
    public var tls: TLSConfiguration?

    /// Names a server by its parts.
    public init(endpoint: Endpoint, user: String? = nil, password: String? = nil, database: Int = 0) {
        self.endpoint = endpoint
        self.user = user
        self.password = password
        self.database = database
    }

    /// Names a server by the sentinels that know it.
    public init(sentinels: RedisSentinels, user: String? = nil, password: String? = nil, database: Int = 0) {
        let first = sentinels.endpoints.first ?? .tcp(host: "localhost", port: 26379)
        self.init(endpoint: first, user: user, password: password, database: database)
        self.sentinels = sentinels
    }

    /// Reads a URL.
    ///
    /// - Throws: ``RedisError``, code `.invalidURL`. The message quotes no part of the URL that may hold credentials.
    public init(_ text: String) throws(RedisError) {
        guard let separator = text.firstRange(of: "://") else {
            throw Self.invalid("a Redis URL begins with redis://, rediss://, sentinel://, sentinels:// or unix://")
        }
        let scheme = text[..<separator.lowerBound].lowercased()
        guard scheme != "sentinel", scheme != "sentinels" else {
            let url = try SentinelURL(text)
            self = RedisURL(
                sentinels: url.sentinels,
                user: url.user,
                password: url.password,
                database: url.database ?? 0
            )
            tls = url.tls
            return
        }
        let parts = Parts(text[separator.upperBound...])
        (user, password) = try Self.credentials(parts.userInfo)
        switch scheme {
        case "redis", "rediss":
            endpoint = try Self.tcp(parts.authority)
            let path = parts.path.drop { $0 == "/" }
            var rest = parts.query
            if scheme == "rediss" { (tls, rest) = try Self.tlsParameters(parts.query ?? "") }
            let query = try Self.databaseParameter(rest)
            database = try path.isEmpty ? query ?? 0 : Self.databaseNumber(path)
        case "unix", "redis+socket":
            guard parts.authority.isEmpty else {
                throw Self.invalid("a socket URL has three slashes before the path: \(scheme):///run/redis.sock")
            }
            let path = try Self.decoded(parts.path, "path")
            guard path.count > 1 else { throw Self.invalid("the socket URL has no path") }
            endpoint = .unix(path: path)
            database = try Self.databaseParameter(parts.query) ?? 0
        default:
            throw Self.invalid("unknown scheme; known are redis, rediss, sentinel, sentinels, unix and redis+socket")
        }
    }

    /// The URL with the password replaced by asterisks.
    public var description: String {
        let credentials = password == nil ? user.map { "\($0)@" } ?? "" : "\(user ?? ""):***@"
        if let sentinels {
            let hosts = sentinels.endpoints.map(\.description).joined(separator: ",")
            return
                "\(tls == nil ? "sentinel" : "sentinels")://\(credentials)\(hosts)/\(database)?master=\(sentinels.master)"
        }
        return switch endpoint {
        case .tcp: "\(tls == nil ? "redis" : "rediss")://\(credentials)\(endpoint)/\(database)"
        case .unix(let path): "unix://\(credentials)\(path)?db=\(database)"
        }
    }
}

extension RedisURL {
    struct Parts {
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

    static func invalid(_ reason: String) -> RedisError { RedisError(.invalidURL, reason) }

    static func decoded(_ text: some StringProtocol, _ part: String) throws(RedisError) -> String {
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

    static func credentials(_ text: Substring?) throws(RedisError) -> (user: String?, password: String?) {
        guard let text, !text.isEmpty else { return (nil, nil) }
        let user = text.prefix { $0 != ":" }
        guard user.endIndex != text.endIndex else { throw invalid("there is a user but no password") }
        let password = try decoded(text[user.endIndex...].dropFirst(), "password")
        return (user.isEmpty ? nil : try decoded(user, "user"), password.isEmpty ? nil : password)
    }

    static func tcp(_ text: Substring, defaultPort: Int = 6379) throws(RedisError) -> Endpoint {
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
        let number = port.map { $0.isEmpty ? defaultPort : Int($0) ?? -1 } ?? defaultPort
        guard (1...65535).contains(number) else { throw invalid("the port is a number from 1 through 65535") }
        let name = try decoded(host, "host")
        return .tcp(host: name.isEmpty ? "localhost" : name, port: number)
    }

    /// Takes the parameters of TLS out of a query.
    static func tlsParameters(_ query: Substring) throws(RedisError) -> (TLSConfiguration, Substring) {
        var tls = TLSConfiguration()
        var (certificate, key, passphrase): (String?, String?, String?)
        var others: [Substring] = []
        for item in query.split(separator: "&") {
            let name = item.prefix { $0 != "=" }
            let value = try decoded(item[name.endIndex...].dropFirst(), "query")
            switch (name, value.lowercased()) {
            case ("ssl_ca_certs", _): tls.trust = .file(value)
            case ("ssl_certfile", _): certificate = value
            case ("ssl_keyfile", _): key = value
            case ("ssl_password", _): passphrase = value
            case ("ssl_cert_reqs", "required"), ("ssl_cert_reqs", "cert_required"): break
            case ("ssl_cert_reqs", "none"), ("ssl_cert_reqs", "cert_none"): tls.verification = .none
            case ("ssl_cert_reqs", _): throw invalid("ssl_cert_reqs is required or none")
            case ("ssl_check_hostname", "true"): break
            case ("ssl_check_hostname", "false"): if tls.verification == .full { tls.verification = .noHostname }
            case ("ssl_check_hostname", _): throw invalid("ssl_check_hostname is true or false")
            default: others.append(item)
            }
        }
        if let certificate {
            // A file may hold both.
            tls.clientCertificate = .init(
                certificateFile: certificate,
                keyFile: key ?? certificate,
                passphrase: passphrase
            )
        } else if key != nil || passphrase != nil {
            throw invalid("ssl_keyfile and ssl_password need ssl_certfile")
        }
        return (tls, others.joined(separator: "&")[...])
    }

    static func databaseNumber(_ text: some StringProtocol) throws(RedisError) -> Int {
        guard let number = Int(text), number >= 0 else { throw invalid("the database is a number from 0") }
        return number
    }

    private static func databaseParameter(_ query: Substring?) throws(RedisError) -> Int? {
        var database: Int?
        for item in (query ?? "").split(separator: "&") {
            let name = item.prefix { $0 != "=" }
            guard name == "db" || name == "virtual_host" else {
                throw invalid("a parameter is unknown; known are db and, for rediss://, those that begin with ssl_")
            }
            database = try databaseNumber(item[name.endIndex...].dropFirst().drop { $0 == "/" })
        }
        return database
    }
}

internal import Transport

/// What a URL with sentinels consists of.
struct SentinelURL {
    var sentinels = RedisSentinels([], master: "")
    var user: String?
    var password: String?
    var database: Int?
    /// How all of them, and the master, are spoken to; absent without TLS.
    var tls: TLSConfiguration?
    private var master: String?
    private var isSecure: Bool?

    /// Reads `sentinel://host,host/0?master=name`, the same with `sentinels://` for TLS, or several URLs of one sentinel each, separated by semicolons.
    ///
    /// What all of them share needs to be said once only, and may be repeated, as Celery's configuration does.
    init(_ text: String) throws(RedisError) {
        for url in text.split(separator: ";") {
            let scheme = url.firstRange(of: "://").map { url[..<$0.lowerBound].lowercased() }
            guard let scheme, scheme == "sentinel" || scheme == "sentinels" else {
                throw RedisURL.invalid("each URL of a list of sentinels begins with sentinel:// or sentinels://")
            }
            try Self.agree(&isSecure, scheme == "sentinels", "scheme")
            var parts = RedisURL.Parts(url[url.index(url.startIndex, offsetBy: scheme.count + 3)...])
            if scheme == "sentinels" { try readTLS(&parts) }
            try read(parts)
        }
        guard let master, !master.isEmpty else {
            throw RedisURL.invalid("the parameter master names the master that the sentinels watch: ?master=mymaster")
        }
        sentinels.master = master
        if sentinels.user != nil, sentinels.password == nil {
            throw RedisURL.invalid("there is a sentinel_user but no sentinel_password")
        }
    }

    /// Takes the parameters of TLS out of a query.
    private mutating func readTLS(_ parts: inout RedisURL.Parts) throws(RedisError) {
        let (tls, rest) = try RedisURL.tlsParameters(parts.query ?? "")
        parts.query = rest
        if self.tls == nil || self.tls == TLSConfiguration() {
            self.tls = tls
        } else if tls != TLSConfiguration() {
            try Self.agree(&self.tls, tls, "set of parameters of TLS")
        }
    }

    private mutating func read(_ parts: RedisURL.Parts) throws(RedisError) {
        let (user, password) = try RedisURL.credentials(parts.userInfo)
        try Self.agree(&self.user, user, "user")
        try Self.agree(&self.password, password, "password")
        for host in parts.authority.split(separator: ",", omittingEmptySubsequences: false) {
            let endpoint = try RedisURL.tcp(host, defaultPort: 26379)
            if !sentinels.endpoints.contains(endpoint) { sentinels.endpoints.append(endpoint) }
        }
        let path = parts.path.drop { $0 == "/" }
        if !path.isEmpty { try Self.agree(&database, RedisURL.databaseNumber(path), "database") }
        for item in (parts.query ?? "").split(separator: "&") {
            let name = item.prefix { $0 != "=" }
            let value = try RedisURL.decoded(item[name.endIndex...].dropFirst(), "query")
            switch name {
            case "master", "master_name": try Self.agree(&master, value, "master")
            case "sentinel_user", "sentinel_username": try Self.agree(&sentinels.user, value, "sentinel_user")
            case "sentinel_password": try Self.agree(&sentinels.password, value, "sentinel_password")
            case "db", "virtual_host":
                try Self.agree(&database, RedisURL.databaseNumber(value.drop { $0 == "/" }), "database")
            default:
                throw RedisURL.invalid(
                    "a parameter is unknown; known are master, db, sentinel_user and sentinel_password"
                )
            }
        }
    }

    private static func agree<Value: Equatable>(
        _ known: inout Value?,
        _ new: Value?,
        _ name: String
    ) throws(RedisError) {
        guard let new else { return }
        guard known == nil || known == new else {
            throw RedisURL.invalid("the \(name) is given twice, with different values")
        }
        known = new
    }
}

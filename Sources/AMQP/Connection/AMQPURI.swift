public import Transport

/// Where a broker is and how to log in: `amqp://user:password@host:port/vhost?heartbeat=20`.
///
/// `amqps://` asks for TLS, by default on port 5671, verified against the system's authorities. The query may hold
///
/// - `heartbeat` in seconds, `connection_timeout` in milliseconds, `channel_max`, `frame_max`;
/// - `auth_mechanism`: `plain`, `amqplain` or `external`; given more than once, in order of preference;
/// - for `amqps://`: `cacertfile`, `certfile`, `keyfile`, `password` (of the key), `verify` (`verify_peer` or
///   `verify_none`) and `server_name_indication` (a name, or `disable`).
///
/// Its description leaves the password and the query out.
///
/// - SeeAlso: RabbitMQ, "RabbitMQ URI specification" and "URI query parameters".
public struct AMQPURI: Hashable, Sendable {
    /// The host name or address; an IPv6 address without its brackets.
    public var host = "localhost"
    /// The TCP port; `amqps://` means 5671 unless it says otherwise.
    public var port = 5672
    /// The user to log in as.
    public var user = "guest"
    /// The user's password.
    public var password = "guest"
    /// The virtual host.
    public var virtualHost = "/"
    /// `heartbeat`, in seconds; zero turns heartbeats off.
    public var heartbeat: Duration?
    /// `connection_timeout`, in milliseconds.
    public var connectTimeout: Duration?
    /// `channel_max`; zero means no limit of our own.
    public var channelMax: UInt16?
    /// `frame_max` in octets; zero means no limit of our own.
    public var frameMax: UInt32?

    /// How the connection is encrypted; not at all, if absent.
    ///
    /// The server's name is ``host``, unless the configuration has another.
    public var tls: TLSConfiguration?
    private var mechanisms: [String] = []

    /// The local broker with RabbitMQ's default user.
    public init() {}

    /// Reads a URI.
    ///
    /// A missing part keeps its default; user, password and virtual host are percent-decoded.
    ///
    /// A missing path and `/` mean the virtual host `/`, as does `/%2f`.
    ///
    /// - Throws: ``AMQPError``, code `.invalidURI`, also for a parameter that is not known. The text of the error never
    ///   quotes the URI.
    public init(_ text: String) throws(AMQPError) {
        guard let schemeEnd = text.firstRange(of: "://") else { throw Self.invalid("it has no scheme") }
        switch text[..<schemeEnd.lowerBound].lowercased() {
        case "amqp": break
        case "amqps":
            tls = TLSConfiguration()
            port = 5671
        default: throw Self.invalid("its scheme is not amqp or amqps")
        }
        var rest = text[schemeEnd.upperBound...]
        if rest.contains("#") { throw Self.invalid("it has a fragment; write # as %23") }
        if let mark = rest.firstIndex(of: "?") {
            try readQuery(rest[rest.index(after: mark)...])
            rest = rest[..<mark]
        }
        if let slash = rest.firstIndex(of: "/") {
            let path = rest[rest.index(after: slash)...]
            guard !path.contains("/") else { throw Self.invalid("its virtual host contains a slash; write / as %2f") }
            guard !path.contains("@") || rest[..<slash].contains("@") else {
                // Else the rest of such a password would pass for the virtual host, which is no secret.
                throw Self.invalid("its login contains a slash; write / as %2f")
            }
            if !path.isEmpty { virtualHost = try Self.decoded(path, "virtual host") }
            rest = rest[..<slash]
        }
        if let at = rest.lastIndex(of: "@") {
            let login = rest[..<at]
            guard !login.contains("@") else { throw Self.invalid("its login contains an @; write @ as %40") }
            let parts = login.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = try Self.decoded(parts[0], "user")
            if parts.count > 1 { password = try Self.decoded(parts[1], "password") }
            rest = rest[rest.index(after: at)...]
        }
        try readAuthority(rest)
    }

    private mutating func readAuthority(_ authority: Substring) throws(AMQPError) {
        var portText: Substring?
        if authority.first == "[" {
            guard let end = authority.firstIndex(of: "]") else { throw Self.invalid("a bracket is not closed") }
            host = String(authority[authority.index(after: authority.startIndex)..<end])
            let tail = authority[authority.index(after: end)...]
            guard tail.isEmpty || tail.first == ":" else { throw Self.invalid("text follows the address") }
            portText = tail.isEmpty ? nil : tail.dropFirst()
        } else {
            let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2 else { throw Self.invalid("an IPv6 address needs brackets") }
            if let first = parts.first, !first.isEmpty { host = try Self.decoded(first, "host") }
            portText = parts.count > 1 ? parts[1] : nil
        }
        guard let portText, !portText.isEmpty else { return }
        guard let number = UInt16(portText), number > 0 else { throw Self.invalid("its port is not 1 through 65535") }
        port = Int(number)
    }

    private mutating func readQuery(_ query: Substring) throws(AMQPError) {
        for item in query.split(separator: "&") {
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = pair.count > 1 ? pair[1] : ""
            switch pair[0] {
            case "heartbeat": heartbeat = .seconds(try Self.number(value, "heartbeat", UInt16.self))
            case "connection_timeout":
                connectTimeout = .milliseconds(Int64(try Self.number(value, "connection_timeout", UInt32.self)))
            case "channel_max": channelMax = try Self.number(value, "channel_max", UInt16.self)
            case "frame_max": frameMax = try Self.number(value, "frame_max", UInt32.self)
            case "auth_mechanism":
                guard AMQPLogin(uriName: value) != nil else {
                    throw Self.invalid("auth_mechanism is not plain, amqplain or external")
                }
                mechanisms.append(value.lowercased())
            default: try readTLS(pair[0], try Self.decoded(value, "query"))
            }
        }
        guard let certificate = tls?.clientCertificate else { return }
        guard !certificate.certificateFile.isEmpty else { throw Self.invalid("keyfile and password need certfile") }
        // A file may hold both.
        if certificate.keyFile.isEmpty { tls?.clientCertificate?.keyFile = certificate.certificateFile }
    }

    private mutating func readTLS(_ name: Substring, _ value: String) throws(AMQPError) {
        guard tls != nil || !Self.tlsParameters.contains(name) else {
            throw Self.invalid("\(name) is for amqps://")
        }
        func client(_ change: (inout TLSConfiguration.ClientCertificate) -> Void) {
            var certificate = tls?.clientCertificate ?? .init(certificateFile: "", keyFile: "")
            change(&certificate)
            tls?.clientCertificate = certificate
        }
        switch (name, value) {
        case (_, "") where Self.tlsParameters.contains(name): throw Self.invalid("\(name) is empty")
        case ("cacertfile", _): tls?.trust = .file(value)
        case ("certfile", _): client { $0.certificateFile = value }
        case ("keyfile", _): client { $0.keyFile = value }
        case ("password", _): client { $0.passphrase = value }
        case ("verify", "verify_peer"): tls?.verification = .full
        case ("verify", "verify_none"): tls?.verification = .none
        case ("verify", _): throw Self.invalid("verify is not verify_peer or verify_none")
        case ("server_name_indication", "disable"):
            // As Erlang's ssl has it: no name is sent, and none expected.
            tls?.sendsServerName = false
            if tls?.verification == .full { tls?.verification = .noHostname }
        case ("server_name_indication", _): tls?.serverName = value
        default: throw Self.invalid("a parameter of its query is unknown; known are \(Self.knownParameters)")
        }
    }

    private static let tlsParameters: Set<Substring> = [
        "cacertfile", "certfile", "keyfile", "password", "verify", "server_name_indication",
    ]

    private static var knownParameters: String {
        (["heartbeat", "connection_timeout", "channel_max", "frame_max", "auth_mechanism"] + tlsParameters.sorted())
            .joined(separator: ", ")
    }

    /// What the query says about logging in, else the mechanisms that take a password.
    var logins: [AMQPLogin] {
        mechanisms.isEmpty ? [.plain, .amqplain] : mechanisms.compactMap { AMQPLogin(uriName: $0) }
    }

    private static func number<N: FixedWidthInteger>(
        _ text: Substring,
        _ option: String,
        _ type: N.Type
    ) throws(AMQPError) -> N {
        guard let number = N(text) else { throw invalid("\(option) is not a number from 0 through \(N.max)") }
        return number
    }

    private static func decoded(_ text: Substring, _ part: String) throws(AMQPError) -> String {
        var octets: [UInt8] = []
        var rest = text.utf8[...]
        while let octet = rest.popFirst() {
            guard octet == UInt8(ascii: "%") else {
                octets.append(octet)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else {
                throw invalid("its \(part) has a broken percent escape")
            }
            octets.append(high << 4 | low)
        }
        guard let text = String(validating: octets, as: UTF8.self) else { throw invalid("its \(part) is not UTF-8") }
        return text
    }

    private static func hexDigit(_ octet: UInt8) -> UInt8? {
        Character(Unicode.Scalar(octet)).hexDigitValue.map { UInt8($0) }
    }

    private static func invalid(_ reason: String) -> AMQPError {
        AMQPError(.invalidURI, "cannot read the AMQP URI: \(reason)")
    }
}

extension AMQPURI: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Where to connect.
    public var endpoint: Endpoint { .tcp(host: host, port: port) }

    /// The URI without the password and without options.
    public var description: String {
        "\(tls == nil ? "amqp" : "amqps")://\(Self.escaped(user)):***@\(endpoint)/\(Self.escaped(virtualHost))"
    }

    /// The same as the description: debuggers and string interpolation of containers leave the password out, too.
    public var debugDescription: String { description }

    /// Nothing but the description, so that `dump` leaves the password out.
    public var customMirror: Mirror { Mirror(self, children: ["uri": description]) }

    private static func escaped(_ text: String) -> String {
        let digits = Array("0123456789abcdef")
        var result = ""
        for octet in text.utf8 {
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(octet))
            default: result += "%\(digits[Int(octet >> 4)])\(digits[Int(octet & 15)])"
            }
        }
        return result
    }
}

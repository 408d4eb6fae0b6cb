/// The URL of a server, whose password does not show.
public struct ServerURL: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible, CustomReflectable {
    /// The URL as given, password included: for the driver only.
    package let secret: String

    /// Takes over a URL.
    public init(_ text: String) { secret = text }
    /// Takes over a URL.
    public init(stringLiteral text: String) { secret = text }

    /// The scheme in lower case: `amqp`, `redis`, `memory`; empty if there is none.
    public var scheme: String {
        secret.firstRange(of: "://").map { secret[..<$0.lowerBound].lowercased() } ?? ""
    }

    /// The URL with `***` for its password, and for the passphrase of a key in its query.
    public var description: String { Self.maskingParameters(withoutPassword) }

    /// The text with `***` for the value of each parameter whose name ends in `password`.
    package static func maskingParameters(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let name = rest.firstRange(of: "password=") {
            result += rest[..<name.upperBound] + "***"
            rest = rest[name.upperBound...].drop { $0 != "&" && !$0.isWhitespace && $0 != "\"" && $0 != "'" }
        }
        return result + rest
    }

    private var withoutPassword: String {
        guard let scheme = secret.firstRange(of: "://") else { return secret.contains("@") ? "***" : secret }
        let rest = secret[scheme.upperBound...]
        // The last `@` of all: a password may hold unescaped `@`, `/` or `?`, and hiding too much does no harm.
        guard let at = rest.lastIndex(of: "@") else { return secret }
        let user = rest[..<at].prefix { $0 != ":" }
        let hasPassword = user.endIndex != at
        return secret[..<scheme.upperBound] + user + (hasPassword ? ":***" : "") + rest[at...]
    }

    /// Shows the description only, to `dump` and to debuggers.
    public var customMirror: Mirror { Mirror(self, children: ["url": description]) }
}

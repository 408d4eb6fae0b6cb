internal import FoundationEssentials

/// Servers that integration tests may use, named by environment variables.
///
/// A suite that needs one is enabled by it: `.enabled(if: TestServer.rabbitMQ != nil, "set RABBITMQ_URL")`.
public enum TestServer {
    /// A server named by a variable that is not set was asked for.
    public struct Missing: Error, CustomStringConvertible {
        let variable: String
        /// Which variable to set.
        public var description: String { "set \(variable)" }
    }

    /// A kind of server.
    public enum Kind: String, Sendable {
        case rabbitMQ = "RABBITMQ_URL"
        case redis = "REDIS_URL"
    }

    /// The URL of a RabbitMQ, from `RABBITMQ_URL`.
    public static let rabbitMQ = url(of: .rabbitMQ)
    /// The URL of a Redis, from `REDIS_URL`.
    public static let redis = url(of: .redis)

    /// The URL of a server, or an error that says what to set.
    public static func require(_ kind: Kind) throws -> String {
        guard let url = url(of: kind) else { throw Missing(variable: kind.rawValue) }
        return url
    }

    private static func url(of kind: Kind) -> String? {
        guard let text = ProcessInfo.processInfo.environment[kind.rawValue], !text.isEmpty else { return nil }
        return text
    }
}

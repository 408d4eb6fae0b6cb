/// How a client proves who it is: one SASL mechanism.
///
/// What it sends is shown by no description.
public struct AMQPLogin: Sendable {
    /// Makes the answer to a challenge, or the first words if there is none yet; `nil` if it has no answer.
    typealias Responder = @Sendable (_ user: String, _ password: String, _ challenge: [UInt8]?) throws -> [UInt8]?

    /// The mechanism's name, as servers list it.
    public let mechanism: String
    private let responder: Responder
    /// In place of the URI's password.
    var secret: String?

    /// The URI's user and password (RFC 4616); what brokers offer by default.
    public static let plain = AMQPLogin(mechanism: "PLAIN") { user, password, challenge in
        try repeated(challenge) {
            // The octets between the parts must not be in them.
            guard !user.utf8.contains(0), !password.utf8.contains(0) else {
                throw AMQPError(.invalidArgument, "a user or password with a zero octet cannot be sent by PLAIN")
            }
            return [0] + Array(user.utf8) + [0] + Array(password.utf8)
        }
    }

    /// The URI's user and password as a field table, which only AMQP knows.
    public static let amqplain = AMQPLogin(mechanism: "AMQPLAIN") { user, password, challenge in
        try repeated(challenge) {
            var octets: [UInt8] = []
            let table: FieldTable = ["LOGIN": .string(user), "PASSWORD": .string(password)]
            try table.encode(into: &octets)
            return Array(octets.dropFirst(4))  // the response has a length of its own
        }
    }

    /// The client certificate of a TLS connection; user and password are not sent.
    ///
    /// The broker takes the user's name from the certificate. RabbitMQ needs the plugin `rabbitmq_auth_mechanism_ssl`.
    public static let external = AMQPLogin(mechanism: "EXTERNAL") { _, _, challenge in repeated(challenge) { [] } }

    /// An OAuth 2 access token in place of the password.
    ///
    /// The broker must know its issuer. Before it expires give the connection a new one:
    /// ``AMQPConnection/updateSecret(_:reason:)``, or ``RecoveringConnection/updateSecret(_:reason:)``, which logs in again
    /// with it.
    public static func token(_ token: String) -> AMQPLogin {
        var login = plain
        login.secret = token
        return login
    }

    /// Another mechanism.
    ///
    /// - Parameters:
    ///   - mechanism: Its name, as the broker lists it.
    ///   - respond: Makes the first response, when there is no challenge yet, and the answer to each challenge. It is
    ///     called on the event loop and must not block. What it throws ends the login, and is the error's cause.
    public static func custom(
        _ mechanism: String,
        respond: @escaping @Sendable (_ challenge: [UInt8]?) throws -> [UInt8]
    ) -> AMQPLogin {
        AMQPLogin(mechanism: mechanism) { _, _, challenge in try respond(challenge) }
    }

    /// A mechanism with one response: a server that has not read it yet challenges with nothing, and gets it again.
    private static func repeated(_ challenge: [UInt8]?, _ response: () throws -> [UInt8]) rethrows -> [UInt8]? {
        challenge?.isEmpty == false ? nil : try response()
    }

    /// The mechanism that a URI names.
    init?(uriName name: some StringProtocol) {
        switch name.lowercased() {
        case "plain": self = .plain
        case "amqplain": self = .amqplain
        case "external": self = .external
        default: return nil
        }
    }

    private init(mechanism: String, respond: @escaping Responder) {
        self.mechanism = mechanism
        responder = respond
    }

    func respond(_ user: String, _ password: String, _ challenge: [UInt8]?) throws -> [UInt8]? {
        try responder(user, secret ?? password, challenge)
    }
}

extension AMQPLogin: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The mechanism's name.
    public var description: String { mechanism }

    /// The mechanism's name.
    public var debugDescription: String { mechanism }

    /// Nothing but the mechanism's name.
    public var customMirror: Mirror { Mirror(self, children: ["mechanism": mechanism]) }
}

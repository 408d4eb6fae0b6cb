/// How an exchange routes.
///
/// An open set: plugins bring types of their own, named by a string literal.
public struct ExchangeType: RawRepresentable, Hashable, Sendable, ExpressibleByStringLiteral {
    /// The name on the wire.
    public let rawValue: String

    /// A type by its name on the wire.
    public init(rawValue: String) { self.rawValue = rawValue }
    /// A type by its name on the wire.
    public init(stringLiteral value: String) { self.init(rawValue: value) }

    /// To queues bound with exactly the routing key.
    public static let direct: ExchangeType = "direct"
    /// To all queues bound.
    public static let fanout: ExchangeType = "fanout"
    /// To queues bound with a pattern of the routing key's words: `*` is one word, `#` any number of them.
    public static let topic: ExchangeType = "topic"
    /// To queues bound with headers that match; see ``BindingArguments``.
    public static let headers: ExchangeType = "headers"
    /// After the message's own delay; brought by RabbitMQ's delayed message plugin.
    public static let delayedMessage: ExchangeType = "x-delayed-message"
    /// To one queue, chosen by a hash of the routing key; brought by RabbitMQ's consistent hash plugin.
    public static let consistentHash: ExchangeType = "x-consistent-hash"
    /// To one queue, chosen at random; brought by RabbitMQ's random exchange plugin.
    public static let random: ExchangeType = "x-random"
}

/// What an exchange is declared with beyond the standard's own flags: RabbitMQ's extensions, typed.
///
/// A dictionary literal works as well; its fields are sent as they are, unchecked, as those of ``other``.
public struct ExchangeArguments: Hashable, Sendable {
    /// Where messages go that this exchange can route nowhere.
    ///
    /// On the wire: `alternate-exchange`.
    ///
    /// A mandatory message that the alternate exchange takes is not returned.
    public var alternateExchange: String?
    /// How an exchange of type ``ExchangeType/delayedMessage`` routes once the delay is over.
    ///
    /// On the wire: `x-delayed-type`.
    public var delayedType: ExchangeType?
    /// Fields without a property here; sent as they are.
    public var other: FieldTable

    /// Arguments of which those that are given are sent.
    public init(
        alternateExchange: String? = nil,
        delayedType: ExchangeType? = nil,
        other: FieldTable = [:]
    ) {
        self.alternateExchange = alternateExchange
        self.delayedType = delayedType
        self.other = other
    }

    /// The arguments as they travel: the typed ones, then the others.
    ///
    /// - Throws: ``AMQPError``, `.invalidArgument`, for an argument that is given twice.
    public func fields() throws(AMQPError) -> FieldTable {
        var fields: [(name: String, value: FieldValue)] = []
        if let alternateExchange { fields.append(("alternate-exchange", .string(alternateExchange))) }
        if let delayedType { fields.append(("x-delayed-type", .string(delayedType.rawValue))) }
        for field in fields where other[field.name] != nil {
            throw AMQPError(argument: field.name, field.value.string ?? "", "give it once, not in other as well")
        }
        return FieldTable(fields: fields + other.fields)
    }

    /// Refuses what a broker would refuse.
    ///
    /// - Throws: ``AMQPError``, `.invalidArgument`, naming the argument, its value and what to do.
    public func validate(type: ExchangeType) throws(AMQPError) {
        _ = try fields()
        if let alternateExchange { try ShortString.check(alternateExchange, "alternate-exchange") }
        switch (type, delayedType) {
        case (.delayedMessage, nil) where other["x-delayed-type"] == nil:
            throw AMQPError(
                argument: "type",
                type.rawValue,
                "it needs x-delayed-type, such as direct, to know how to route after the delay"
            )
        case (.delayedMessage, .delayedMessage?):
            throw AMQPError(argument: "x-delayed-type", type.rawValue, "give the type that routes after the delay")
        case (.delayedMessage, _), (_, nil): break
        case (_, let delayedType?):
            throw AMQPError(
                argument: "x-delayed-type",
                delayedType.rawValue,
                "only an exchange of type x-delayed-message takes it; this one is \(type.rawValue)"
            )
        }
    }
}

extension ExchangeArguments: ExpressibleByDictionaryLiteral {
    /// No arguments.
    public init() { self.init(alternateExchange: nil) }

    /// Fields that are sent as they are, unchecked.
    public init(dictionaryLiteral elements: (String, FieldValue)...) {
        self.init(other: FieldTable(elements))
    }
}

extension ShortString {
    /// The same for a name that must be one: the empty name means the last queue that was declared on the channel, which
    /// somebody else may have been.
    ///
    /// - Throws: ``AMQPError``, `.invalidArgument`, saying which name is missing or too long.
    static func checkPresent(_ text: String, _ what: String) throws(AMQPError) {
        if text.isEmpty { throw AMQPError(argument: what, "\"\"", "name the \(what)") }
        try check(text, what)
    }

    /// - Throws: ``AMQPError``, `.invalidArgument`, saying which name is too long.
    static func check(_ text: String, _ what: String) throws(AMQPError) {
        guard text.utf8.count > maximumOctets else { return }
        let count = octets(of: text).count
        guard count > maximumOctets else { return }
        throw AMQPError(argument: what, text, "\(count) octets of UTF-8, and AMQP allows \(maximumOctets); shorten it")
    }
}

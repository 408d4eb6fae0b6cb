/// What a binding of a `headers` exchange compares, and others ignore.
///
/// ```swift
/// try await channel.bindQueue("pictures", to: "media", routingKey: "", arguments: .matchingAll(["kind": "picture"]))
/// ```
public struct BindingArguments: Hashable, Sendable {
    /// How many of the headers must match (`x-match`).
    public enum Match: String, Hashable, Sendable, CaseIterable {
        /// All, leaving out those whose names begin with `x-`.
        case all
        /// At least one, leaving out those whose names begin with `x-`.
        case any
        /// All, those whose names begin with `x-` as well; 3.10 and later.
        case allWithX = "all-with-x"
        /// At least one, those whose names begin with `x-` as well; 3.10 and later.
        case anyWithX = "any-with-x"
    }

    /// How many must match; unless given, all.
    public var match: Match?
    /// The headers and the values they must have; ``FieldValue/void`` matches any value.
    public var headers: FieldTable

    /// Arguments of a binding.
    public init(match: Match? = nil, headers: FieldTable = [:]) {
        self.match = match
        self.headers = headers
    }

    /// Messages that have all of these headers.
    public static func matchingAll(_ headers: FieldTable) -> BindingArguments {
        BindingArguments(match: .all, headers: headers)
    }

    /// Messages that have at least one of these headers.
    public static func matchingAny(_ headers: FieldTable) -> BindingArguments {
        BindingArguments(match: .any, headers: headers)
    }

    /// The arguments as they travel.
    public var fields: FieldTable {
        guard let match else { return headers }
        return FieldTable(fields: [("x-match", .string(match.rawValue))] + headers.fields)
    }
}

extension BindingArguments: ExpressibleByDictionaryLiteral {
    /// No arguments.
    public init() { self.init(match: nil) }

    /// Fields that are sent as they are.
    public init(dictionaryLiteral elements: (String, FieldValue)...) {
        self.init(headers: FieldTable(elements))
    }
}

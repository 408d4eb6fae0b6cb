/// Arguments of one call, encoded: the first two parts of a task message's body.
package struct Payload: Sendable, Hashable {
    /// A JSON array.
    package var positional: [UInt8]
    /// A JSON object.
    package var keywords: [UInt8]

    package init(positional: [UInt8] = Array("[]".utf8), keywords: [UInt8] = Array("{}".utf8)) {
        self.positional = positional
        self.keywords = keywords
    }

    private static let embed = Array(
        #", {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]"#.utf8
    )

    /// What follows the arguments in the body of a call without keywords and follow-ups, as Python writes it, too.
    private static let plainTail = Array(", {}".utf8) + embed

    /// The positional arguments of a body that is seen to have nothing else, without parsing it.
    ///
    /// If what is cut out is one JSON array then so it is; if it is not, the body was something else.
    static func positionalAlone(in body: [UInt8]) -> [UInt8]? {
        guard body.first == UInt8(ascii: "["), body.count > plainTail.count,
            body.suffix(plainTail.count) == plainTail[...]
        else { return nil }
        return Array(body[1..<(body.count - plainTail.count)])
    }

    /// `[args, kwargs, embed]` without follow-ups.
    package var body: [UInt8] {
        var body: [UInt8] = []
        body.reserveCapacity(positional.count + keywords.count + Self.embed.count + 3)
        body.append(UInt8(ascii: "["))
        body += positional
        body += [UInt8(ascii: ","), UInt8(ascii: " ")]
        body += keywords
        body += Self.embed
        return body
    }
}

/// Encodes a call's values as one JSON array.
package struct PositionalArguments<each Argument: Encodable>: Encodable {
    private let values: (repeat each Argument)

    package init(_ value: repeat each Argument) { values = (repeat each value) }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        repeat try container.encode(each values)
    }
}

/// Why a call's body does not fit the task it names.
package enum CallDefect: Error, Sendable, Hashable {
    /// The body is not `[args, kwargs, embed]`.
    case malformed(String)
    /// Too many, too few, or of the wrong type.
    case wrongArguments(String)
    /// The call has callbacks, a chain or a chord, which would be skipped.
    case unsupportedFollowUps(String)
}

/// Reads a body straight into a closure task's arguments.
struct PositionalBody<each Argument: Decodable>: Decodable {
    let arguments: (repeat each Argument)

    init(from decoder: any Decoder) throws {
        arguments = try Self.read(from: decoder)
    }

    // Apart from `init`, because the compiler (6.3.1) crashes on an initialiser that can throw after a pack is stored.
    private static func read(from decoder: any Decoder) throws -> (repeat each Argument) {
        var reader = try ArgumentReader(decoder)
        let arguments = (repeat try reader.next((each Argument).self))
        try reader.finish()
        return arguments
    }
}

/// Reads positional arguments that stand alone: the common case, at a third of the price of the whole body.
///
/// Fails without saying why: ``PositionalBody`` does.
struct PlainArguments<each Argument: Decodable>: Decodable {
    let arguments: (repeat each Argument)

    private struct Mismatch: Error {}

    init(from decoder: any Decoder) throws {
        arguments = try Self.read(from: decoder)
    }

    private static func read(from decoder: any Decoder) throws -> (repeat each Argument) {
        var container = try decoder.unkeyedContainer()
        let arguments = (repeat try container.decode((each Argument).self))
        guard container.isAtEnd else { throw Mismatch() }
        return arguments
    }
}

/// Reads a body's keyword arguments into a struct task.
struct KeywordBody<Payload: Decodable>: Decodable {
    let payload: Payload

    init(from decoder: any Decoder) throws {
        var reader = try ArgumentReader(decoder)
        payload = try reader.keywords(as: Payload.self)
    }
}

extension CodingUserInfoKey {
    /// `[String]`: the names a task gives its positional parameters.
    static let parameterNames = CodingUserInfoKey(rawValue: "celeriac.parameters")
}

/// Hands out the arguments of a body one by one: the positional ones first, then keyword arguments by parameter name.
private struct ArgumentReader {
    private var body: any UnkeyedDecodingContainer
    private var positional: any UnkeyedDecodingContainer
    private var keywords: KeyedDecodingContainer<Name>?
    private let names: [String]
    private let given: Int
    private var position = 0
    private var usedKeywords: Set<String> = []
    private let keywordsDecoder: (any Decoder)?

    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(_ decoder: any Decoder) throws {
        names = CodingUserInfoKey.parameterNames.flatMap { decoder.userInfo[$0] as? [String] } ?? []
        do {
            body = try decoder.unkeyedContainer()
            positional = try body.nestedUnkeyedContainer()
            given = positional.count ?? 0
            let keywordsDecoder = try body.superDecoder()
            keywords = try keywordsDecoder.container(keyedBy: Name.self)
            self.keywordsDecoder = keywordsDecoder
            if !body.isAtEnd { try Self.refuseFollowUps(in: body.superDecoder()) }
        } catch let defect as CallDefect {
            throw defect
        } catch {
            throw CallDefect.malformed("the body is not [args, kwargs, embed]: \(error.brief)")
        }
    }

    /// Follow-ups that would be skipped must not be: such a call is refused as a whole.
    private static func refuseFollowUps(in decoder: any Decoder) throws {
        if try decoder.singleValueContainer().decodeNil() { return }
        let embed = try decoder.container(keyedBy: Name.self)
        for name in ["callbacks", "errbacks", "chain", "chord"] {
            let key = Name(stringValue: name)
            guard embed.contains(key), try !embed.decodeNil(forKey: key) else { continue }
            if let list = try? embed.nestedUnkeyedContainer(forKey: key), list.isAtEnd { continue }
            throw CallDefect.unsupportedFollowUps("the call has \(name), which this version cannot run")
        }
    }

    mutating func next<Argument: Decodable>(_ type: Argument.Type) throws -> Argument {
        defer { position += 1 }
        let name = position < names.count ? names[position] : nil
        let label = "argument \(position + 1)" + (name.map { " (\($0))" } ?? "")
        do {
            if !positional.isAtEnd { return try positional.decode(type) }
            if let name, let keywords, keywords.contains(Name(stringValue: name)) {
                usedKeywords.insert(name)
                return try keywords.decode(type, forKey: Name(stringValue: name))
            }
        } catch {
            throw CallDefect.wrongArguments("\(label): \(error.brief)")
        }
        if let absent = (type as? any AbsentRepresentable.Type)?.absent as? Argument { return absent }
        throw CallDefect.wrongArguments("\(label) of type \(type) is missing; \(given) positional given")
    }

    func finish() throws {
        guard positional.isAtEnd else {
            throw CallDefect.wrongArguments("takes \(position) positional arguments, \(given) given")
        }
        let unknown = keywords?.allKeys.map(\.stringValue).filter { !usedKeywords.contains($0) }.sorted() ?? []
        guard !unknown.isEmpty else { return }
        let known =
            names.isEmpty ? "the task was defined without parameter names" : "it has \(names.joined(separator: ", "))"
        throw CallDefect.wrongArguments("no parameter for the keyword \(unknown.joined(separator: ", ")): \(known)")
    }

    mutating func keywords<Payload: Decodable>(as type: Payload.Type) throws -> Payload {
        guard given == 0, let keywordsDecoder else {
            throw CallDefect.wrongArguments("takes keyword arguments only, \(given) positional given")
        }
        do {
            return try Payload(from: keywordsDecoder)
        } catch {
            throw CallDefect.wrongArguments(error.brief)
        }
    }
}

/// An optional parameter may be left out at the end of a call.
private protocol AbsentRepresentable {
    static var absent: Self { get }
}

extension Optional: AbsentRepresentable {
    fileprivate static var absent: Wrapped? { nil }
}

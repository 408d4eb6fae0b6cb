internal import FoundationEssentials

/// JSON as Celery and kombu write it, through Foundation's coders.
///
/// Kombu's dialect differs from the standard in two ways, both rare and both handled off the common path: `NaN` and
/// `Infinity` stand bare, and types without a JSON form travel in an envelope of exactly the keys `__type__` and
/// `__value__`. Nesting is limited before Foundation recurses.
package enum PayloadCoding {
    /// The deepest nesting of arrays and objects that is accepted.
    package static let maximumDepth = 128

    /// Decodes a value; errors of a type's own `init(from:)` pass through unchanged.
    ///
    /// - Parameter parameters: For ``PositionalBody``: the names of the task's parameters.
    package static func decode<Value: Decodable>(
        _ type: Value.Type,
        from bytes: [UInt8],
        parameters: [String] = []
    ) throws -> Value {
        let traits = try JSONTraits(scanning: bytes)
        let decoder = JSONDecoder()
        if !parameters.isEmpty, let key = CodingUserInfoKey.parameterNames { decoder.userInfo[key] = parameters }
        decoder.dateDecodingStrategy = .custom(decodeDate)
        decoder.allowsJSON5 = traits.mayHoldBareNonFinite
        guard traits.mayHoldEnvelopes else { return try decoder.decode(type, from: Data(bytes)) }
        let plain = try decoder.decode(JSONValue.self, from: Data(bytes)).withoutEnvelopes()
        decoder.allowsJSON5 = true
        return try decoder.decode(type, from: Data(JSONText.value(plain)))
    }

    /// Encodes a value.
    ///
    /// Dates and data become kombu's envelopes, which Python reads as `datetime` and `bytes`.
    ///
    /// - Throws: ``CeleriacError`` `.invalidPayload` for what has no JSON form.
    package static func encode<Value: Encodable>(_ value: Value, sortedKeys: Bool = false) throws(CeleriacError)
        -> [UInt8]
    {
        do {
            let encoder = encoder()
            if sortedKeys { encoder.outputFormatting.insert(.sortedKeys) }
            return spaced(try encoder.encode(value))
        } catch {
            throw CeleriacError(.invalidPayload, "cannot encode a \(Value.self) as JSON: \(error)", underlying: error)
        }
    }

    /// The same text with a space after each comma and colon, as Python writes it: bodies are then equal octet for octet.
    private static func spaced(_ json: Data) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(json.count + json.count / 4)
        var isInString = false
        var isEscaped = false
        for octet in json {
            text.append(octet)
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if octet == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if octet == UInt8(ascii: "\"") {
                    isInString = false
                }
            } else if octet == UInt8(ascii: "\"") {
                isInString = true
            } else if octet == UInt8(ascii: ",") || octet == UInt8(ascii: ":") {
                text.append(UInt8(ascii: " "))
            }
        }
        return text
    }

    private static func encoder() -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        encoder.dateEncodingStrategy = .custom { date, encoder in
            try Envelope(type: "datetime", value: WireTime.text(of: date)).encode(to: encoder)
        }
        encoder.dataEncodingStrategy = .custom { data, encoder in
            try Envelope(type: "base64", value: data.base64EncodedString()).encode(to: encoder)
        }
        return encoder
    }

    @Sendable private static func decodeDate(from decoder: any Decoder) throws -> Date {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let date = WireTime.date(from: text) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "\"\(text)\" is not an ISO 8601 time"
            )
        }
        return date
    }

    private struct Envelope: Encodable {
        let type: String
        let value: String

        enum CodingKeys: String, CodingKey {
            case type = "__type__"
            case value = "__value__"
        }
    }
}

/// What one walk over a JSON text tells before it is decoded.
private struct JSONTraits {
    var mayHoldBareNonFinite = false
    var mayHoldEnvelopes = false

    private static let marker = Array("__type__\"".utf8)

    init(scanning bytes: [UInt8]) throws {
        var depth = 0
        var index = bytes.startIndex
        while index < bytes.endIndex {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                index += 1
                if index < bytes.endIndex, bytes[index] == UInt8(ascii: "_"), bytes[index...].starts(with: Self.marker)
                {
                    mayHoldEnvelopes = true
                }
                while index < bytes.endIndex, bytes[index] != UInt8(ascii: "\"") {
                    index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
                }
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                guard depth <= PayloadCoding.maximumDepth else {
                    throw CeleriacError(.undecodable, "JSON nested deeper than \(PayloadCoding.maximumDepth) levels")
                }
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            case UInt8(ascii: "N"), UInt8(ascii: "I"): mayHoldBareNonFinite = true
            default: break
            }
            index += 1
        }
    }
}

extension JSONValue {
    /// Replaces kombu's envelopes by the plain value a Swift type decodes from.
    ///
    /// - Throws: ``CeleriacError`` `.undecodable` for an envelope of an unknown type.
    fileprivate func withoutEnvelopes() throws(CeleriacError) -> JSONValue {
        switch self {
        case .array(let elements):
            return .array(try elements.map { element throws(CeleriacError) in try element.withoutEnvelopes() })
        case .object(let members):
            if members.count == 2, let type = members["__type__"]?.string, let value = members["__value__"] {
                return try Self.content(ofEnvelope: type, value)
            }
            var plain: [String: JSONValue] = [:]
            for (name, member) in members { plain[name] = try member.withoutEnvelopes() }
            return .object(plain)
        case .null, .bool, .int, .double, .string:
            return self
        }
    }

    private static func content(ofEnvelope type: String, _ value: JSONValue) throws(CeleriacError) -> JSONValue {
        switch (type, value) {
        case ("datetime", .string), ("date", .string), ("time", .string), ("base64", .string), ("decimal", .string):
            return value
        case ("bytes", .string(let text)):
            return .string(Data(text.utf8).base64EncodedString())
        case ("uuid", .object(let members)):
            guard let hex = members["hex"]?.string, hex.utf8.count == 32 else { break }
            return .string(Self.dashed(hex))
        default: break
        }
        throw CeleriacError(.undecodable, "a value of the unknown type \"\(type)\" cannot be read")
    }

    /// `8-4-4-4-12`, the form `UUID` decodes from.
    private static func dashed(_ hex: String) -> String {
        var text = ""
        for (index, digit) in hex.enumerated() {
            if [8, 12, 16, 20].contains(index) { text.append("-") }
            text.append(digit)
        }
        return text
    }
}

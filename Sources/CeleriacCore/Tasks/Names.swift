/// The id of one task: unique, chosen by whoever enqueues it, kept over retries.
public struct TaskID: Hashable, Sendable, Codable, RawRepresentable, ExpressibleByStringLiteral, CustomStringConvertible
{
    /// The id's text; any non-empty string, a UUID unless the caller chose one.
    public let rawValue: String

    /// Takes over an id.
    public init(rawValue: String) { self.rawValue = rawValue }
    /// Takes over an id.
    public init(_ text: String) { rawValue = text }
    /// Takes over an id.
    public init(stringLiteral text: String) { rawValue = text }
    /// Reads the bare text.
    public init(from decoder: any Decoder) throws { rawValue = try decoder.singleValueContainer().decode(String.self) }

    /// The bare text.
    public var description: String { rawValue }

    /// A new id: a version 4 UUID in lower case.
    ///
    /// Foundation's own opens the system's random device each time, which costs more than the rest of a call.
    package static func random() -> TaskID {
        var generator = SystemRandomNumberGenerator()
        let high = generator.next() & 0xFFFF_FFFF_FFFF_0FFF | 0x4000  // RFC 9562 §5.4: the version …
        let low = generator.next() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000  // … and the variant
        let text = String(unsafeUninitializedCapacity: 36) { buffer in
            let digits: StaticString = "0123456789abcdef"
            var position = 0
            for nibble in 0..<32 {
                if nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20 {
                    buffer[position] = UInt8(ascii: "-")
                    position += 1
                }
                let value = (nibble < 16 ? high : low) >> (60 - 4 * UInt64(nibble % 16)) & 15
                buffer[position] = digits.utf8Start[Int(value)]
                position += 1
            }
            return position
        }
        return TaskID(text)
    }

    /// Writes the bare text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

/// The name of a task, part of the wire contract: producers send it, workers look their code up by it.
public struct TaskName: Hashable, Sendable, Comparable, ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
    CustomStringConvertible
{
    /// The name's text, such as `images.thumbnail`.
    public let rawValue: String

    /// Takes over a name.
    public init(_ text: String) { rawValue = text }
    /// Takes over a name.
    public init(stringLiteral text: String) { rawValue = text }

    /// The bare text.
    public var description: String { rawValue }

    /// Alphabetical order.
    public static func < (left: TaskName, right: TaskName) -> Bool { left.rawValue < right.rawValue }
}

/// The name of a queue.
public struct QueueName: Hashable, Sendable, Comparable, ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
    CustomStringConvertible
{
    /// The name's text; AMQP allows 255 octets.
    public let rawValue: String

    /// Takes over a name.
    public init(_ text: String) { rawValue = text }
    /// Takes over a name.
    public init(stringLiteral text: String) { rawValue = text }

    /// Celery's default queue, `celery`.
    public static let celery: QueueName = "celery"

    /// Where messages of this queue go that can never be executed: `<name>.dlq`.
    public var deadLetters: QueueName { QueueName("\(rawValue).dlq") }

    /// The bare text.
    public var description: String { rawValue }

    /// Alphabetical order.
    public static func < (left: QueueName, right: QueueName) -> Bool { left.rawValue < right.rawValue }
}

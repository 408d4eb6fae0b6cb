/// What a consumer is started with beyond the standard's own flags: RabbitMQ's extensions, typed.
///
/// A dictionary literal works as well; its fields are sent as they are, unchecked, as those of ``other``.
public struct ConsumerArguments: Hashable, Sendable {
    /// Consumers of higher priority get messages first, others only while those are busy.
    ///
    /// On the wire: `x-priority`.
    ///
    /// Any number; zero unless given.
    public var priority: Int?
    /// Where to begin in a stream; unless given, with what is published from now on.
    ///
    /// On the wire: `x-stream-offset`.
    ///
    /// A consumer of a stream needs a prefetch of at least one, and acknowledgements.
    public var streamOffset: StreamOffset?
    /// Values of which a message of a stream must carry one; 3.13 and later.
    ///
    /// On the wire: `x-stream-filter`.
    public var streamFilter: [String]
    /// Whether messages that carry no filter value come, too.
    ///
    /// On the wire: `x-stream-match-unfiltered`.
    public var streamMatchUnfiltered: Bool?
    /// How long a delivery may stay unsettled, in whole milliseconds; 4.3 and later.
    ///
    /// On the wire: `x-consumer-timeout`.
    public var consumerTimeout: Duration?
    /// Whether the failover of a mirrored queue cancels the consumer; before 4.0 only.
    ///
    /// On the wire: `x-cancel-on-ha-failover`.
    public var cancelOnFailover: Bool?
    /// Fields without a property here; sent as they are.
    public var other: FieldTable

    /// Arguments of which those that are given are sent.
    public init(
        priority: Int? = nil,
        streamOffset: StreamOffset? = nil,
        streamFilter: [String] = [],
        streamMatchUnfiltered: Bool? = nil,
        consumerTimeout: Duration? = nil,
        cancelOnFailover: Bool? = nil,
        other: FieldTable = [:]
    ) {
        self.priority = priority
        self.streamOffset = streamOffset
        self.streamFilter = streamFilter
        self.streamMatchUnfiltered = streamMatchUnfiltered
        self.consumerTimeout = consumerTimeout
        self.cancelOnFailover = cancelOnFailover
        self.other = other
    }

    /// The arguments as they travel: the typed ones, then the others.
    ///
    /// - Throws: ``AMQPError``, `.invalidArgument`, for a value out of range, or one that is given twice.
    public func fields() throws(AMQPError) -> FieldTable {
        var fields: [(name: String, value: FieldValue)] = []
        if let priority { fields.append(("x-priority", FieldValue(Int64(priority)))) }
        if let streamOffset { fields.append(("x-stream-offset", try streamOffset.field())) }
        if !streamFilter.isEmpty {
            fields.append(("x-stream-filter", .array(streamFilter.map(FieldValue.string))))
        }
        if let streamMatchUnfiltered {
            fields.append(("x-stream-match-unfiltered", .boolean(streamMatchUnfiltered)))
        }
        if let consumerTimeout {
            let count = consumerTimeout.wholeMilliseconds
            guard count > 0 else {
                throw AMQPError(argument: "x-consumer-timeout", "\(consumerTimeout)", "it must be at least 1 ms")
            }
            fields.append(("x-consumer-timeout", FieldValue(count)))
        }
        if let cancelOnFailover { fields.append(("x-cancel-on-ha-failover", .boolean(cancelOnFailover))) }
        for field in fields where other[field.name] != nil {
            throw AMQPError(argument: field.name, "\(field.value)", "give it once, not in other as well")
        }
        return FieldTable(fields: fields + other.fields)
    }

    /// Refuses what a broker would refuse.
    ///
    /// - Throws: ``AMQPError``, `.invalidArgument`, naming the argument, its value and what to do.
    public func validate(prefetch: UInt16, noAck: Bool) throws(AMQPError) {
        _ = try fields()
        let offset = streamOffset.map { "x-stream-offset = \($0)" }
        guard let cause = offset ?? (streamFilter.isEmpty ? nil : "x-stream-filter = \(streamFilter)") else { return }
        if prefetch == 0 {
            throw AMQPError(
                argument: "prefetch",
                "0",
                "the consumer of a stream (\(cause)) needs at least 1; 100 is a good start"
            )
        }
        if noAck {
            throw AMQPError(
                argument: "noAck",
                "true",
                "the consumer of a stream (\(cause)) gets its credit by acknowledging; use false"
            )
        }
    }
}

extension ConsumerArguments: ExpressibleByDictionaryLiteral {
    /// No arguments.
    public init() { self.init(priority: nil) }

    /// Fields that are sent as they are, unchecked.
    public init(dictionaryLiteral elements: (String, FieldValue)...) {
        self.init(other: FieldTable(elements))
    }
}

/// Where in a stream a consumer begins.
public enum StreamOffset: Hashable, Sendable {
    /// With the oldest message that is kept.
    case first
    /// With the last chunk that was written; a chunk has one message or more.
    case last
    /// With what is published from now on.
    case next
    /// With the message of that number, or the first one after it. Numbers begin with zero.
    case offset(UInt64)
    /// With the chunk of that time, in seconds since 1970.
    case timestamp(UInt64)
    /// With the chunk of so long ago, in whole seconds.
    case interval(Duration)

    func field() throws(AMQPError) -> FieldValue {
        switch self {
        case .first: return "first"
        case .last: return "last"
        case .next: return "next"
        case .offset(let number):
            guard let number = Int64(exactly: number) else {
                throw AMQPError(argument: "x-stream-offset", "\(number)", "it must fit 63 bits")
            }
            return .int64(number)
        case .timestamp(let seconds):
            return .timestamp(seconds)
        case .interval(let duration):
            let seconds = duration.wholeSeconds
            guard seconds > 0 else {
                throw AMQPError(argument: "x-stream-offset", "\(duration)", "an interval has at least one second")
            }
            return .string("\(seconds)s")
        }
    }
}

/// Why and where a message was dead-lettered, as RabbitMQ notes it in the header `x-death`.
///
/// The broker counts: deaths in one queue for one reason share an entry.
public struct Death: Hashable, Sendable {
    /// Why a message dies.
    public enum Reason: Hashable, Sendable {
        /// A consumer rejected it, and not to be requeued.
        case rejected
        /// Its time to live, or its queue's, was over.
        case expired
        /// Its queue was full.
        case maxLength
        /// It was delivered more often than its quorum queue allows.
        case deliveryLimit
        /// A reason that is not known here.
        case other(String)

        init(_ text: String) {
            self =
                switch text {
                case "rejected": .rejected
                case "expired": .expired
                case "maxlen": .maxLength
                case "delivery_limit": .deliveryLimit
                default: .other(text)
                }
        }
    }

    /// The queue that it died in.
    public let queue: String
    /// Why.
    public let reason: Reason
    /// How often, in that queue for that reason.
    public let count: Int
    /// When first, in seconds since 1970.
    public let time: UInt64?
    /// The exchange that it had been published to.
    public let exchange: String
    /// The routing keys that it had been published with, `CC` included.
    public let routingKeys: [String]
    /// The message's own time to live, which the broker removes so that it does not die of it again.
    public let originalTimeToLive: Duration?

    init?(_ table: FieldTable) {
        guard let queue = table["queue"]?.string, let reason = table["reason"]?.string else { return nil }
        self.queue = queue
        self.reason = Reason(reason)
        count = table["count"]?.integer.flatMap { Int(exactly: $0) } ?? 1
        time = table["time"]?.integer.flatMap { UInt64(exactly: $0) }
        exchange = table["exchange"]?.string ?? ""
        routingKeys = table["routing-keys"]?.array?.compactMap(\.string) ?? []
        originalTimeToLive = table["original-expiration"]?.string.flatMap { Int64($0) }.map { .milliseconds($0) }
    }
}

extension BasicProperties {
    /// The message's deaths, the last one first; empty for one that was never dead-lettered.
    public var deaths: [Death] {
        self[header: "x-death"]?.array?.compactMap { $0.table.flatMap { Death($0) } } ?? []
    }

    /// The queue in which the message died first (`x-first-death-queue`).
    public var firstDeathQueue: String? { self[header: "x-first-death-queue"]?.string }

    /// The exchange to which the message had been published when it died first (`x-first-death-exchange`).
    public var firstDeathExchange: String? { self[header: "x-first-death-exchange"]?.string }

    /// Why the message died first (`x-first-death-reason`).
    public var firstDeathReason: Death.Reason? { self[header: "x-first-death-reason"]?.string.map { Death.Reason($0) } }
}

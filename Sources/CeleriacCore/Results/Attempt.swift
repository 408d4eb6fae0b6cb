/// Which run of a task a record is from: what fences the writes of a run that has been superseded.
///
/// A retry is newer than the run before it, and a message delivered again newer than its former delivery. Both numbers
/// come with the message, so that fencing costs no look-up. A classic queue does not count deliveries: from the second on
/// they are alike, and what they write is told apart by its state alone.
package struct Attempt: Hashable, Comparable, Sendable {
    /// Larger is newer; exact as a floating-point number, which is what Lua has.
    package let rawValue: Int64

    /// The run of a message that was retried and redelivered so many times.
    package init(retries: Int, redeliveries: Int) {
        let retries = Int64(min(max(0, retries), 1 << 30))
        rawValue = retries << 20 | Int64(min(max(0, redeliveries), 1 << 20 - 1))
    }

    private init(rawValue: Int64) { self.rawValue = rawValue }

    /// The run that was noted under this number.
    package init(noted rawValue: Int64) { self.rawValue = max(-1, rawValue) }

    /// The first run.
    package static let first = Attempt(rawValue: 0)
    /// Before any run: such a record replaces nothing.
    package static let none = Attempt(rawValue: -1)

    /// The header that carries ``redeliveries`` of a parked call: it comes back in a message that was never delivered before,
    /// and what it then comes to would seem older than what it has stored already.
    package static let parkedHeader = "x-celeriac-redeliveries"

    /// How often the message was redelivered, in the run's terms.
    package var redeliveries: Int { Int(rawValue & (1 << 20 - 1)) }

    package static func < (left: Attempt, right: Attempt) -> Bool { left.rawValue < right.rawValue }
}

extension Delivery {
    /// How often a quorum queue delivered the message before; `nil` the first time, and from classic queues.
    package var deliveryCount: Int? {
        // One that was dead-lettered and moved back brings the count of its former queue along.
        guard isRedelivered, let count = message.headers["x-delivery-count"]?.int, count > 0 else { return nil }
        return count
    }

    /// The run that this delivery begins.
    package func attempt(retries: Int) -> Attempt {
        // Only quorum queues count; a message that the broker dead-lettered and somebody moved back counts from zero again.
        let redeliveries = isRedelivered ? deliveryCount ?? 1 : 0
        let parked = min(max(0, message.headers[Attempt.parkedHeader]?.int ?? 0), 1 << 20)
        return Attempt(retries: retries, redeliveries: deaths << 10 + min(redeliveries, 1 << 10 - 1) + parked)
    }

    /// How often the broker dead-lettered the message for other reasons than time, which is how delays end.
    private var deaths: Int {
        guard let deaths = message.headers["x-death"]?.array else { return 0 }
        return deaths.reduce(0) { sum, death in
            guard case .table(let death) = death, death["reason"]?.string != "expired" else { return sum }
            return min(sum + min(max(0, death["count"]?.int ?? 1), 1 << 10), 1 << 10 - 1)
        }
    }
}

public import CeleriacCore
public import FoundationEssentials

/// The instants at which a schedule entry is due: its slots.
public enum Trigger: Hashable, Sendable, CustomStringConvertible {
    /// Slots at a fixed distance, aligned to the Unix epoch.
    case interval(IntervalTrigger)
    /// Slots on the wall clock, in Celery's crontab notation.
    case crontab(CrontabTrigger)

    /// A slot every so often; see ``IntervalTrigger/init(every:)``.
    public static func every(_ interval: Duration) throws(CeleriacError) -> Trigger {
        .interval(try IntervalTrigger(every: interval))
    }

    /// Slots by five fields; see ``CrontabTrigger/init(_:in:)``.
    public static func cron(_ text: String, in zone: String? = nil) throws(CeleriacError) -> Trigger {
        .crontab(try CrontabTrigger(text, in: zone))
    }

    /// The first slot after an instant, which itself is excluded; `nil` if there is none.
    public func next(after date: Date) -> Date? {
        switch self {
        case .interval(let trigger): trigger.next(after: date)
        case .crontab(let trigger): trigger.next(after: date)
        }
    }

    /// The latest slots of a span, oldest first; the start is excluded, the end included.
    ///
    /// - Parameter limit: At most so many slots; the cost grows with it, not with the length of the span.
    public func latest(_ limit: Int, after start: Date, through end: Date) -> [Date] {
        guard limit > 0, start < end else { return [] }
        switch self {
        case .interval(let trigger): return trigger.latest(limit, after: start, through: end)
        case .crontab: break
        }
        // Looks back twice as far until enough is found, so that a month of downtime is not walked minute by minute.
        var reach = 120.0
        while true {
            let from = max(start, end.addingTimeInterval(-reach))
            var found: [Date] = []
            var cursor = from
            while let slot = next(after: cursor), slot <= end {
                found.append(slot)
                cursor = slot
            }
            if found.count >= limit || from == start { return found.suffix(limit) }
            reach *= 2
        }
    }

    /// The crontab text or the interval.
    public var description: String {
        switch self {
        case .interval(let trigger): trigger.description
        case .crontab(let trigger): trigger.description
        }
    }
}

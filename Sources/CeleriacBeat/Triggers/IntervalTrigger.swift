public import CeleriacCore
public import FoundationEssentials

/// Slots at a fixed distance in real time.
///
/// Slots are the multiples of the interval counted from the Unix epoch, so that all beats agree on which slot is which,
/// whenever they were started. An interval of one hour is due at each full hour of UTC, one of a day at midnight UTC. Time
/// zones and daylight saving do not matter; for a time of day use ``CrontabTrigger``.
///
/// Celery's own beat counts from its start instead, and so shifts its slots with each restart.
public struct IntervalTrigger: Hashable, Sendable, CustomStringConvertible {
    /// The distance between two slots.
    public let interval: Duration
    private let milliseconds: Int64

    /// The longest interval: 100 years.
    private static let longest: Int64 = 36_525 * 86_400_000

    /// A slot every so often.
    ///
    /// - Parameter interval: Whole milliseconds, at least one, at most 100 years.
    /// - Throws: ``CeleriacError``, code `.configuration`, for any other interval.
    public init(every interval: Duration) throws(CeleriacError) {
        let (seconds, attoseconds) = interval.components
        let (parts, rest) = attoseconds.quotientAndRemainder(dividingBy: 1_000_000_000_000_000)
        guard interval >= .milliseconds(1), interval <= .milliseconds(Self.longest), rest == 0 else {
            throw CeleriacError(
                .configuration,
                "interval \(interval) is not allowed; allowed are whole milliseconds from 0.001 seconds to 100 years"
            )
        }
        self.interval = interval
        milliseconds = seconds * 1000 + parts
    }

    /// The first multiple of the interval after an instant; `nil` beyond the calendar's end.
    public func next(after date: Date) -> Date? {
        guard let instant = date.wholeMilliseconds else { return nil }
        return Date(milliseconds: (instant.flooredQuotient(by: milliseconds) + 1) * milliseconds)
    }

    /// The latest slots of a span, oldest first; the start is excluded, the end included.
    func latest(_ limit: Int, after start: Date, through end: Date) -> [Date] {
        guard let from = start.wholeMilliseconds, let to = end.wholeMilliseconds else { return [] }
        let last = to.flooredQuotient(by: milliseconds)
        let first = max(from.flooredQuotient(by: milliseconds) + 1, last - Int64(limit) + 1)
        guard first <= last else { return [] }
        return (first...last).map { Date(milliseconds: $0 * milliseconds) }
    }

    /// `every 30.0 seconds`.
    public var description: String { "every \(interval)" }
}

extension Date {
    /// The instant a whole number of milliseconds after the Unix epoch.
    package init(milliseconds: Int64) {
        self.init(timeIntervalSince1970: Double(milliseconds) / 1000)
    }

    /// Milliseconds since the Unix epoch, rounded down; `nil` some 10,000 years away.
    ///
    /// `Date` is a binary fraction, so it is rounded to microseconds first: a slot read back is the same slot.
    package var wholeMilliseconds: Int64? {
        let microseconds = (timeIntervalSince1970 * 1e6).rounded()
        guard microseconds.magnitude < 3.2e17 else { return nil }
        return Int64(microseconds).flooredQuotient(by: 1000)
    }
}

extension Int64 {
    /// The quotient rounded towards negative infinity.
    package func flooredQuotient(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}

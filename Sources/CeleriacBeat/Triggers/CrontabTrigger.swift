public import CeleriacCore
public import FoundationEssentials

/// Slots on the wall clock, in Celery's crontab notation.
///
/// Five fields, `minute hour day_of_month month day_of_week`, separated by blanks, such as `0 8 * * mon-fri`:
///
/// - A field is `*`, a number, a range `a-b`, or several of these joined by commas; `*` and ranges take a step, `*/15` or
///   `9-17/2`. Ranges may wrap: `fri-mon`, hours `22-2`. Months and days also have their English names, of which three
///   letters suffice. Sunday is 0; 7 is out of range.
/// - **All** fields must match, also both day fields, unlike cron's either-or: `0 0 13 * fri` is each Friday the 13th.
/// - There are no seconds, no years, no `L`, `W`, `#`, `?` and no `@daily`.
///
/// ## Daylight saving
///
/// A slot is a time on the wall clock of the entry's zone, and every such time is due once:
///
/// - A time that the clock skips is due as much later as the clock was put forward: where 02:00 becomes 03:00, an entry
///   for 02:30 runs at 03:30 that day. When that falls on another slot of the entry, the two are one.
/// - Of a time that the clock shows twice, only the first is due. That holds for `0 * * * *` too: the repeated hour has no
///   run, as in Celery. For work that must run each real hour, use an interval.
public struct CrontabTrigger: Hashable, Sendable, CustomStringConvertible {
    /// The five fields as given.
    public let text: String
    /// The IANA name of the zone whose wall clock counts; `nil` is UTC.
    public let zone: String?

    private let minutes: CrontabField
    private let hours: CrontabField
    private let daysOfMonth: CrontabField
    private let months: CrontabField
    private let daysOfWeek: CrontabField
    private let offsets: ZoneOffsets?

    /// 29 February falls on a given day of the week at least once in 40 years.
    private static let horizonInMonths = 41 * 12

    /// Reads the five fields.
    ///
    /// - Parameter zone: The IANA name of a time zone, such as `Europe/Berlin`; UTC if `nil`.
    /// - Throws: ``CeleriacError``, code `.configuration`, that names the field, its text and what is allowed: for a text
    ///   that is no crontab, a date that never comes such as 30 February, and an unknown zone.
    public init(_ text: String, in zone: String? = nil) throws(CeleriacError) {
        let fields = text.split(whereSeparator: \.isWhitespace).map(String.init)
        guard fields.count == 5 else {
            throw CeleriacError(
                .configuration,
                "crontab \"\(text)\" has \(fields.count) fields; allowed are five: minute hour day_of_month month day_of_week"
            )
        }
        try self.init(
            minute: fields[0],
            hour: fields[1],
            dayOfMonth: fields[2],
            month: fields[3],
            dayOfWeek: fields[4],
            in: zone
        )
    }

    /// Reads each field by itself; one left out matches always.
    ///
    /// - Throws: ``CeleriacError``, code `.configuration`; see ``init(_:in:)``.
    public init(
        minute: String = "*",
        hour: String = "*",
        dayOfMonth: String = "*",
        month: String = "*",
        dayOfWeek: String = "*",
        in zone: String? = nil
    ) throws(CeleriacError) {
        text = [minute, hour, dayOfMonth, month, dayOfWeek].joined(separator: " ")
        self.zone = zone
        minutes = try CrontabField(minute, .minute)
        hours = try CrontabField(hour, .hour)
        daysOfMonth = try CrontabField(dayOfMonth, .dayOfMonth)
        months = try CrontabField(month, .month)
        daysOfWeek = try CrontabField(dayOfWeek, .dayOfWeek)
        offsets = try ZoneOffsets.named(zone)
        let earliest = daysOfMonth.first(from: 1) ?? 1
        guard months.values.contains(where: { CivilDate.length(ofMonth: $0, in: 2000) >= earliest }) else {
            throw CeleriacError(
                .configuration,
                "crontab field day_of_month \"\(dayOfMonth)\" never comes in month \"\(month)\"; allowed are the month's days"
            )
        }
    }

    /// The first slot after an instant, which itself is excluded.
    ///
    /// A pure function of the instant; it searches by month and day, never minute by minute.
    public func next(after date: Date) -> Date? {
        let seconds = date.timeIntervalSince1970
        guard seconds.magnitude < 1e11 else { return nil }  // some 3,000 years away from 1970
        // Rounded to microseconds, the least that `Date` keeps apart, so that a slot read back is the same slot.
        let instant = Int64((seconds * 1e6).rounded()).flooredQuotient(by: 1_000_000)
        guard let offsets else { return nextWall(after: instant).map { Date(timeIntervalSince1970: Double($0)) } }

        // Times skipped by the clock come up to a gap's length after their wall time: start as early as that.
        var wall =
            instant + Int64(min(offsets.offset(at: instant), offsets.offset(at: instant - ZoneOffsets.longestGap)))
        var best: Int64?
        var limit = Int64.max
        while let candidate = nextWall(after: wall), candidate <= limit {
            wall = candidate
            let (slot, skipped) = offsets.instant(ofWall: candidate)
            guard slot > instant else { continue }
            best = min(best ?? slot, slot)
            // A skipped time may come after a later time of the wall clock: look at those before settling.
            limit = min(limit, candidate + Int64(skipped))
        }
        return best.map { Date(timeIntervalSince1970: Double($0)) }
    }

    /// The next matching minute of the wall clock, in seconds as if it were UTC.
    private func nextWall(after wall: Int64) -> Int64? {
        let minute = wall.flooredQuotient(by: 60) + 1
        let startDay = minute.flooredQuotient(by: 1440)
        let ofDay = Int(minute - startDay * 1440)
        var date = CivilDate(daysSinceEpoch: startDay)
        for _ in 0..<Self.horizonInMonths {
            if months.contains(date.month) {
                var day = date.daysSinceEpoch
                let monthEnd = day + Int64(CivilDate.length(ofMonth: date.month, in: date.year) - date.day)
                while day <= monthEnd {
                    if daysOfMonth.contains(date.day), daysOfWeek.contains(CivilDate.weekday(daysSinceEpoch: day)),
                        let time = firstTime(from: day == startDay ? ofDay : 0)
                    {
                        return (day * 1440 + Int64(time)) * 60
                    }
                    day += 1
                    date.day += 1
                }
            }
            date = CivilDate(year: date.month == 12 ? date.year + 1 : date.year, month: date.month % 12 + 1, day: 1)
        }
        return nil
    }

    /// The first matching minute of a day, not before the given one.
    private func firstTime(from bound: Int) -> Int? {
        let (hour, minute) = (bound / 60, bound % 60)
        if hours.contains(hour), let found = minutes.first(from: minute) { return hour * 60 + found }
        guard let later = hours.first(from: hour + 1), let found = minutes.first(from: 0) else { return nil }
        return later * 60 + found
    }

    /// The five fields, and the zone unless it is UTC.
    public var description: String { zone.map { "\(text) (\($0))" } ?? text }
}

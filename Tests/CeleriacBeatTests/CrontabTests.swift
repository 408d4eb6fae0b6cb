import CeleriacCore
import FoundationEssentials
import Testing

@testable import CeleriacBeat

@Suite("Crontab") struct CrontabTests {
    @Test(
        "Expands each field as Celery does",
        arguments: [
            ("fri-mon", "day_of_week", [0, 1, 5, 6]), ("22-2", "hour", [0, 1, 2, 22, 23]),
            ("nov-feb", "month", [1, 2, 11, 12]),
            ("10-20/3", "minute", [10, 13, 16, 19]), ("22-2/2", "hour", [0, 2, 22]),
            ("sat-tue/2", "day_of_week", [1, 6]),
            ("*/61", "minute", [0]), ("*/7", "minute", [0, 7, 14, 21, 28, 35, 42, 49, 56]),
            ("*/2", "day_of_week", [0, 2, 4, 6]), ("*/3", "month", [1, 4, 7, 10]),
            ("*/10", "day_of_month", [1, 11, 21, 31]),
            ("sun, thurs,Monday", "day_of_week", [0, 1, 4]), (" 5 ,7", "minute", [5, 7]), ("5-5", "hour", [5]),
            ("mar", "day_of_month", [3]), ("1,1,2-3,3", "month", [1, 2, 3]), ("*/99999999", "hour", [0]),
            ("sept", "month", [9]), ("MAY-june", "month", [5, 6]),
        ]
    )
    func expansion(_ text: String, _ kind: String, _ values: [Int]) throws {
        let kind = try #require(CrontabField.Kind(rawValue: kind))
        #expect(try CrontabField(text, kind).values == values)
    }

    @Test(
        "Names the field, the text and what is allowed when it refuses one",
        arguments: [
            ("5/2 * * * *", "minute \"5/2\""), ("*/0 * * * *", "minute"), ("1,,2 * * * *", "empty part"),
            ("-1 * * * *", "minute"), ("* * * * 7", "day_of_week \"7\""), ("60 * * * *", "0-59"),
            ("0 24 * * *", "0-23"),
            ("0 0 0 * *", "1-31"), ("0 0 32 * *", "1-31"), ("0 0 * 13 *", "1-12"), ("0 0 * 0 *", "jan-dec"),
            ("a * * * *", "\"a\""), ("1- * * * *", "minute"), ("1-2-3 * * * *", "minute"), ("*/ * * * *", "step"),
            ("*5 * * * *", "minute"), ("0 0 L * *", "day_of_month"), ("0 0 * * mon#2", "day_of_week"),
            ("0 0 * * mo", "day_of_week"), ("1-5/-1 * * * *", "minute"), ("0 0 * * sunxyz", "day_of_week"),
            ("* * * *", "4 fields"), ("* * * * * *", "6 fields"), ("@daily", "1 fields"), ("", "0 fields"),
            ("0 0 ? * *", "day_of_month"), ("99999999999999999999 * * * *", "minute"), ("٣ * * * *", "minute"),
            ("*/1/2 * * * *", "minute"), ("**/2 * * * *", "minute"), ("- * * * *", "minute"), ("/5 * * * *", "minute"),
        ]
    )
    func refusal(_ text: String, _ hint: String) throws {
        let error = try #require(throws: CeleriacError.self) { try CrontabTrigger(text) }
        #expect(error.code == .configuration)
        #expect(error.message.contains(hint))
        #expect(error.message.contains("allowed"))
    }

    @Test(
        "Refuses dates that never come",
        arguments: ["0 0 30 2 *", "0 0 31 4,6 *", "0 0 31 feb,sep,nov *", "0 0 30-31 2 *"]
    )
    func impossibleDates(_ text: String) throws {
        let error = try #require(throws: CeleriacError.self) { try CrontabTrigger(text) }
        #expect(error.message.contains("never comes"))
    }

    @Test("Takes fields one by one, with blanks inside them")
    func fieldByField() throws {
        let trigger = try CrontabTrigger(minute: "0, 30", hour: "8", dayOfWeek: "mon - fri")
        #expect(trigger.next(after: at("2026-11-20T08:30:00Z")) == at("2026-11-23T08:00:00Z"))
        #expect(trigger.text == "0, 30 8 * * mon - fri")
    }

    @Test(
        "Refuses an unknown time zone",
        arguments: ["Europe/Atlantis", "GMT+3", "", "europe/berlin", "../etc/passwd"]
    )
    func unknownZone(_ zone: String) throws {
        let error = try #require(throws: CeleriacError.self) { try CrontabTrigger("0 0 * * *", in: zone) }
        #expect(error.code == .configuration)
        #expect(error.message.contains("\"\(zone)\""))
    }

    @Test("Needs both day fields to match")
    func bothDayFields() throws {
        let trigger = try CrontabTrigger("0 0 13 * fri")
        #expect(trigger.next(after: at("2026-03-13T00:00:00Z")) == at("2026-11-13T00:00:00Z"))
    }

    // Computed by Celery 5.7.0's `crontab.remaining_delta` in UTC.
    @Test(
        "Finds the slot that Celery finds",
        arguments: [
            ("0 0 29 2 *", "2026-03-13T20:03:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 29 2 *", "2095-02-12T18:03:30Z", "2096-02-29T00:00:00Z"),
            ("0 0 29 2 *", "2024-01-03T13:26:00Z", "2024-02-29T00:00:00Z"),
            ("0 0 29 2 mon", "2024-02-18T13:03:30Z", "2044-02-29T00:00:00Z"),
            ("0 0 29 2 mon", "2023-04-21T20:37:00Z", "2044-02-29T00:00:00Z"),
            ("0 0 29 2 mon", "2095-10-13T01:14:00Z", "2112-02-29T00:00:00Z"),
            ("*/7 * * * *", "2095-03-10T13:09:30Z", "2095-03-10T13:14:00Z"),
            ("*/7 * * * *", "2023-10-10T17:52:30Z", "2023-10-10T17:56:00Z"),
            ("*/7 * * * *", "2024-02-19T18:40:00Z", "2024-02-19T18:42:00Z"),
            ("0 0 13 * fri", "2026-02-18T22:04:30Z", "2026-03-13T00:00:00Z"),
            ("0 0 13 * fri", "2023-10-07T15:43:30Z", "2023-10-13T00:00:00Z"),
            ("0 0 13 * fri", "2027-06-15T18:59:00Z", "2027-08-13T00:00:00Z"),
            ("0 0 31 * *", "2026-05-08T05:44:00Z", "2026-05-31T00:00:00Z"),
            ("0 0 31 * *", "2023-10-10T16:31:00Z", "2023-10-31T00:00:00Z"),
            ("0 0 31 * *", "2027-05-20T02:07:30Z", "2027-05-31T00:00:00Z"),
            ("0 22-2/2 * * *", "2027-03-25T10:09:00Z", "2027-03-25T22:00:00Z"),
            ("0 22-2/2 * * *", "2027-01-22T02:48:30Z", "2027-01-22T22:00:00Z"),
            ("0 22-2/2 * * *", "2095-06-11T22:22:30Z", "2095-06-12T00:00:00Z"),
            ("0 0 * nov-feb *", "2027-10-26T14:04:00Z", "2027-11-01T00:00:00Z"),
            ("0 0 * nov-feb *", "2026-08-23T21:04:00Z", "2026-11-01T00:00:00Z"),
            ("0 0 * nov-feb *", "2026-11-19T21:52:00Z", "2026-11-20T00:00:00Z"),
            ("30 4 * * sat-tue/2", "2026-12-13T21:22:00Z", "2026-12-14T04:30:00Z"),
            ("30 4 * * sat-tue/2", "2027-06-06T19:07:00Z", "2027-06-07T04:30:00Z"),
            ("30 4 * * sat-tue/2", "2023-04-25T09:08:30Z", "2023-04-29T04:30:00Z"),
            ("0 12 */10 * *", "2024-07-13T15:05:00Z", "2024-07-21T12:00:00Z"),
            ("0 12 */10 * *", "2027-07-18T08:56:00Z", "2027-07-21T12:00:00Z"),
            ("0 12 */10 * *", "2027-09-09T22:26:00Z", "2027-09-11T12:00:00Z"),
            ("5 0 1 */3 *", "2027-04-05T02:11:00Z", "2027-07-01T00:05:00Z"),
            ("5 0 1 */3 *", "2024-11-08T00:31:30Z", "2025-01-01T00:05:00Z"),
            ("5 0 1 */3 *", "2024-05-10T00:09:00Z", "2024-07-01T00:05:00Z"),
            ("0 0 30 4,6,9,11 sunday", "2095-06-20T18:20:00Z", "2096-09-30T00:00:00Z"),
            ("0 0 30 4,6,9,11 sunday", "2095-10-21T21:47:00Z", "2096-09-30T00:00:00Z"),
            ("0 0 30 4,6,9,11 sunday", "2027-11-26T17:25:00Z", "2028-04-30T00:00:00Z"),
            ("59 23 31 12 *", "2027-07-04T15:40:00Z", "2027-12-31T23:59:00Z"),
            ("59 23 31 12 *", "2023-04-03T06:28:00Z", "2023-12-31T23:59:00Z"),
            ("59 23 31 12 *", "2023-06-20T01:06:00Z", "2023-12-31T23:59:00Z"),
            ("*/61 */25 * * *", "2095-03-18T03:23:30Z", "2095-03-19T00:00:00Z"),
            ("*/61 */25 * * *", "2023-02-28T06:39:00Z", "2023-03-01T00:00:00Z"),
            ("*/61 */25 * * *", "2024-11-09T11:38:00Z", "2024-11-10T00:00:00Z"),
            ("15,45 9-17/4 * sept-MAR thurs", "2027-02-04T15:29:00Z", "2027-02-04T17:15:00Z"),
            ("15,45 9-17/4 * sept-MAR thurs", "2027-05-03T04:06:30Z", "2027-09-02T09:15:00Z"),
            ("15,45 9-17/4 * sept-MAR thurs", "2026-12-09T15:53:30Z", "2026-12-10T09:15:00Z"),
            ("0 0 1 1 0", "2024-09-01T06:33:00Z", "2034-01-01T00:00:00Z"),
            ("0 0 1 1 0", "2024-12-18T00:48:30Z", "2034-01-01T00:00:00Z"),
            ("0 0 1 1 0", "2026-11-28T02:44:00Z", "2034-01-01T00:00:00Z"),
            ("10-20/3 0 * * *", "2095-06-06T11:49:00Z", "2095-06-07T00:10:00Z"),
            ("10-20/3 0 * * *", "2095-09-25T16:21:30Z", "2095-09-26T00:10:00Z"),
            ("10-20/3 0 * * *", "2024-10-26T06:51:00Z", "2024-10-27T00:10:00Z"),
            ("0 5 fri-mon * *", "2027-12-26T07:12:30Z", "2027-12-27T05:00:00Z"),
            ("0 5 fri-mon * *", "2027-06-24T00:01:00Z", "2027-06-24T05:00:00Z"),
            ("0 5 fri-mon * *", "2027-05-07T22:38:00Z", "2027-05-08T05:00:00Z"),
            ("0-59/17 6 */9 feb mon-fri", "2027-12-12T11:05:00Z", "2028-02-01T06:00:00Z"),
            ("0-59/17 6 */9 feb mon-fri", "2023-04-16T06:21:00Z", "2024-02-01T06:00:00Z"),
            ("0-59/17 6 */9 feb mon-fri", "2027-10-20T00:30:30Z", "2028-02-01T06:00:00Z"),
            ("50-10/5 23 * * *", "2026-11-03T21:07:00Z", "2026-11-03T23:00:00Z"),
            ("50-10/5 23 * * *", "2024-08-06T13:50:30Z", "2024-08-06T23:00:00Z"),
            ("50-10/5 23 * * *", "2026-02-26T23:25:00Z", "2026-02-26T23:50:00Z"),
            ("0 0 * * 6-0", "2027-12-03T23:10:00Z", "2027-12-04T00:00:00Z"),
            ("0 0 * * 6-0", "2024-01-05T18:57:00Z", "2024-01-06T00:00:00Z"),
            ("0 0 * * 6-0", "2024-10-27T19:30:30Z", "2024-11-02T00:00:00Z"),
        ]
    )
    func nextSlot(_ text: String, _ after: String, _ expected: String) throws {
        #expect(try CrontabTrigger(text).next(after: at(after)) == at(expected))
    }

    @Test("Finds the same slots as a walk over every minute")
    func agreesWithAWalk() throws {
        var random = SeededGenerator(seed: 20_261_120)
        for _ in 0..<60 {
            let trigger = try CrontabTrigger(Self.anyText(&random))
            let start = Int64.random(in: 0...2_145_916_800 / 60, using: &random) * 60
            var cursor = Date(timeIntervalSince1970: Double(start) + Double.random(in: 0..<60, using: &random))
            let first = Int64(cursor.timeIntervalSince1970) / 60 + 1
            let fields = try Self.fields(of: trigger)
            for minute in first..<first + 4 * 1440 where Self.match(fields, minute) {
                let slot = try #require(trigger.next(after: cursor))
                #expect(slot == Date(timeIntervalSince1970: Double(minute * 60)), "\(trigger) after \(cursor)")
                cursor = slot
            }
            #expect(try #require(trigger.next(after: cursor)).timeIntervalSince1970 >= Double((first + 4 * 1440) * 60))
        }
    }

    @Test("Gives the latest slots of a span, however long it is")
    func latestSlots() throws {
        let monthly = try Trigger.cron("*/20 8 1 * *")
        let found = monthly.latest(4, after: at("2020-01-01T00:00:00Z"), through: at("2026-11-20T00:00:00Z"))
        #expect(
            found
                == ["2026-10-01T08:40:00Z", "2026-11-01T08:00:00Z", "2026-11-01T08:20:00Z", "2026-11-01T08:40:00Z"].map(
                    at
                )
        )
        #expect(
            monthly.latest(4, after: at("2026-11-01T08:20:00Z"), through: at("2026-11-01T08:40:00Z")) == [
                at("2026-11-01T08:40:00Z")
            ]
        )
        #expect(monthly.latest(4, after: at("2026-11-01T08:40:00Z"), through: at("2026-11-20T08:40:00Z")).isEmpty)
        #expect(monthly.latest(4, after: at("2026-12-01T00:00:00Z"), through: at("2026-11-20T08:40:00Z")).isEmpty)
    }

    @Test("Survives instants far away")
    func farAway() throws {
        let trigger = try CrontabTrigger("0 0 29 2 *", in: "Europe/Berlin")
        _ = trigger.next(after: .distantFuture)
        _ = trigger.next(after: .distantPast)
        #expect(trigger.next(after: Date(timeIntervalSince1970: .infinity)) == nil)
        #expect(trigger.next(after: Date(timeIntervalSince1970: .nan)) == nil)
        #expect(try IntervalTrigger(every: .seconds(1)).next(after: Date(timeIntervalSince1970: -.infinity)) == nil)
    }

    private static func anyText(_ random: inout SeededGenerator) -> String {
        func field(_ range: ClosedRange<Int>) -> String {
            let (low, high) = (Int.random(in: range, using: &random), Int.random(in: range, using: &random))
            return switch Int.random(in: 0...4, using: &random) {
            case 0: "\(low),\(high)"
            case 1: "\(low)-\(high)"
            case 2: "*/\(Int.random(in: 1...9, using: &random))"
            case 3: "\(low)-\(high)/\(Int.random(in: 1...4, using: &random))"
            default: "*"
            }
        }
        return
            "\(field(0...59)) \(field(0...23)) \(Bool.random(using: &random) ? "*" : field(1...28)) * \(field(0...6))"
    }

    private static func fields(of trigger: CrontabTrigger) throws -> [CrontabField] {
        let kinds: [CrontabField.Kind] = [.minute, .hour, .dayOfMonth, .month, .dayOfWeek]
        return try zip(trigger.text.split(separator: " "), kinds).map { try CrontabField(String($0), $1) }
    }

    private static func match(_ fields: [CrontabField], _ minute: Int64) -> Bool {
        let day = minute / 1440
        let date = CivilDate(daysSinceEpoch: day)
        let values = [Int(minute % 60), Int(minute / 60 % 24), date.day, date.month, Int((day + 4) % 7)]
        return zip(fields, values).allSatisfy { $0.contains($1) }
    }
}

@Suite("Interval") struct IntervalTests {
    @Test("Aligns its slots to the Unix epoch, whenever it starts")
    func alignment() throws {
        let trigger = try IntervalTrigger(every: .seconds(30))
        #expect(trigger.next(after: at("2026-11-20T10:29:50Z")) == at("2026-11-20T10:30:00Z"))
        #expect(trigger.next(after: at("2026-11-20T10:30:00Z")) == at("2026-11-20T10:30:30Z"))
        #expect(
            try IntervalTrigger(every: .seconds(86_400)).next(after: at("2026-11-20T10:30:00Z"))
                == at("2026-11-21T00:00:00Z")
        )
        #expect(trigger.next(after: Date(timeIntervalSince1970: -45)) == Date(timeIntervalSince1970: -30))
    }

    @Test("Advances by exactly one interval from slot to slot", arguments: [1, 7, 10, 333, 1000, 30_001] as [Int64])
    func steps(_ milliseconds: Int64) throws {
        let trigger = try IntervalTrigger(every: .milliseconds(milliseconds))
        var slot = try #require(trigger.next(after: at("2026-11-20T10:29:50.123Z")))
        let first = try #require(slot.wholeMilliseconds)
        for step in 1...2000 as ClosedRange<Int64> {
            slot = try #require(trigger.next(after: slot))
            #expect(slot.wholeMilliseconds == first + step * milliseconds)
        }
    }

    @Test(
        "Takes whole milliseconds only",
        arguments: [.zero, .seconds(-1), .microseconds(500), .microseconds(1500), .seconds(Int64.max)] as [Duration]
    )
    func limits(_ interval: Duration) {
        #expect(throws: CeleriacError.self) { try IntervalTrigger(every: interval) }
    }

    @Test("Gives the latest slots of a week of milliseconds at once")
    func latest() throws {
        let trigger = try Trigger.every(.milliseconds(1))
        let end = at("2026-11-20T00:00:00Z")
        let found = trigger.latest(3, after: at("2026-11-13T00:00:00Z"), through: end)
        #expect(found.map { $0.wholeMilliseconds! - end.wholeMilliseconds! } == [-2, -1, 0])
    }
}

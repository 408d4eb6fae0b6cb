import CeleriacBeat
import CeleriacCore
import Foundation
import Testing

@Suite("Daylight saving") struct DaylightSavingTests {
    // Measured with Celery in America/New_York, 2026: 8 March 02:00 EST becomes 03:00 EDT, 1 November 02:00 EDT 01:00 EST.
    @Test(
        "Fires when Celery fires",
        arguments: [
            (
                "30 2 * * *", "2026-03-07T12:00:00-05:00",
                ["2026-03-08T03:30:00-04:00", "2026-03-09T02:30:00-04:00", "2026-03-10T02:30:00-04:00"]
            ),
            (
                "30 1 * * *", "2026-10-31T12:00:00-04:00",
                ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00", "2026-11-03T01:30:00-05:00"]
            ),
            (
                "0 * * * *", "2026-11-01T00:00:00-04:00",
                ["2026-11-01T01:00:00-04:00", "2026-11-01T02:00:00-05:00", "2026-11-01T03:00:00-05:00"]
            ),
            (
                "*/30 0-3 * * *", "2026-10-31T23:59:00-04:00",
                [
                    "2026-11-01T00:00:00-04:00", "2026-11-01T00:30:00-04:00", "2026-11-01T01:00:00-04:00",
                    "2026-11-01T01:30:00-04:00", "2026-11-01T02:00:00-05:00", "2026-11-01T02:30:00-05:00",
                    "2026-11-01T03:00:00-05:00", "2026-11-01T03:30:00-05:00", "2026-11-02T00:00:00-05:00",
                ]
            ),
            (
                "*/30 1-4 * * *", "2026-03-08T00:00:00-05:00",
                [
                    "2026-03-08T01:00:00-05:00", "2026-03-08T01:30:00-05:00", "2026-03-08T03:00:00-04:00",
                    "2026-03-08T03:30:00-04:00", "2026-03-08T04:00:00-04:00", "2026-03-08T04:30:00-04:00",
                    "2026-03-09T01:00:00-04:00",
                ]
            ),
        ]
    )
    func newYork(_ text: String, _ start: String, _ expected: [String]) throws {
        let trigger = try CrontabTrigger(text, in: "America/New_York")
        var cursor = at(start)
        for slot in expected {
            cursor = try #require(trigger.next(after: cursor))
            #expect(cursor == at(slot), "\(text)")
        }
    }

    @Test("Has no slot in the repeated hour, also when it starts there")
    func startsInRepeatedHour() throws {
        let trigger = try CrontabTrigger("*/30 * * * *", in: "America/New_York")
        #expect(trigger.next(after: at("2026-11-01T01:15:00-05:00")) == at("2026-11-01T02:00:00-05:00"))
    }

    @Test("Finds a skipped time's slot, also when it starts after the jump")
    func startsAfterJump() throws {
        let trigger = try CrontabTrigger("30 2 * * *", in: "America/New_York")
        #expect(trigger.next(after: at("2026-03-08T03:10:00-04:00")) == at("2026-03-08T03:30:00-04:00"))
        #expect(trigger.next(after: at("2026-03-08T03:30:00-04:00")) == at("2026-03-09T02:30:00-04:00"))
    }

    @Test("Knows half-hour shifts, gaps at midnight, a skipped day, and names of UTC")
    func oddZones() throws {
        let lordHowe = try CrontabTrigger("15 2 * * *", in: "Australia/Lord_Howe")  // 02:00 becomes 02:30
        #expect(lordHowe.next(after: at("2026-10-03T12:00:00Z")) == at("2026-10-04T02:45:00+11:00"))
        let cairo = try CrontabTrigger("0 0 * * *", in: "Africa/Cairo")  // 00:00 becomes 01:00
        #expect(cairo.next(after: at("2026-04-23T12:00:00+02:00")) == at("2026-04-24T01:00:00+03:00"))
        let apia = try CrontabTrigger("0 10 * * *", in: "Pacific/Apia")  // there was no 30 December 2011
        #expect(apia.next(after: at("2011-12-29T10:00:00-10:00")) == at("2011-12-31T10:00:00+14:00"))
        #expect(apia.next(after: at("2011-12-31T10:00:00+14:00")) == at("2012-01-01T10:00:00+14:00"))
        #expect(
            try CrontabTrigger("0 8 * * *", in: "Etc/UTC").next(after: at("2026-11-20T07:00:00Z"))
                == at("2026-11-20T08:00:00Z")
        )
        #expect(
            try CrontabTrigger("0 8 * * mon-fri", in: "Europe/Berlin").next(after: at("2026-07-03T09:00:00Z"))
                == at("2026-07-06T06:00:00Z")
        )
    }

    @Test("Fires once for each time on the wall clock, in random zones, around every change of the offset")
    func everyChange() throws {
        var random = SeededGenerator(seed: 42)
        let zones = TimeZone.knownTimeZoneIdentifiers.sorted()
        for _ in 0..<60 {
            let name = zones.randomElement(using: &random)!
            let zone = try #require(TimeZone(identifier: name))
            let year = Int.random(in: 1975...2037, using: &random)
            var instant = Int(at("\(year)-01-01T00:00:00Z").timeIntervalSince1970)
            let end = instant + 370 * 86_400
            while instant < end {
                defer { instant += 86_400 }
                guard offset(zone, instant) != offset(zone, instant + 86_400) else { continue }
                try check(name, zone, from: instant - 3 * 3600, through: instant + 27 * 3600)
            }
        }
    }

    /// The set of slots, found otherwise: each wall time is shown first by the earliest instant that shows it, and if none
    /// does, by the offset from before.
    private func check(_ name: String, _ zone: TimeZone, from start: Int, through end: Int) throws {
        let trigger = try CrontabTrigger("*/20 * * * *", in: name)
        var shown: [Int: Int] = [:]
        for instant in stride(from: start - 30 * 3600, through: end + 30 * 3600, by: 60).map({ $0 - $0 % 60 }) {
            let wall = instant + offset(zone, instant)
            if wall % 1200 == 0 { shown[wall] = min(shown[wall] ?? .max, instant) }
        }
        guard offset(zone, start) % 60 == 0, offset(zone, end) % 60 == 0 else { return }
        var expected = Set(shown.values)
        let change = try #require((start...end).first { offset(zone, $0) != offset(zone, start) })
        let (before, after) = (offset(zone, change - 1), offset(zone, change))
        if after > before {
            let gap = change + before..<change + after
            for wall in gap where wall % 1200 == 0 { expected.insert(wall - before) }
        }
        var cursor = Date(timeIntervalSince1970: Double(start))
        for slot in expected.filter({ $0 > start && $0 <= end }).sorted() {
            let next = try #require(trigger.next(after: cursor))
            #expect(next == Date(timeIntervalSince1970: Double(slot)), "\(name) after \(cursor)")
            guard next == Date(timeIntervalSince1970: Double(slot)) else { return }
            cursor = next
        }
    }

    private func offset(_ zone: TimeZone, _ instant: Int) -> Int {
        zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant)))
    }
}

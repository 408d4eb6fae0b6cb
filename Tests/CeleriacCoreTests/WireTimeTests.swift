import CeleriacCore
import FoundationEssentials
import Testing

@Suite("Time on the wire")
struct WireTimeTests {
    @Test(
        "Writes instants in UTC and reads them again",
        arguments: [
            (0, "1970-01-01T00:00:00+00:00"),
            (1_763_624_182.967605, "2025-11-20T07:36:22.967605+00:00"),
            (1_763_624_182, "2025-11-20T07:36:22+00:00"),
            (1_763_624_182.5, "2025-11-20T07:36:22.500000+00:00"),
            (1_763_624_182.000001, "2025-11-20T07:36:22.000001+00:00"),
            (951_782_400, "2000-02-29T00:00:00+00:00"),
            (1_709_251_199, "2024-02-29T23:59:59+00:00"),
            (4_107_542_400, "2100-03-01T00:00:00+00:00"),
            (-1, "1969-12-31T23:59:59+00:00"),
            (-0.25, "1969-12-31T23:59:59.750000+00:00"),
            (-11_676_096_000, "1600-01-01T00:00:00+00:00"),
            (253_402_300_799, "9999-12-31T23:59:59+00:00"),
            (-62_135_596_800, "0001-01-01T00:00:00+00:00"),
        ] as [(Double, String)]
    )
    func bothWays(_ seconds: Double, _ text: String) throws {
        #expect(WireTime.text(of: Date(timeIntervalSince1970: seconds)) == text)
        let read = try #require(WireTime.date(from: text))
        #expect(abs(read.timeIntervalSince1970 - seconds) < 1e-6)
    }

    @Test(
        "Reads every form of ISO 8601 that peers write",
        arguments: [
            ("2026-11-20T07:36:22Z", 1_795_160_182),
            ("2026-11-20T07:36:22z", 1_795_160_182),
            ("2026-11-20T07:36:22", 1_795_160_182),
            ("2026-11-20 07:36:22+00:00", 1_795_160_182),
            ("2026-11-20T13:06:22+05:30", 1_795_160_182),
            ("2026-11-20T13:06:22+0530", 1_795_160_182),
            ("2026-11-20T09:36:22+02", 1_795_160_182),
            ("2026-11-19T23:36:22-08:00", 1_795_160_182),
            ("2026-11-20T07:36:22-00:00", 1_795_160_182),
            ("2026-11-20T07:36:22.5Z", 1_795_160_182.5),
            ("2026-11-20T07:36:22,5Z", 1_795_160_182.5),
            ("2026-11-20T07:36:22.123Z", 1_795_160_182.123),
            ("2026-11-20T07:36:22.123456789Z", 1_795_160_182.123456789),
            ("2026-11-20T07:36:22.12345678901234567890123Z", 1_795_160_182.123456789),
            ("2026-11-20T07:36:22.000000", 1_795_160_182),
            ("2026-11-20T07:36", 1_795_160_160),
            ("2026-11-20", 1_795_132_800),
            ("2026-12-31T23:59:60Z", 1_798_761_600),
        ] as [(String, Double)]
    )
    func reads(_ text: String, _ seconds: Double) throws {
        let read = try #require(WireTime.date(from: text))
        #expect(abs(read.timeIntervalSince1970 - seconds) < 1e-6)
    }

    @Test(
        "Refuses what is no time",
        arguments: [
            "", "now", "2026", "2026-13-01", "2026-00-01", "2026-02-30", "2025-02-29", "2100-02-29", "2026-04-31",
            "2026-11-00", "2026-11-20T", "2026-11-20T7:36:22", "2026-11-20T24:00:00", "2026-11-20T07:60:00",
            "2026-11-20T07:36:61", "2026-11-20T07:36:22.", "2026-11-20T07:36:22.x", "2026-11-20T07:36:22+",
            "2026-11-20T07:36:22+1", "2026-11-20T07:36:22+25:00", "2026-11-20T07:36:22+05:60",
            "2026-11-20T07:36:22 UTC", "2026-11-20T07:36:22ZZ", "２０２６-11-20", " 2026-11-20", "-2026-11-20",
        ]
    )
    func refuses(_ text: String) {
        #expect(WireTime.date(from: text) == nil)
    }

    @Test("Keeps to the years that ISO 8601 and Python can write")
    func extremes() {
        #expect(WireTime.text(of: Date(timeIntervalSince1970: 1e300)) == "9999-12-31T23:59:59.999999+00:00")
        #expect(WireTime.text(of: Date(timeIntervalSince1970: .infinity)) == "9999-12-31T23:59:59.999999+00:00")
        #expect(WireTime.text(of: Date(timeIntervalSince1970: -1e300)) == "0001-01-01T00:00:00+00:00")
    }

    @Test("Reads what it wrote, over five centuries")
    func roundTrip() throws {
        var seconds = -6_000_000_000.0
        while seconds < 10_000_000_000 {
            let text = WireTime.text(of: Date(timeIntervalSince1970: seconds))
            #expect(WireTime.date(from: text)?.timeIntervalSince1970 == seconds)
            seconds += 7_654_321
        }
    }
}

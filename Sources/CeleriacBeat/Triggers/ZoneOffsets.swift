internal import CeleriacCore
internal import Foundation

/// The offsets of one time zone.
///
/// Foundation's time zone data is opened only for a zone other than UTC, because it costs megabytes.
struct ZoneOffsets: Hashable, Sendable {
    private let zone: TimeZone

    /// No clock was ever put forward by more than a day: 24 hours where the date line moved.
    static let longestGap: Int64 = 25 * 3600

    /// `nil` for UTC.
    static func named(_ name: String?) throws(CeleriacError) -> ZoneOffsets? {
        guard let name, !["UTC", "Etc/UTC", "GMT", "Etc/GMT"].contains(name) else { return nil }
        // Foundation also reads "GMT+3" and renames it; such a text is no IANA name.
        guard let zone = TimeZone(identifier: name), zone.identifier == name else {
            throw CeleriacError(
                .configuration,
                "unknown time zone \"\(name)\"; allowed are IANA names such as Europe/Berlin, and UTC"
            )
        }
        return ZoneOffsets(zone: zone)
    }

    private init(zone: TimeZone) { self.zone = zone }

    /// Seconds east of UTC at an instant.
    func offset(at instant: Int64) -> Int {
        zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant)))
    }

    /// The instant at which the wall clock shows a time, given in seconds as if it were UTC.
    ///
    /// A time shown twice is its first showing. A time that is skipped is read with the offset from before the change, and
    /// so comes later by the length of the gap, which is returned too; otherwise that is zero.
    func instant(ofWall wall: Int64) -> (instant: Int64, skipped: Int) {
        let before = offset(at: wall - Self.longestGap)
        let after = offset(at: wall + Self.longestGap)
        let early = wall - Int64(before)
        guard before != after, offset(at: early) != before else { return (early, 0) }
        let late = wall - Int64(after)
        return offset(at: late) == after ? (late, 0) : (early, max(0, after - before))
    }
}

internal import Foundation
internal import TestSupport

/// What the fleet's processes have noted, in the order in which it happened.
package struct FleetJournal: Sendable {
    package struct Line: Sendable {
        package let event: String
        package let key: String
        package let pid: Int32
        package let more: [String]
    }

    package let path: String

    /// All lines so far.
    package var lines: [Line] {
        guard let contents = FileManager.default.contents(atPath: path) else { return [] }
        return String(decoding: contents, as: UTF8.self).split(separator: "\n").compactMap { text in
            let fields = text.split(separator: " ").map(String.init)
            guard fields.count >= 3, let pid = Int32(fields[2]) else { return nil }
            return Line(event: fields[0], key: fields[1], pid: pid, more: Array(fields[3...]))
        }
    }

    /// The lines of one event.
    package func lines(_ event: String) -> [Line] { lines.filter { $0.event == event } }

    /// How often each key came with an event.
    package func counts(_ event: String) -> [String: Int] {
        lines(event).reduce(into: [:]) { $0[$1.key, default: 0] += 1 }
    }

    /// Waits until an event was noted for all of the keys.
    package func contains(_ event: String, _ keys: some Collection<String>, within limit: Duration = .seconds(60))
        async throws
    {
        var missing = Set(keys)
        do {
            try await eventually(within: limit, every: .milliseconds(100), "\(event)") {
                missing.subtract(counts(event).keys)
                return missing.isEmpty
            }
        } catch let error as NotInTime {
            let some = missing.sorted().prefix(10).joined(separator: ", ")
            throw NotInTime(description: "\(error); \(missing.count) of \(keys.count) missing: \(some)")
        }
    }
}

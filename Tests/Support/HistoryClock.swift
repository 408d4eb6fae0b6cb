internal import FoundationEssentials

/// The clock of a random history: a test's own, or the machine's.
package struct HistoryClock: Sendable {
    /// Seconds since some time.
    package let now: @Sendable () -> Double
    /// Lets time pass.
    package let pass: @Sendable (Duration) async throws -> Void
    /// Whether nothing passes but what ``pass`` lets.
    package let isManual: Bool

    /// A test's own clock.
    package static func manual(_ time: ManualTimeSource) -> HistoryClock {
        let start = time.now
        return HistoryClock(
            now: { time.now.timeIntervalSince(start) },
            pass: { time.advance(by: $0) },
            isManual: true
        )
    }

    /// The machine's.
    package static func real() -> HistoryClock {
        let start = ContinuousClock.now
        return HistoryClock(
            now: { start.duration(to: .now) / .seconds(1) },
            pass: { try await Task.sleep(for: $0) },
            isManual: false
        )
    }
}

/// A history came to what must not be.
package struct HistoryBroken: Error, CustomStringConvertible {
    /// Which history, and what it came to.
    package let description: String

    package init(_ seed: UInt64, _ text: String) { description = "seed \(seed): \(text)" }
}

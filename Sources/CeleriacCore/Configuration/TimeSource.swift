public import FoundationEssentials

/// Tells and waits for time, so that retries, leases and schedules are tested without sleeping.
public protocol TimeSource: Sendable {
    /// The wall clock.
    var now: Date { get }

    /// Waits on a clock that does not jump.
    ///
    /// - Throws: `CancellationError` when the waiting task is cancelled.
    func sleep(for duration: Duration) async throws(CancellationError)
}

/// The machine's clocks.
public struct SystemTimeSource: TimeSource {
    /// The machine's clocks.
    public init() {}

    /// The wall clock.
    public var now: Date { Date() }

    /// Waits on the monotonic clock.
    public func sleep(for duration: Duration) async throws(CancellationError) {
        do {
            try await Task.sleep(for: duration, tolerance: nil, clock: .continuous)
        } catch {
            throw CancellationError()
        }
    }
}

extension Duration {
    /// The span in seconds, as floating point.
    package var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }

    /// The span in whole milliseconds, rounded up, at least 1; for the limits that servers take.
    package var inMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflows) = seconds.multipliedReportingOverflow(by: 1000)
        guard !overflows else { return seconds < 0 ? 1 : .max }
        let (sum, isTooMuch) = product.addingReportingOverflow(
            (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        )
        return isTooMuch ? .max : max(1, sum)
    }
}

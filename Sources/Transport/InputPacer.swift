/// Decides how much input a busy stream waits for before it is read.
///
/// A peer that sends without pause, in small pieces, would cause a read, a turn of the loop and the wake of a consumer
/// for each piece. Letting the kernel gather what comes within a moment costs that moment, and saves most of the
/// processor time. A stream that is not busy is read at once, and so is the rest of a flow that has ended.
package struct InputPacer: Sendable {
    /// What a flow is measured over.
    static let window = Duration.milliseconds(1)
    /// The longest that input waits for more.
    package static let patience = Duration.microseconds(400)
    /// Fewer pieces in the patience's time are no trouble.
    private static let manyReads = 4.0
    /// A flow with fewer octets in the patience's time is mostly questions and answers, which must not wait.
    private static let smallestThreshold = 6 << 10
    private static let largestThreshold = 384 << 10
    /// Of what is to come in the patience's time: a flow of that speed is read before its end.
    private static let portion = 0.8

    /// Octets that must have come before the stream is readable; 1 when it is not busy.
    package private(set) var threshold = 1
    private var windowStart: ContinuousClock.Instant
    private var reads = 0
    private var octets = 0
    /// The last read.
    package private(set) var lastRead: ContinuousClock.Instant

    package init(now: ContinuousClock.Instant) {
        windowStart = now
        lastRead = now
    }

    /// Notes a read.
    ///
    /// - Returns: Whether ``threshold`` has changed.
    package mutating func received(_ count: Int, now: ContinuousClock.Instant) -> Bool {
        reads += 1
        octets += count
        lastRead = now
        let elapsed = windowStart.duration(to: now)
        guard elapsed >= Self.window else { return false }
        let share = Self.patience / elapsed
        let isBusy = threshold > 1 || Double(reads) * share >= Self.manyReads
        let wanted = Int(Double(octets) * share * Self.portion)
        (windowStart, reads, octets) = (now, 0, 0)
        guard isBusy, wanted >= Self.smallestThreshold else { return set(1) }
        // Small changes are not worth a call of the kernel.
        guard wanted > 2 * threshold || 2 * wanted < threshold else { return false }
        return set(min(wanted, Self.largestThreshold))
    }

    /// Notes that nothing had come when the patience ended: what comes next is read at once.
    ///
    /// The measuring goes on, as a flow with gaps is soon busy again.
    ///
    /// - Returns: Whether ``threshold`` has changed.
    package mutating func foundNothing() -> Bool { set(1) }

    private mutating func set(_ value: Int) -> Bool {
        defer { threshold = value }
        return value != threshold
    }
}

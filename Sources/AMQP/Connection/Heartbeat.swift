/// Decides when to send a heartbeat and when to give the server up.
///
/// The server is dead after two intervals without an octet from it (AMQP 0-9-1 §4.2.7).
package struct Heartbeat: Sendable {
    package enum Action: Equatable, Sendable {
        case none
        case send
        case dead
    }

    package let interval: Duration
    private var lastReceived: ContinuousClock.Instant
    private var lastSent: ContinuousClock.Instant
    /// Octets that had arrived at the last look, read or not.
    private var arrived = 0

    package init(interval: Duration, now: ContinuousClock.Instant) {
        self.interval = interval
        lastReceived = now
        lastSent = now
    }

    /// Sending at half the interval leaves room for a late timer on either side.
    private var period: Duration { interval / 2 }

    /// When to call ``tick(now:)`` next: at half the interval, and not past the end of the server's two.
    package func nextTick(after now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        min(now + period, max(now, lastReceived + interval * 2))
    }

    package mutating func received(now: ContinuousClock.Instant) { lastReceived = now }
    /// Notes what has arrived in all while reading is paused; more than before is a sign of life.
    ///
    /// - Returns: Whether there was one. If not, room must be made, as the server may have something to say and nowhere to
    ///   send it.
    package mutating func looked(arrived octets: Int, now: ContinuousClock.Instant) -> Bool {
        guard octets > arrived else { return false }
        (arrived, lastReceived) = (octets, now)
        return true
    }

    package mutating func sent(now: ContinuousClock.Instant) { lastSent = now }

    package mutating func tick(now: ContinuousClock.Instant) -> Action {
        if now - lastReceived >= interval * 2 { return .dead }
        guard now - lastSent >= period else { return .none }
        lastSent = now
        return .send
    }
}

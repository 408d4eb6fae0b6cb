internal import Glibc

/// Who runs under a concurrency limit's key, each under a lease; times are microseconds on one clock.
///
/// It also tells those who find no place when to ask again: all together about twice as often as places become free, and
/// once in five seconds at least. So a free place is soon found, and a long queue does not ask itself to death.
///
/// The Redis driver's scripts take the same steps.
package struct LeasedPlaces: Sendable {
    /// The time over which releases are averaged.
    package static let memory = 30e6
    /// At least so many ask again in a microsecond, all together.
    package static let slowestReturns = 0.2e-6
    package static let shortestPause = 2e6
    package static let longestPause = 3600e6

    private var ends: [String: Double] = [:]
    /// Who was told to ask again, and when that is over.
    private var waiting: [String: Double] = [:]
    private var sweptAt = 0.0
    /// How many places became free lately, decaying.
    private var released = (count: 0.0, at: 0.0)

    package init() {}

    /// From when on nothing is remembered that matters.
    package var idleFrom: Double { max(ends.values.max() ?? 0, released.at + 10 * Self.memory) }

    package mutating func acquire(_ owner: String, count: Int, lease: Double, now: Double) -> PlaceDecision {
        for (owner, end) in ends where end <= now { ends[owner] = nil }
        if ends[owner] != nil || ends.count < count {
            waiting[owner] = nil
            ends[owner] = now + lease
            return .granted
        }
        if now >= sweptAt + 1e6 {
            waiting = waiting.filter { $0.value > now }
            sweptAt = now
        }
        let waiters = Double(waiting.count + (waiting[owner] == nil ? 1 : 0))
        let pace = released.count * exp((released.at - now) / Self.memory) / Self.memory
        let pause = min(max(waiters / max(2 * pace, Self.slowestReturns), Self.shortestPause), Self.longestPause)
        waiting[owner] = now + 1.5 * pause
        return .full(askAgain: .microseconds(Int64(pause)))
    }

    package mutating func release(_ owner: String, now: Double) -> Bool {
        guard let end = ends.removeValue(forKey: owner), end > now else { return false }
        released = (released.count * exp((released.at - now) / Self.memory) + 1, now)
        return true
    }
}

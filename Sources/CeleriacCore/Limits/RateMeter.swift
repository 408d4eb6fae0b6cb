/// What a rate limit remembers under one key, and how it decides; times are microseconds on one clock.
///
/// What has begun is counted when it begins, by the generic cell rate algorithm or in a sliding window. Beside that there
/// are two lines, each known by the time at which it ends only: one for those who come for the first time, and one before
/// it for those who came back in their turn and found the rate used up, because others were late. A place is a time; so a
/// line of any length takes the room of one number, and a place that nobody claims costs nobody but its own time.
///
/// The Redis driver's script takes the same steps.
package struct RateMeter: Sendable {
    /// A decision as numbers and text.
    package enum Decision: Hashable, Sendable {
        case granted
        case wait(Double, place: String?)
    }

    private enum Line: String {
        case arrivals = "a"
        case returns = "b"
    }

    /// The parts that a period is counted in.
    package static let steps = 60.0
    /// Turns are late by some milliseconds, which must not add up; within the bound of the algorithm anyway.
    package static let longestSlack = 50_000.0

    /// When the last of what has begun would end if each took its share of time: the theoretical arrival time.
    private var busyUntil = 0.0
    private var arrivals = 0.0
    private var returns = 0.0
    private var pausedUntil = 0.0
    /// The cost of what began in each step.
    private var counts: [Double: Double] = [:]

    package init() {}

    /// From when on nothing is remembered that matters.
    package func idle(after period: Double) -> Double {
        let counted = (counts.keys.max() ?? 0) * period / Self.steps + period * (1 + 2 / Self.steps)
        return max(busyUntil, arrivals, returns, pausedUntil, counts.isEmpty ? 0 : counted)
    }

    package mutating func take(_ request: RateRequest, now: Double) -> Decision {
        let pace = Pace(request)
        let (nominal, earliest) = earliest(pace, now: now)
        let place = place(request.place)
        let mayTry: Bool
        switch place {
        case (let line, let turn)?:
            if turn > now { return .wait(turn - now, place: request.place) }
            mayTry = line == .returns || returns <= now
        case nil: mayTry = arrivals <= now && returns <= now
        }
        if mayTry, earliest <= now {
            count(pace, now: now)
            return .granted
        }
        let line: Line = place == nil ? .arrivals : .returns
        let turn = max(returns, nominal, now, line == .arrivals ? arrivals : 0)
        return reserve(line, turn, pace, request.patience, now: now)
    }

    package mutating func pause(_ request: RateRequest, for duration: Double, now: Double) -> Decision {
        // Asked again after a lost reply.
        if case (.returns, let turn)? = place(request.place) { return .wait(max(0, turn - now), place: request.place) }
        pausedUntil = max(pausedUntil, now + duration)
        return reserve(.returns, max(returns, pausedUntil), Pace(request), nil, now: now)
    }

    private mutating func reserve(
        _ line: Line,
        _ turn: Double,
        _ pace: Pace,
        _ patience: Duration?,
        now: Double
    ) -> Decision {
        if let patience, turn - now > patience.inMicroseconds { return .wait(turn - now, place: nil) }
        switch line {
        case .arrivals: arrivals = turn + pace.span
        case .returns: returns = turn + pace.span
        }
        return .wait(turn - now, place: line.rawValue + String(Int64(turn)))
    }

    /// A place this meter gave; one beyond its lines is of another clock or was forgotten with them.
    private func place(_ text: String?) -> (Line, Double)? {
        guard let text, let line = text.first.flatMap({ Line(rawValue: String($0)) }),
            let turn = Double(text.dropFirst()), turn <= max(arrivals, returns)
        else { return nil }
        return (line, turn)
    }

    // MARK: What has begun

    /// When the rate allows the run: in the line's steady pace, and at the earliest.
    private func earliest(_ pace: Pace, now: Double) -> (nominal: Double, earliest: Double) {
        switch pace.algorithm {
        case .tokenBucket:
            // What costs more than a burst begins when the bucket is full; those after it wait the longer.
            let nominal = busyUntil + (min(pace.cost, pace.burst) - pace.burst) * pace.interval
            return (max(nominal, pausedUntil), max(nominal - pace.slack, pausedUntil))
        case .slidingWindow:
            let width = pace.period / Self.steps
            let current = (now / width).rounded(.down)
            let live = counts.filter { Self.isLive($0.key, at: current) }.sorted { $0.key < $1.key }
            var excess = live.reduce(pace.cost - pace.limit) { $0 + $1.value }
            var free = 0.0
            for (step, count) in live where excess > 0 {
                excess -= count
                free = (step + Self.steps + 1) * width
            }
            return (max(free, pausedUntil), max(free, pausedUntil))
        }
    }

    /// What is said to have begun later than now was counted by another clock.
    private static func isLive(_ step: Double, at current: Double) -> Bool {
        (current - steps...current).contains(step)
    }

    private mutating func count(_ pace: Pace, now: Double) {
        switch pace.algorithm {
        case .tokenBucket:
            busyUntil = max(busyUntil, now) + pace.span
        case .slidingWindow:
            let current = (now / (pace.period / Self.steps)).rounded(.down)
            counts = counts.filter { Self.isLive($0.key, at: current) }
            counts[current, default: 0] += pace.cost
        }
    }

    /// A request's rate in the meter's numbers.
    package struct Pace: Sendable {
        package let algorithm: RateLimit.Algorithm
        package let period: Double
        package let limit: Double
        package let burst: Double
        package let cost: Double
        /// Between two runs of cost 1 in steady pace.
        package let interval: Double
        package let slack: Double

        package init(_ request: RateRequest) {
            algorithm = request.algorithm
            period = request.rate.period.inMicroseconds
            limit = request.rate.count
            burst = request.burst
            switch algorithm {
            case .tokenBucket:
                cost = request.cost
                interval = period / limit
                slack = min(0.9 * interval, RateMeter.longestSlack)
            case .slidingWindow:
                // More than the whole limit could never begin.
                cost = min(request.cost, limit)
                interval = period * (1 + 1 / RateMeter.steps) / limit
                slack = 0
            }
        }

        package var span: Double { cost * interval }
    }
}

extension Duration {
    /// The span in microseconds, as floating point.
    package var inMicroseconds: Double { inSeconds * 1e6 }
}

internal import FoundationEssentials
internal import Synchronization

/// Limits inside this process; everything in it is lost when the process ends.
public final class MemoryLimitStore: LimitStore {
    /// What is forgotten once nothing depends on it any more.
    private struct Remembered<Value: Sendable>: Sendable {
        private var values: [String: (value: Value, until: Double)] = [:]
        /// With so many it is time to drop what has ended; doubles with what is left.
        private var sweepAt = 64

        func value(_ key: String, now: Double) -> Value? {
            guard let (value, until) = values[key], until > now else { return nil }
            return value
        }

        /// Changes a value where it is kept, which spares a copy of what it holds.
        mutating func change<Answer>(
            _ key: String,
            otherwise new: @autoclosure () -> Value,
            now: Double,
            until: (Value) -> Double,
            _ body: (inout Value) -> Answer
        ) -> Answer {
            let (kept, end) = values.removeValue(forKey: key) ?? (new(), 0)
            var value = end > now ? kept : new()
            let answer = body(&value)
            remember(key, value, until: until(value), now: now)
            return answer
        }

        mutating func remember(_ key: String, _ value: Value, until: Double, now: Double) {
            if values.count >= sweepAt {
                values = values.filter { $0.value.until > now }
                sweepAt = max(64, 2 * values.count)
            }
            values[key] = (value, until)
        }
    }

    private static func note(_ request: RateRequest) -> String { "\(request.key)\u{0}\(request.owner)" }

    private enum Answer: Sendable {
        case granted(run: String)
        case place(String)
    }

    private struct State {
        var meters = Remembered<RateMeter>()
        var places = Remembered<LeasedPlaces>()
        /// What owners were told last, so that a repeated question is not counted twice.
        var answers = Remembered<Answer>()

        mutating func decide(
            _ request: RateRequest,
            _ note: String,
            now: Double,
            _ decide: (inout RateMeter) -> RateMeter.Decision
        ) -> RateDecision {
            let period = request.rate.period.inMicroseconds
            let decision = meters.change(
                request.key,
                otherwise: RateMeter(),
                now: now,
                until: { $0.idle(after: period) },
                decide
            )
            let until = now + MemoryLimitStore.answersKeptFor
            switch decision {
            case .granted:
                answers.remember(note, .granted(run: request.run), until: until, now: now)
                return .granted
            case .wait(let wait, let place):
                if let place { answers.remember(note, .place(place), until: until, now: now) }
                return .wait(.microseconds(Int64(wait.rounded(.up))), place: place)
            }
        }
    }

    /// Longer than a question can be underway.
    fileprivate static let answersKeptFor = 60e6

    private let time: any TimeSource
    private let state = Mutex(State())

    /// A store that has counted nothing.
    public init(time: any TimeSource = SystemTimeSource()) {
        self.time = time
    }

    private var now: Double { time.now.timeIntervalSince1970 * 1e6 }

    /// Does nothing: there is nothing to connect to.
    public func open(within timeout: Duration) async throws(CeleriacError) {}

    /// Counts a run that may begin now, or gives it a place in line.
    public func take(_ request: RateRequest, within timeout: Duration) async throws(CeleriacError) -> RateDecision {
        let now = now
        return state.withLock { state in
            var request = request
            let note = Self.note(request)
            switch state.answers.value(note, now: now) {
            case .granted(request.run): return .granted
            case .place(let place): request.place = request.place ?? place
            case .granted, nil: break
            }
            return state.decide(request, note, now: now) { meter in meter.take(request, now: now) }
        }
    }

    /// Lets nothing begin under a key for some time.
    public func pause(
        _ request: RateRequest,
        for duration: Duration,
        within timeout: Duration
    ) async throws(CeleriacError) -> RateDecision {
        let now = now
        return state.withLock { state in
            var request = request
            let note = Self.note(request)
            request.place = if case .place(let place)? = state.answers.value(note, now: now) { place } else { nil }
            return state.decide(request, note, now: now) { meter in
                meter.pause(request, for: duration.inMicroseconds, now: now)
            }
        }
    }

    /// Takes one of some places, or renews the owner's own.
    public func acquire(
        _ key: String,
        owner: String,
        count: Int,
        lease: Duration,
        within timeout: Duration
    ) async throws(CeleriacError) -> PlaceDecision {
        let now = now
        return state.withLock { state in
            state.places.change(key, otherwise: LeasedPlaces(), now: now, until: \.idleFrom) { places in
                places.acquire(owner, count: count, lease: lease.inMicroseconds, now: now)
            }
        }
    }

    /// Frees the owner's place.
    @discardableResult
    public func release(_ key: String, owner: String, within timeout: Duration) async throws(CeleriacError) -> Bool {
        let now = now
        return state.withLock { state in
            state.places.change(key, otherwise: LeasedPlaces(), now: now, until: \.idleFrom) { places in
                places.release(owner, now: now)
            }
        }
    }
}

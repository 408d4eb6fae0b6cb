internal import CeleriacCore
internal import Redis

/// Limits by Redis' own clock, a round trip for each decision.
///
/// Keys, each with a time to live:
///
/// - `celeriac-rate:<key>`, a hash: what has begun under a rate limit and where its lines end;
/// - `celeriac-rate-answer:<key>:<owner>`, a string: what a call was told last, for a minute, so that a question repeated
///   after a lost reply is not counted twice;
/// - `celeriac-running:<key>`, a sorted set: who runs under a concurrency limit, by the end of the lease;
/// - `celeriac-waiting:<key>`, a sorted set: who was told to ask again, by the time when that is over;
/// - `celeriac-released:<key>`, a hash: how often places became free lately.
final class RedisLimitStore: LimitStore {
    /// In milliseconds; longer than a question can be underway.
    private static let answersKeptFor = 60_000

    private let link: RedisLink

    init(_ link: RedisLink) {
        self.link = link
    }

    func open(within timeout: Duration) async throws(CeleriacError) {
        let attempt = "connect to Redis at \(link.address)"
        _ = try await link.send(RedisCommand("PING"), within: timeout, attempting: attempt)
    }

    // MARK: Rates

    /// The steps of `RateMeter`, which says what they are for.
    ///
    /// Numbers are written with `%.0f`: Lua's own form keeps 14 digits, and microseconds since 1970 have 16.
    private static let rateScript = RedisScript(
        """
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local run, place = ARGV[1], ARGV[2]
        local cost, interval, burst = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
        local slack, patience, pause = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
        local width, steps, limit = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
        local kept = ARGV[12]
        local span = cost * interval

        local answer = redis.call('GET', KEYS[2])
        if answer and pause < 0 then
            if answer == 'g' .. run then return {1, 0, ''} end
            if place == '' and string.sub(answer, 1, 1) ~= 'g' then place = answer end
        end

        local state = redis.call('HMGET', KEYS[1], 'busy', 'arrivals', 'returns', 'paused')
        local busy, arrivals = tonumber(state[1] or 0), tonumber(state[2] or 0)
        local returns, paused = tonumber(state[3] or 0), tonumber(state[4] or 0)
        local counts, counted, dead = {}, 0, {}
        local current = width > 0 and math.floor(now / width) or 0

        local function text(value) return string.format('%.0f', value) end
        local function store()
            local last = math.max(busy, arrivals, returns, paused, now + width * (steps + 2))
            redis.call('HSET', KEYS[1], 'busy', text(busy), 'arrivals', text(arrivals), 'returns', text(returns),
                'paused', text(paused))
            redis.call('PEXPIRE', KEYS[1], text((last - now) / 1000 + 1000))
        end
        local function reserve(line, turn)
            local place = ''
            if patience < 0 or turn - now <= patience then
                if line == 'a' then arrivals = turn + span else returns = turn + span end
                place = line .. text(math.floor(turn))
                redis.call('SET', KEYS[2], place, 'PX', kept)
            end
            store()
            return {0, text(turn - now), place}
        end

        if pause >= 0 then
            if answer and string.sub(answer, 1, 1) == 'b' then
                return {0, text(math.max(0, tonumber(string.sub(answer, 2)) - now)), answer}
            end
            paused = math.max(paused, now + pause)
            return reserve('b', math.max(returns, paused))
        end

        local nominal, slackened
        if width == 0 then
            nominal = busy + (math.min(cost, burst) - burst) * interval
            slackened = nominal - slack
        else
            local fields = redis.call('HGETALL', KEYS[1])
            for i = 1, #fields, 2 do
                local step = tonumber(fields[i])
                if step and step >= current - steps and step <= current then
                    counts[step] = tonumber(fields[i + 1])
                    counted = counted + counts[step]
                elseif step then
                    dead[#dead + 1] = fields[i]
                end
            end
            if #dead > 0 then redis.call('HDEL', KEYS[1], unpack(dead)) end
            local excess, step = counted + cost - limit, current - steps
            nominal = 0
            while excess > 0 and step <= current do
                if counts[step] then
                    excess = excess - counts[step]
                    nominal = (step + steps + 1) * width
                end
                step = step + 1
            end
            slackened = nominal
        end
        nominal, slackened = math.max(nominal, paused), math.max(slackened, paused)

        local line, turn = string.sub(place, 1, 1), tonumber(string.sub(place, 2))
        if (line ~= 'a' and line ~= 'b') or not turn or turn > math.max(arrivals, returns) then turn = nil end
        local may
        if turn then
            if turn > now then return {0, text(turn - now), place} end
            may = line == 'b' or returns <= now
        else
            may = arrivals <= now and returns <= now
        end
        if may and slackened <= now then
            if width == 0 then
                busy = math.max(busy, now) + span
            else
                redis.call('HSET', KEYS[1], text(current), string.format('%.17g', (counts[current] or 0) + cost))
            end
            redis.call('SET', KEYS[2], 'g' .. run, 'PX', kept)
            store()
            return {1, 0, ''}
        end
        if turn then return reserve('b', math.max(returns, nominal, now)) end
        return reserve('a', math.max(arrivals, returns, nominal, now))
        """
    )

    func take(_ request: RateRequest, within timeout: Duration) async throws(CeleriacError) -> RateDecision {
        try await decide(request, pause: nil, within: timeout)
    }

    func pause(
        _ request: RateRequest,
        for duration: Duration,
        within timeout: Duration
    ) async throws(CeleriacError) -> RateDecision {
        try await decide(request, pause: duration, within: timeout)
    }

    private func decide(
        _ request: RateRequest,
        pause: Duration?,
        within timeout: Duration
    ) async throws(CeleriacError) -> RateDecision {
        let pace = RateMeter.Pace(request)
        let isWindow = request.algorithm == .slidingWindow
        let reply = try await link.evaluate(
            Self.rateScript,
            keys: ["celeriac-rate:\(request.key)", "celeriac-rate-answer:\(request.key):\(request.owner)"],
            arguments: [
                request.run, request.place ?? "", pace.cost, pace.interval, pace.burst, pace.slack,
                request.patience?.inMicroseconds ?? -1, pause?.inMicroseconds ?? -1,
                isWindow ? pace.period / RateMeter.steps : 0, RateMeter.steps, pace.limit, Self.answersKeptFor,
            ],
            within: timeout,
            attempting: "ask for a turn under the rate limit \(request.key)"
        )
        let fields = reply.array ?? []
        if fields.count == 3, fields[0].integer == 1 { return .granted }
        if fields.count == 3, let wait = fields[1].string.flatMap({ Int64($0) }), let place = fields[2].string {
            return .wait(.microseconds(max(0, wait)), place: place.isEmpty ? nil : place)
        }
        throw CeleriacError(.undecodable, "the rate limit \(request.key) holds something else: Redis answered \(reply)")
    }

    // MARK: Concurrency

    /// The steps of `LeasedPlaces`, which says what they are for.
    private static let acquireScript = RedisScript(
        """
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local owner, count, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
        local memory, slowest = tonumber(ARGV[4]), tonumber(ARGV[5])
        local shortest, longest = tonumber(ARGV[6]), tonumber(ARGV[7])
        local function text(value) return string.format('%.0f', value) end
        local function keep(key)
            local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
            redis.call('PEXPIRE', key, text((last[2] - now) / 1000 + 1))
        end

        redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now))
        if redis.call('ZSCORE', KEYS[1], owner) or redis.call('ZCARD', KEYS[1]) < count then
            redis.call('ZREM', KEYS[2], owner)
            redis.call('ZADD', KEYS[1], text(now + lease), owner)
            keep(KEYS[1])
            return {1, '0'}
        end
        redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(now))
        local waiters = redis.call('ZCARD', KEYS[2])
        if not redis.call('ZSCORE', KEYS[2], owner) then waiters = waiters + 1 end
        local released = redis.call('HMGET', KEYS[3], 'count', 'at')
        local pace = (tonumber(released[1]) or 0) * math.exp(((tonumber(released[2]) or 0) - now) / memory) / memory
        local pause = math.min(math.max(waiters / math.max(2 * pace, slowest), shortest), longest)
        redis.call('ZADD', KEYS[2], text(now + 1.5 * pause), owner)
        keep(KEYS[2])
        return {0, text(pause)}
        """
    )

    private static let releaseScript = RedisScript(
        """
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
        if not ends then return 0 end
        redis.call('ZREM', KEYS[1], ARGV[1])
        if tonumber(ends) <= now then return 0 end
        local memory = tonumber(ARGV[2])
        local released = redis.call('HMGET', KEYS[2], 'count', 'at')
        local count = (tonumber(released[1]) or 0) * math.exp(((tonumber(released[2]) or 0) - now) / memory) + 1
        redis.call('HSET', KEYS[2], 'count', string.format('%.17g', count), 'at', string.format('%.0f', now))
        redis.call('PEXPIRE', KEYS[2], string.format('%.0f', memory / 100))
        return 1
        """
    )

    private static func runningKey(_ key: String) -> String { "celeriac-running:\(key)" }
    private static func waitingKey(_ key: String) -> String { "celeriac-waiting:\(key)" }
    private static func releasedKey(_ key: String) -> String { "celeriac-released:\(key)" }

    func acquire(
        _ key: String,
        owner: String,
        count: Int,
        lease: Duration,
        within timeout: Duration
    ) async throws(CeleriacError) -> PlaceDecision {
        let reply = try await link.evaluate(
            Self.acquireScript,
            keys: [Self.runningKey(key), Self.waitingKey(key), Self.releasedKey(key)],
            arguments: [
                owner, count, lease.inMicroseconds, LeasedPlaces.memory, LeasedPlaces.slowestReturns,
                LeasedPlaces.shortestPause, LeasedPlaces.longestPause,
            ],
            within: timeout,
            attempting: "ask for a place under the concurrency limit \(key)"
        )
        let fields = reply.array ?? []
        if fields.count == 2, fields[0].integer == 1 { return .granted }
        if fields.count == 2, let wait = fields[1].string.flatMap({ Int64($0) }) {
            return .full(askAgain: .microseconds(max(0, wait)))
        }
        throw CeleriacError(.undecodable, "the concurrency limit \(key) holds something else: Redis answered \(reply)")
    }

    func release(_ key: String, owner: String, within timeout: Duration) async throws(CeleriacError) -> Bool {
        let reply = try await link.evaluate(
            Self.releaseScript,
            keys: [Self.runningKey(key), Self.releasedKey(key)],
            arguments: [owner, LeasedPlaces.memory],
            within: timeout,
            attempting: "free a place under the concurrency limit \(key)"
        )
        return reply.integer == 1
    }
}

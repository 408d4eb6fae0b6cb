internal import CeleriacCore
internal import FoundationEssentials
internal import Redis

extension RedisResultBackend: Examinable {
    func examine(within timeout: Duration, time: any TimeSource) async -> [Finding] {
        let check = "redis"
        do throws(CeleriacError) {
            try await open(within: timeout)
            let facts = try await facts(within: timeout, time)
            return [.ok(check, "reached at \(address)")] + facts.findings
        } catch {
            return [.unusable(check, error)]
        }
    }

    private func facts(within timeout: Duration, _ time: any TimeSource) async throws(CeleriacError) -> RedisFacts {
        var facts = RedisFacts()
        facts.isBehindSentinels = link.client.configuration.url.sentinels != nil
        try await measure(&facts, within: timeout, time)

        let settings = RedisFacts.settings.map { RedisCommand("CONFIG", "GET", $0) }
        let replies = try await link.pipeline(
            [RedisCommand("INFO")] + settings,
            within: timeout,
            attempting: "ask Redis about itself"
        )
        switch replies.first {
        case .error?, nil: facts.refused.append("INFO")
        case let reply?: facts.read(info: reply.string ?? "")
        }
        for (name, reply) in zip(RedisFacts.settings, replies.dropFirst()) {
            if case .error = reply {
                if !facts.refused.contains("CONFIG") { facts.refused.append("CONFIG") }
            } else if let pair = reply.array, pair.count == 2, let value = pair[1].string {
                facts.read(setting: name, value)
            }
        }
        return facts
    }

    /// Times the way there and back, and sets the clocks side by side in the fastest of a few.
    private func measure(_ facts: inout RedisFacts, within timeout: Duration, _ time: any TimeSource)
        async throws(CeleriacError)
    {
        facts.roundTrip = timeout
        for _ in 0..<3 {
            let wall = time.now
            let began = ContinuousClock.now
            let replies = try await link.pipeline(
                [RedisCommand("TIME")],
                within: timeout,
                attempting: "ask Redis for the time"
            )
            let elapsed = began.duration(to: .now)
            guard elapsed < facts.roundTrip else { continue }
            facts.roundTrip = elapsed
            guard let parts = replies.first?.array, parts.count == 2, let seconds = parts[0].integer,
                let microseconds = parts[1].integer
            else { continue }
            let server = Date(timeIntervalSince1970: Double(seconds) + Double(microseconds) / 1e6)
            let middle = wall.addingTimeInterval(elapsed.inSeconds / 2)
            facts.clockLead = .seconds(server.timeIntervalSince(middle))
            facts.clockUncertainty = elapsed / 2
        }
    }
}

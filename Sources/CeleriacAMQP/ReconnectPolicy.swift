/// How long to wait before connecting again: exponential with full jitter, so that a fleet does not come back at once.
struct ReconnectPolicy: Sendable {
    var base = Duration.milliseconds(200)
    var cap = Duration.seconds(15)

    func delay(attempt: Int, using generator: inout some RandomNumberGenerator) -> Duration {
        let ceiling = min(cap, base * (1 << min(attempt, 16)))
        return max(.milliseconds(20), ceiling * Double.random(in: 0...1, using: &generator))
    }
}

import Redis
import Testing
import Transport

@Suite("Sentinel search") struct SentinelSearchTests {
    let start = ContinuousClock.now
    let a = Self.endpoint(1)
    let b = Self.endpoint(2)
    let c = Self.endpoint(3)
    let master = Self.endpoint(10)
    let other = Self.endpoint(11)

    static func endpoint(_ number: Int) -> Endpoint { .tcp(host: "h", port: number) }

    func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

    @Test("Asks one after the other, with equal shares of the time, until one answers")
    func order() {
        var search = SentinelSearch([a, b, c])
        #expect(search.begin(now: start, deadline: at(8)) == .ask(a, until: at(2)))
        #expect(search.unreachable(now: at(2)) == .ask(b, until: at(4)))
        #expect(search.answered(nil, now: at(2)) == .ask(c, until: at(5)))
        #expect(search.answered(master, now: at(3)) == .verify(master, until: at(8)))
    }

    @Test("Asks who answered first the next time, and last who did not")
    func memory() {
        var search = SentinelSearch([a, b, c])
        _ = search.begin(now: start, deadline: at(8))
        _ = search.unreachable(now: start)
        _ = search.answered(master, now: start)
        search.confirmed()
        #expect(search.begin(now: at(10), deadline: at(18)) == .ask(b, until: at(12)))
        #expect(search.unreachable(now: at(10)) == .ask(c, until: at(10) + .seconds(8) / 3))
        #expect(search.unreachable(now: at(10)) == .ask(a, until: at(14)))
        #expect(search.unreachable(now: at(10)) == .fail(.nobodyAnswered))
    }

    @Test("A server that is no master is visited once, and the other sentinels are asked")
    func stale() {
        var search = SentinelSearch([a, b, c])
        _ = search.begin(now: start, deadline: at(8))
        #expect(search.answered(master, now: start) == .verify(master, until: start + .seconds(8) / 3))
        #expect(search.refuted(now: start) == .ask(b, until: start + .seconds(8) / 3))
        #expect(search.answered(master, now: start) == .ask(c, until: at(4)))
        #expect(search.answered(other, now: start) == .verify(other, until: at(8)))
        #expect(search.refuted(now: start) == .fail(.noMaster))
        // What was refuted then may be true now.
        _ = search.begin(now: at(10), deadline: at(18))
        #expect(search.answered(master, now: at(10)) == .verify(master, until: at(10) + .seconds(8) / 3))
    }

    @Test("Ends at its deadline, with the most telling of what it has met")
    func failures() {
        var search = SentinelSearch([a, b])
        _ = search.begin(now: start, deadline: at(8))
        #expect(search.unreachable(now: at(8)) == .fail(.nobodyAnswered))
        _ = search.begin(now: at(10), deadline: at(18))
        _ = search.answered(nil, now: at(10))
        #expect(search.unreachable(now: at(11)) == .fail(.unknownMaster))
        _ = search.begin(now: at(20), deadline: at(28))
        _ = search.answered(master, now: at(20))
        _ = search.refuted(now: at(20))
        #expect(search.answered(nil, now: at(20)) == .fail(.noMaster))
        var empty = SentinelSearch([])
        #expect(empty.begin(now: start, deadline: at(8)) == .fail(.nobodyAnswered))
    }
}

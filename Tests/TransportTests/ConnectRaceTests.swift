import Testing

@testable import Transport

@Suite("Connect race") struct ConnectRaceTests {
    private let start = ContinuousClock.now
    private static let v4: Int32 = 2
    private static let v6: Int32 = 10

    private func race(
        _ families: [Int32],
        addressTimeout: Duration? = nil
    ) -> ConnectRace<ContinuousClock.Instant> {
        ConnectRace(families: families, delay: .milliseconds(250), addressTimeout: addressTimeout)
    }

    @Test("Families take turns, each address with a head start")
    func interleaves() {
        var race = race([Self.v6, Self.v6, Self.v6, Self.v4, Self.v4])
        var now = start
        var order: [ConnectRace<ContinuousClock.Instant>.Action] = race.start(now: now)
        while let deadline = race.deadline {
            #expect(deadline == now + .milliseconds(250))
            #expect(race.tick(now: now + .milliseconds(249)).isEmpty)
            now = deadline
            order += race.tick(now: now)
        }
        #expect(order == [.connect(0), .connect(3), .connect(1), .connect(4), .connect(2)])
    }

    @Test("A failure lets the next address start at once")
    func failure() {
        var race = race([Self.v6, Self.v4])
        #expect(race.start(now: start) == [.connect(0)])
        #expect(race.failed(0, now: start + .milliseconds(5)) == [.connect(1)])
        #expect(race.deadline == nil)
        #expect(race.failed(1, now: start + .milliseconds(9)) == [.lost])
        #expect(race.failed(1, now: start + .milliseconds(9)) == [])
    }

    @Test("While one address still tries, the failure of the others is not the end")
    func straggler() {
        var race = race([Self.v6, Self.v4])
        _ = race.start(now: start)
        #expect(race.tick(now: start + .milliseconds(250)) == [.connect(1)])
        #expect(race.failed(1, now: start + .milliseconds(300)) == [])
        #expect(race.connected(0) == [])
    }

    @Test("The first to connect wins, and the others are given up")
    func winner() {
        var race = race([Self.v6, Self.v4, Self.v4])
        _ = race.start(now: start)
        _ = race.tick(now: start + .milliseconds(250))
        _ = race.tick(now: start + .milliseconds(500))
        #expect(race.connected(1) == [.abandon(0), .abandon(2)])
        #expect(race.deadline == nil)
        #expect(race.tick(now: start + .seconds(9)) == [])
        #expect(race.connected(0) == [])
    }

    @Test("An address that takes too long is given up, and its place is taken")
    func addressTimeout() {
        var race = race([Self.v4, Self.v4], addressTimeout: .milliseconds(100))
        _ = race.start(now: start)
        #expect(race.deadline == start + .milliseconds(100))
        #expect(race.tick(now: start + .milliseconds(100)) == [.abandon(0), .connect(1)])
        #expect(race.deadline == start + .milliseconds(200))
        #expect(race.tick(now: start + .milliseconds(200)) == [.abandon(1), .lost])
    }

    @Test("Without an address the race is lost at once")
    func nobody() {
        var race = race([])
        #expect(race.start(now: start) == [.lost])
    }
}

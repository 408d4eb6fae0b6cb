import Testing

@testable import Transport

@Suite("Input pacer") struct InputPacerTests {
    private let start = ContinuousClock.now

    /// Reads of the same size at equal distances, for two milliseconds.
    private func flow(_ octets: Int, every interval: Duration, in pacer: inout InputPacer, from: Duration = .zero) {
        var time = from
        while time < from + .milliseconds(2) {
            time += interval
            _ = pacer.received(octets, now: start + time)
        }
    }

    @Test("Reads at once what comes now and then, and answers to one question at a time") func quiet() {
        for (octets, interval) in [
            (60_000, Duration.milliseconds(5)), (350, .microseconds(160)), (30, .microseconds(40)),
            (1500, .microseconds(80)),
        ] {
            var pacer = InputPacer(now: start)
            flow(octets, every: interval, in: &pacer)
            #expect(pacer.threshold == 1)
        }
    }

    @Test("Lets most of what comes within its patience gather, when small pieces come without pause") func busy() {
        var pacer = InputPacer(now: start)
        flow(1755, every: .microseconds(20), in: &pacer)
        // 20 pieces in 400 µs, measured over a millisecond.
        #expect(abs(pacer.threshold - 16 * 1755) <= 1755)
    }

    @Test("Follows the flow once it changes by half or double, up to a bound") func follows() {
        var pacer = InputPacer(now: start)
        flow(1755, every: .microseconds(20), in: &pacer)
        let before = pacer.threshold
        flow(2000, every: .microseconds(20), in: &pacer, from: .milliseconds(2))
        #expect(pacer.threshold == before)
        flow(500_000, every: .microseconds(100), in: &pacer, from: .milliseconds(4))
        #expect(pacer.threshold == 384 << 10)
        flow(1000, every: .microseconds(400), in: &pacer, from: .milliseconds(6))
        #expect(pacer.threshold == 1)
    }

    @Test("Reads at once again after a pause, and gathers soon when the flow goes on") func pause() {
        var pacer = InputPacer(now: start)
        flow(1755, every: .microseconds(20), in: &pacer)
        let changes = [pacer.foundNothing(), pacer.foundNothing()]
        #expect(changes == [true, false])
        #expect(pacer.threshold == 1)
        flow(1755, every: .microseconds(20), in: &pacer, from: .milliseconds(3))
        #expect(pacer.threshold > 1)
    }
}

import Testing

@testable import Transport

@Suite("Timer queue") struct TimerQueueTests {
    private let start = ContinuousClock.now

    @Test("Fires in order of deadlines, equal ones in order of scheduling")
    func order() {
        var queue = TimerQueue<ContinuousClock.Instant, String>()
        _ = queue.schedule(at: start + .seconds(2), "c")
        _ = queue.schedule(at: start + .seconds(1), "a")
        _ = queue.schedule(at: start + .seconds(1), "b")
        #expect(queue.nextDeadline() == start + .seconds(1))
        #expect(queue.takeDue(now: start).isEmpty)
        #expect(queue.takeDue(now: start + .seconds(3)) == ["a", "b", "c"])
        #expect(queue.takeDue(now: start + .seconds(3)).isEmpty)
    }

    @Test("What is scheduled or cancelled while due timers are taken is neither lost nor taken along")
    func changesWhileTaking() {
        var queue = TimerQueue<ContinuousClock.Instant, String>()
        _ = queue.schedule(at: start, "a")
        let cancelled = queue.schedule(at: start, "b")
        _ = queue.schedule(at: start, "c")
        var due: [TimerID] = []
        queue.collectDue(now: start, into: &due)
        _ = queue.schedule(at: start - .seconds(1), "again")
        queue.cancel(cancelled)
        #expect(due.map { queue.take($0) } == ["a", nil, "c"])
        #expect(queue.count == 1)
        #expect(queue.nextDeadline() == start - .seconds(1))
        #expect(queue.takeDue(now: start) == ["again"])
    }

    @Test("A cancelled timer never fires and leaves nothing behind")
    func cancelled() {
        var queue = TimerQueue<ContinuousClock.Instant, Int>()
        let timers = (0..<1000).map { queue.schedule(at: start + .milliseconds($0), $0) }
        for timer in timers where timer != timers[500] { queue.cancel(timer) }
        #expect(queue.count == 1)
        #expect(queue.nextDeadline() == start + .milliseconds(500))
        #expect(queue.takeDue(now: start + .seconds(2)) == [500])
        queue.cancel(timers[500])
        #expect(queue.count == 0)
        #expect(queue.nextDeadline() == nil)
    }

    @Test("Agrees with sorting, whatever the mix of scheduling and cancelling", arguments: 0..<20)
    func model(seed: UInt64) {
        var generator = SplitMix(state: seed)
        var queue = TimerQueue<ContinuousClock.Instant, Int>()
        var expected: [(deadline: ContinuousClock.Instant, payload: Int)] = []
        var timers: [Int: TimerID] = [:]
        for payload in 0..<500 {
            let deadline = start + .milliseconds(Int.random(in: 0..<200, using: &generator))
            timers[payload] = queue.schedule(at: deadline, payload)
            expected.append((deadline, payload))
            if Bool.random(using: &generator), let victim = expected.randomElement(using: &generator)?.payload {
                if let timer = timers[victim] { queue.cancel(timer) }
                expected.removeAll { $0.payload == victim }
            }
        }
        expected.sort { ($0.deadline, $0.payload) < ($1.deadline, $1.payload) }
        #expect(queue.takeDue(now: start + .seconds(1)) == expected.map(\.payload))
    }
}

extension TimerQueue {
    /// Takes all timers that are due, in order.
    fileprivate mutating func takeDue(now: Instant) -> [Payload] {
        var due: [TimerID] = []
        collectDue(now: now, into: &due)
        return due.compactMap { take($0) }
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

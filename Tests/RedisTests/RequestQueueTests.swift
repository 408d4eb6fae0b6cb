import Redis
import Testing

@Suite("Request queue") struct RequestQueueTests {
    typealias Queue = RequestQueue<String>
    let start = ContinuousClock.now

    func queue(sent: Int = 100, waiting: Int = 100) -> Queue {
        Queue(maximumSent: .init(requests: sent), maximumWaiting: .init(requests: waiting), grace: .seconds(2))
    }

    func submit(_ queue: inout Queue, _ name: String, expecting: Int = 1, within: Duration = .seconds(5)) -> Bool {
        queue.submit(name, expecting: expecting, deadline: start + within)
    }

    func sendAll(_ queue: inout Queue) -> [String] {
        var sent: [String] = []
        while let request = queue.nextToSend() { sent.append(request) }
        return sent
    }

    /// What came out, in a form that compares.
    func show(_ received: Queue.Received) -> String {
        switch received {
        case .complete(let name, .array(let values)): "\(name)=\(values.compactMap(\.integer))"
        case .complete(let name, let value): "\(name)=\(value.integer ?? -1)"
        case .partial: "partial"
        case .discarded: "discarded"
        case .unsolicited: "unsolicited"
        }
    }

    @Test("Answers requests in the order they were sent")
    func order() {
        var queue = queue()
        for name in ["a", "b", "c"] { #expect(submit(&queue, name)) }
        #expect(sendAll(&queue) == ["a", "b", "c"])
        let events = [1, 2, 3, 4].map { show(queue.received(.integer($0))) }
        #expect(events == ["a=1", "b=2", "c=3", "unsolicited"])
        #expect(queue.isEmpty)
    }

    @Test("Gathers the replies of a pipeline")
    func pipeline() {
        var queue = queue()
        #expect(submit(&queue, "p", expecting: 3))
        #expect(submit(&queue, "q"))
        _ = sendAll(&queue)
        let events = [1, 2, 3, 4].map { show(queue.received(.integer($0))) }
        #expect(events == ["partial", "partial", "p=[1, 2, 3]", "q=4"])
    }

    @Test("Sends no more than the window and keeps no more than the bound")
    func bounds() {
        var queue = queue(sent: 2, waiting: 3)
        #expect(["a", "b", "c"].allSatisfy { submit(&queue, $0) })
        #expect(!submit(&queue, "d"))
        #expect(sendAll(&queue) == ["a", "b"])
        _ = queue.received(.null)
        #expect(sendAll(&queue) == ["c"])
    }

    @Test("Bounds octets as well, but lets one request pass however big it is")
    func octets() {
        var queue = Queue(
            maximumSent: .init(requests: 10, octets: 100),
            maximumWaiting: .init(requests: 10, octets: 50),
            grace: .seconds(2)
        )
        func submit(_ name: String, _ octets: Int) -> Bool {
            queue.submit(name, expecting: 1, octets: octets, deadline: start + .seconds(5))
        }
        #expect(submit("huge", 1000))
        #expect(!submit("small", 1))
        #expect(sendAll(&queue) == ["huge"])
        #expect(submit("a", 20) && submit("b", 30) && !submit("c", 1))
        #expect(sendAll(&queue) == [])
        _ = queue.received(.null)
        #expect(sendAll(&queue) == ["a", "b"])
        #expect(submit("d", 50) && !submit("e", 1))
        #expect(sendAll(&queue) == ["d"])
        #expect(submit("e", 10))
        #expect(sendAll(&queue) == [])
        _ = queue.tick(now: start + .seconds(5))
        #expect(submit("f", 50))
        #expect(queue.end().unsent == ["f"])
    }

    @Test("What nobody waits for any more is not sent")
    func unwanted() {
        var queue = queue()
        #expect(["a", "b", "c"].allSatisfy { submit(&queue, $0) })
        #expect(queue.nextToSend { $0 != "a" } == "b")
        #expect(queue.nextToSend { $0 != "c" } == nil)
        #expect(queue.sentCount == 1 && queue.waitingCount == 0)
    }

    @Test("A request that timed out keeps its place, so that its answer shifts nobody's")
    func timeout() {
        var queue = queue()
        #expect(submit(&queue, "slow", expecting: 2, within: .seconds(1)))
        #expect(submit(&queue, "next"))
        _ = sendAll(&queue)
        #expect(show(queue.received(.integer(1))) == "partial")
        #expect(queue.nextDeadline == start + .seconds(1))
        #expect(queue.tick(now: start + .seconds(1)).sent == ["slow"])
        #expect(queue.tick(now: start + .seconds(1)).sent == [])
        #expect(show(queue.received(.integer(2))) == "discarded")
        #expect(show(queue.received(.integer(3))) == "next=3")
    }

    @Test("A request that was never sent is dropped at its deadline")
    func unsentTimeout() {
        var queue = queue(sent: 1)
        #expect(submit(&queue, "a") && submit(&queue, "b", within: .seconds(1)) && submit(&queue, "c"))
        #expect(sendAll(&queue) == ["a"])
        #expect(queue.tick(now: start + .seconds(2)).unsent == ["b"])
        #expect(queue.nextDeadline == start + .seconds(5))
        #expect(show(queue.received(.integer(1))) == "a=1")
        #expect(sendAll(&queue) == ["c"])
    }

    @Test("A peer that stays mute after a timeout is dead when the grace is over")
    func mute() {
        var queue = queue()
        #expect(submit(&queue, "a", within: .seconds(1)) && submit(&queue, "b"))
        _ = sendAll(&queue)
        #expect(!queue.tick(now: start + .seconds(1)).isDead)
        #expect(queue.nextDeadline == start + .seconds(3))
        #expect(!queue.tick(now: start + .milliseconds(2999)).isDead)
        #expect(queue.tick(now: start + .seconds(3)).isDead)
    }

    @Test("A sign of life clears the suspicion")
    func alive() {
        var queue = queue()
        #expect(submit(&queue, "a", within: .seconds(1)) && submit(&queue, "b", within: .seconds(10)))
        _ = sendAll(&queue)
        _ = queue.tick(now: start + .seconds(1))
        #expect(show(queue.received(.integer(1))) == "discarded")
        #expect(!queue.tick(now: start + .seconds(4)).isDead)
        #expect(queue.nextDeadline == start + .seconds(10))
    }

    @Test("Many deadlines close together share a tick")
    func granularity() {
        var queue = queue()
        for number in 1...20 { #expect(submit(&queue, "\(number)", within: .milliseconds(number))) }
        _ = sendAll(&queue)
        #expect(queue.tick(now: start + .milliseconds(1)).sent == ["1"])
        #expect(queue.nextDeadline == start + .milliseconds(11))
        #expect(queue.tick(now: start + .milliseconds(11)).sent.count == 10)
    }

    @Test("At the end tells what was sent from what was not")
    func end() {
        var queue = queue(sent: 2)
        #expect(submit(&queue, "a", within: .seconds(1)) && submit(&queue, "b") && submit(&queue, "c"))
        _ = sendAll(&queue)
        _ = queue.tick(now: start + .seconds(1))
        let (unsent, sent) = queue.end()
        #expect(unsent == ["c"])
        #expect(sent == ["b"])
        #expect(queue.isEmpty && queue.nextDeadline == nil)
    }

    @Test("Stays in order through many rounds")
    func longRun() {
        var queue = queue(sent: 7, waiting: 1000)
        var asked = 0
        var answered = 0
        for round in 0..<500 {
            for _ in 0..<(round % 5) where submit(&queue, "\(asked)") { asked += 1 }
            _ = sendAll(&queue)
            for _ in 0..<min(queue.sentCount, round % 4) {
                #expect(show(queue.received(.integer(answered))) == "\(answered)=\(answered)")
                answered += 1
            }
        }
        #expect(queue.sentCount + queue.waitingCount == asked - answered)
    }
}

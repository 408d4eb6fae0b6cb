public import CeleriacCore
import FoundationEssentials
import TestSupport
import Testing

/// The state machine alone: every test is a list of events and what they lead to.
@Suite("Queues in memory")
struct MemoryQueuesTests {
    private let start = Date(timeIntervalSince1970: 1_800_000_000)

    private func queues(_ declarations: QueueDeclaration..., maximumOctets: Int = 1 << 20) -> MemoryQueues {
        var queues = MemoryQueues(maximumOctets: maximumOctets)
        for declaration in declarations { _ = queues.declare(declaration) }
        return queues
    }

    /// Publishes at once and gives the waiters woken, with their texts.
    @discardableResult
    private func publish(
        _ text: String,
        to queue: String = "q",
        at now: Date? = nil,
        in queues: inout MemoryQueues
    ) -> [String] {
        guard case .stored(let wakes) = queues.publish(.text(text), to: queue, delay: nil, at: now ?? start) else {
            Issue.record("\(text) was not stored")
            return []
        }
        return describe(wakes)
    }

    private func describe(_ wakes: [MemoryQueues.Wake]) -> [String] {
        wakes.map { "\($0.waiter):\($0.grant.stored.message.text)" }
    }

    private func grant(_ taking: MemoryQueues.Taking?) throws -> MemoryQueues.Grant {
        guard case .granted(let grant) = taking else { throw NotInTime(description: "nothing was granted") }
        return grant
    }

    @Test("Gives every message back its place, in whatever order the loans end")
    func places() throws {
        var queues = queues("q")
        let consumer = queues.subscribe(to: ["q"], prefetch: 10)
        for text in ["a", "b", "c", "d", "e"] { publish(text, in: &queues) }
        let grants = try (0..<4).map { _ in try grant(queues.take(for: consumer, at: start)) }
        for index in [2, 0, 3] { #expect(queues.settle(grants[index].tag, as: .returned, at: start).count == 0) }
        let order = try (0..<4).map { _ in try grant(queues.take(for: consumer, at: start)) }
        #expect(order.map(\.stored.message.text) == ["a", "c", "d", "e"])
        #expect(order.map(\.isRedelivered) == [true, true, true, false])
    }

    @Test("Serves waiters in order and skips those that were cancelled")
    func waiters() throws {
        var queues = queues("q")
        let consumer = queues.subscribe(to: ["q"], prefetch: 10)
        for waiter in 1...4 as ClosedRange<UInt64> {
            guard case .nothing = queues.take(for: consumer, orEnrol: waiter, at: start) else {
                Issue.record("something was granted")
                return
            }
        }
        #expect(queues.cancel(2) == true)
        #expect(queues.cancel(2) == false)
        #expect(publish("a", in: &queues) == ["1:a"])
        #expect(publish("b", in: &queues) == ["3:b"])
        #expect(queues.stop(consumer) == [4])
        #expect(queues.cancel(4) == false)
        guard case .stopped = queues.take(for: consumer, at: start) else {
            Issue.record("the consumer goes on")
            return
        }
    }

    @Test("Keeps nothing of waits that end before a message comes")
    func manyCancelledWaits() {
        var queues = queues("q")
        let consumer = queues.subscribe(to: ["q"], prefetch: 1)
        for waiter in 1...10_000 as ClosedRange<UInt64> {
            _ = queues.take(for: consumer, orEnrol: waiter, at: start)
            if waiter > 1 { #expect(queues.cancel(waiter) == true) }
        }
        #expect(publish("a", in: &queues) == ["1:a"])
    }

    @Test("Wakes a waiter when a settlement makes room under the prefetch")
    func room() throws {
        var queues = queues("q")
        let consumer = queues.subscribe(to: ["q"], prefetch: 1)
        publish("a", in: &queues)
        publish("b", in: &queues)
        let first = try grant(queues.take(for: consumer, at: start))
        guard case .nothing = queues.take(for: consumer, orEnrol: 1, at: start) else {
            Issue.record("the prefetch was passed over")
            return
        }
        #expect(describe(queues.settle(first.tag, as: .acknowledged, at: start)) == ["1:b"])
    }

    @Test("Gives messages to hungry consumers in turn")
    func roundRobin() {
        var queues = queues("q")
        let consumers = (0..<3).map { _ in queues.subscribe(to: ["q"], prefetch: 10) }
        for (index, consumer) in consumers.enumerated() {
            for round in 0..<2 { _ = queues.take(for: consumer, orEnrol: UInt64(10 * index + round), at: start) }
        }
        let woken = (0..<6).flatMap { publish("m\($0)", in: &queues) }
        #expect(woken == ["0:m0", "10:m1", "20:m2", "1:m3", "11:m4", "21:m5"])
    }

    @Test("Takes from a consumer's queues in turn")
    func fairness() throws {
        var queues = queues("a", "b", "c")
        let consumer = queues.subscribe(to: ["a", "b", "c"], prefetch: 10)
        for text in ["1", "2", "3"] { publish("a\(text)", to: "a", in: &queues) }
        publish("b1", to: "b", in: &queues)
        publish("c1", to: "c", in: &queues)
        let order = try (0..<5).map { _ in try grant(queues.take(for: consumer, at: start)).stored.message.text }
        #expect(order == ["a1", "b1", "c1", "a2", "a3"])
    }

    @Test("Ignores tags that are unknown or settled, and settles each once")
    func tags() throws {
        var queues = queues("q")
        publish("a", in: &queues)
        let first = try grant(queues.get("q", at: start))
        #expect(queues.settle(first.tag, as: .returned, at: start).count == 0)
        #expect(queues.settle(first.tag, as: .acknowledged, at: start).count == 0)
        #expect(queues.settle(.max, as: .acknowledged, at: start).count == 0)
        #expect(queues.depth(of: "q", at: start) == 1)
        _ = queues.close()
        #expect(queues.settle(first.tag, as: .returned, at: start).count == 0)
        #expect(queues.depth(of: "q", at: start) == nil)
    }

    @Test("Counts octets until a message is settled, purged or expired")
    func octets() throws {
        var queues = queues("q", QueueDeclaration("brief", messageTTL: .seconds(1)))
        for text in ["a", "b", "c"] { publish(text, in: &queues) }
        publish("d", to: "brief", in: &queues)
        let each = queues.heldOctets / 4
        #expect(each > 0)
        let first = try grant(queues.get("q", at: start))
        #expect(queues.heldOctets == 4 * each)
        _ = queues.settle(first.tag, as: .acknowledged, at: start)
        #expect(queues.heldOctets == 3 * each)
        #expect(queues.depth(of: "brief", at: start.addingTimeInterval(2)) == 0)
        #expect(queues.heldOctets == 2 * each)
        let second = try grant(queues.get("q", at: start))
        #expect(queues.purge("q", at: start) == 1)
        #expect(queues.heldOctets == each)
        _ = queues.settle(second.tag, as: .rejected, at: start)
        #expect(queues.heldOctets == 0)
    }

    @Test("Takes nothing beyond its limit, unless dropping the expired makes room")
    func limit() {
        var queues = queues(QueueDeclaration("q", messageTTL: .seconds(1)), maximumOctets: 2_000)
        publish("a", in: &queues)
        publish("b", in: &queues)
        publish("c", in: &queues)
        guard case .full(let held) = queues.publish(.text("d"), to: "q", delay: nil, at: start) else {
            Issue.record("the limit was passed")
            return
        }
        #expect(held == queues.heldOctets && held <= 2_000)
        publish("e", at: start.addingTimeInterval(2), in: &queues)
        #expect(queues.depth(of: "q", at: start.addingTimeInterval(2)) == 1)
    }

    @Test("The shorter of a message's and its queue's time counts, and the queue goes on behind the expired")
    func expiry() throws {
        var queues = queues(QueueDeclaration("q", messageTTL: .seconds(10)))
        for (text, expiration) in [("long", .seconds(60)), ("brief", .seconds(1)), ("none", nil)]
            as [(String, Duration?)]
        {
            _ = queues.publish(.text(text, expiration: expiration), to: "q", delay: nil, at: start)
        }
        let later = start.addingTimeInterval(5)
        #expect(try grant(queues.get("q", at: later)).stored.message.text == "long")
        #expect(try grant(queues.get("q", at: later)).stored.message.text == "none")
        publish("late", at: later, in: &queues)
        guard case .nothing = queues.get("q", at: start.addingTimeInterval(20)) else {
            Issue.record("an expired message was granted")
            return
        }
    }

    @Test("Releases delayed messages at their time, in order of their times")
    func delays() throws {
        var queues = queues("q")
        for (text, delay) in [("third", 30), ("first", 10), ("second", 20), ("also first", 10)] {
            guard case .delayed(let due) = queues.publish(.text(text), to: "q", delay: .seconds(delay), at: start)
            else {
                Issue.record("\(text) was not delayed")
                return
            }
            #expect(due == start.addingTimeInterval(Double(delay)))
        }
        #expect(queues.firstDue == start.addingTimeInterval(10))
        #expect(queues.releaseDue(at: start.addingTimeInterval(9)).count == 0)
        #expect(queues.depth(of: "q", at: start) == 0)
        let consumer = queues.subscribe(to: ["q"], prefetch: 10)
        for waiter in 1...3 as ClosedRange<UInt64> { _ = queues.take(for: consumer, orEnrol: waiter, at: start) }
        let woken = queues.releaseDue(at: start.addingTimeInterval(20))
        #expect(describe(woken) == ["1:first", "2:also first", "3:second"])
        #expect(queues.firstDue == start.addingTimeInterval(30))
    }

    @Test("Keeps priorities apart when messages come back")
    func priorities() throws {
        var queues = queues(QueueDeclaration("q", maximumPriority: 2))
        for (text, priority) in [("low 1", 0), ("low 2", 0), ("high 1", 2), ("high 2", 9)] as [(String, UInt8)] {
            _ = queues.publish(.text(text, priority: priority), to: "q", delay: nil, at: start)
        }
        let grants = try (0..<3).map { _ in try grant(queues.get("q", at: start)) }
        for grant in grants.reversed() { _ = queues.settle(grant.tag, as: .returned, at: start) }
        let order = try (0..<4).map { _ in try grant(queues.get("q", at: start)).stored.message.text }
        #expect(order == ["high 1", "high 2", "low 1", "low 2"])
    }

    @Test("Names what an existing queue has otherwise")
    func difference() {
        var queues = queues(QueueDeclaration("q", maximumPriority: 3))
        let difference = queues.declare(QueueDeclaration("q", kind: .quorum, messageTTL: .seconds(1)))
        #expect(difference?.contains("type classic instead of quorum") == true)
        #expect(difference?.contains("maximum priority 3 instead of none") == true)
        #expect(difference?.contains("message TTL none instead of") == true)
    }
}

extension QueueDeclaration: ExpressibleByStringLiteral {
    /// A queue as declared by default.
    public init(stringLiteral name: String) { self.init(QueueName(name)) }
}

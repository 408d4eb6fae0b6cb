import CeleriacCore
import FoundationEssentials
import Testing

@testable import CeleriacBeat

@Suite("Planner") struct PlannerTests {
    private static let start = at("2026-11-20T10:00:10Z")

    private func makePlanner(
        _ trigger: Trigger? = nil,
        _ misfire: MisfirePolicy = .once,
        grace: Duration? = nil
    ) throws -> Planner {
        let trigger = try trigger ?? .every(.seconds(30))
        return Planner(
            [Planner.Plan(name: "a", trigger: trigger, misfire: misfire, grace: grace)],
            startedAt: Self.start
        )
    }

    /// A planner that leads, with its one entry waiting after a slot that was sent.
    private func leading(
        _ trigger: Trigger? = nil,
        _ misfire: MisfirePolicy = .once,
        grace: Duration? = nil,
        after slot: String? = nil
    ) throws -> Planner {
        var planner = try makePlanner(trigger, misfire, grace: grace)
        #expect(planner.becameLeader() == [.load(0)])
        #expect(planner.loaded(0, slot: slot.map(at), isSent: true, now: Self.start) == [])
        return planner
    }

    @Test("Takes a slot from claim to mark, then waits for the next")
    func oneSlot() throws {
        var planner = try leading()
        let slot = at("2026-11-20T10:00:30Z")
        #expect(planner.nextWake == slot)
        #expect(planner.tick(now: slot.addingTimeInterval(-0.001)) == [])
        #expect(planner.tick(now: slot) == [.claim(0, slot: slot)])
        #expect(planner.nextWake == nil)
        #expect(planner.claimed(0, .granted, now: slot) == [.send(0, slot: slot)])
        #expect(planner.sent(0) == [.mark(0, slot: slot)])
        #expect(planner.marked(0, now: slot) == [])
        #expect(planner.nextWake == at("2026-11-20T10:01:00Z"))
    }

    @Test("Does nothing while another leads")
    func follower() throws {
        var planner = try makePlanner()
        #expect(planner.nextWake == nil)
        #expect(planner.tick(now: at("2026-11-20T12:00:00Z")) == [])
    }

    @Test("Takes over an entry that never fired from when the beat was started")
    func neverFired() throws {
        var planner = try makePlanner()
        _ = planner.becameLeader()
        let now = at("2026-11-20T10:00:44Z")
        #expect(planner.loaded(0, slot: nil, isSent: false, now: now) == [])
        #expect(planner.tick(now: now) == [.claim(0, slot: at("2026-11-20T10:00:30Z"))])
    }

    @Test("Emits again, with a new claim, what its predecessor claimed and did not send")
    func claimedNotSent() throws {
        var planner = try makePlanner()
        let slot = at("2026-11-20T10:00:00Z")
        _ = planner.becameLeader()
        #expect(planner.loaded(0, slot: slot, isSent: false, now: Self.start) == [.claim(0, slot: slot)])
        #expect(planner.claimed(0, .takenNotSent, now: Self.start) == [.send(0, slot: slot)])
        #expect(planner.sent(0) == [.mark(0, slot: slot)])
        #expect(planner.marked(0, now: Self.start) == [])
        #expect(planner.nextWake == at("2026-11-20T10:00:30Z"))
    }

    @Test("Gives up a predecessor's slot that is beyond its grace")
    func claimedLongAgo() throws {
        var planner = try makePlanner(grace: .seconds(20))
        let slot = at("2026-11-20T09:00:00Z")
        _ = planner.becameLeader()
        #expect(planner.loaded(0, slot: slot, isSent: false, now: Self.start) == [.gaveUp(0, slot: slot)])
        #expect(
            planner.tick(now: Self.start) == [
                .missed(0, from: at("2026-11-20T09:00:30Z"), before: at("2026-11-20T10:00:00Z")),
                .claim(0, slot: at("2026-11-20T10:00:00Z")),
            ]
        )
    }

    @Test("Looks the entry up when its claim turns out taken and not sent")
    func lostAnswer() throws {
        var planner = try leading()
        let slot = at("2026-11-20T10:00:30Z")
        #expect(planner.tick(now: slot) == [.claim(0, slot: slot)])
        #expect(planner.failed(0, now: slot) == [])
        let later = slot.addingTimeInterval(1)
        #expect(planner.tick(now: later) == [.claim(0, slot: slot)])
        #expect(planner.claimed(0, .takenNotSent, now: later) == [.load(0)])
        #expect(planner.loaded(0, slot: slot, isSent: false, now: later) == [.claim(0, slot: slot)])
        #expect(planner.claimed(0, .takenNotSent, now: later) == [.send(0, slot: slot)])
    }

    @Test("Passes over a slot that was sent")
    func takenAndSent() throws {
        var planner = try leading()
        let slot = at("2026-11-20T10:00:30Z")
        _ = planner.tick(now: slot)
        #expect(planner.claimed(0, .takenAndSent, now: slot) == [])
        #expect(planner.nextWake == at("2026-11-20T10:01:00Z"))
    }

    // MARK: Misfires

    @Test("Emits the latest late slot, once")
    func misfireOnce() throws {
        var planner = try leading(.cron("0 * * * *"), after: "2026-11-20T05:00:00Z")
        #expect(
            planner.tick(now: Self.start) == [
                .missed(0, from: at("2026-11-20T06:00:00Z"), before: at("2026-11-20T10:00:00Z")),
                .claim(0, slot: at("2026-11-20T10:00:00Z")),
            ]
        )
    }

    @Test(
        "Leaves out a late slot beyond half the way to the next one, or beyond an hour",
        arguments: [
            ("0 * * * *", "2026-11-20T10:29:59Z", true), ("0 * * * *", "2026-11-20T10:30:01Z", false),
            ("0 10 * * *", "2026-11-20T10:59:59Z", true), ("0 10 * * *", "2026-11-20T11:00:01Z", false),
            ("* * * * *", "2026-11-20T10:00:59Z", true),
        ]
    )
    func defaultGrace(_ text: String, _ now: String, _ isEmitted: Bool) throws {
        var planner = try leading(.cron(text), after: "2026-11-20T09:59:00Z")
        let actions = planner.tick(now: at(now))
        #expect(actions.contains(.claim(0, slot: at("2026-11-20T10:00:00Z"))) == isEmitted)
        #expect(actions.contains { if case .missed = $0 { true } else { false } } == !isEmitted)
    }

    @Test("Leaves out every late slot when told to skip")
    func misfireSkip() throws {
        var planner = try leading(.every(.seconds(30)), .skip, after: "2026-11-20T09:00:00Z")
        #expect(planner.tick(now: Self.start) == [.missed(0, from: at("2026-11-20T09:00:30Z"), before: Self.start)])
        #expect(planner.nextWake == at("2026-11-20T10:00:30Z"))
        let punctual = at("2026-11-20T10:00:31Z")
        #expect(planner.tick(now: punctual) == [.claim(0, slot: at("2026-11-20T10:00:30Z"))])
    }

    @Test("Emits late slots one after the other, the latest of too many")
    func misfireAll() throws {
        var planner = try leading(.every(.seconds(30)), .all(maximum: 3), after: "2026-11-20T09:00:00Z")
        let slots = ["2026-11-20T09:59:00Z", "2026-11-20T09:59:30Z", "2026-11-20T10:00:00Z"].map(at)
        var actions = planner.tick(now: Self.start)
        #expect(actions.removeFirst() == .missed(0, from: at("2026-11-20T09:00:30Z"), before: slots[0]))
        for slot in slots {
            #expect(actions == [.claim(0, slot: slot)])
            #expect(planner.claimed(0, .granted, now: Self.start) == [.send(0, slot: slot)])
            #expect(planner.sent(0) == [.mark(0, slot: slot)])
            actions = planner.marked(0, now: Self.start)
        }
        #expect(actions == [])
        #expect(planner.nextWake == at("2026-11-20T10:00:30Z"))
    }

    // MARK: Failures

    @Test("Repeats a failed emission with growing pauses, then gives the slot up")
    func emissionFails() throws {
        var planner = try leading(.every(.seconds(3600)), grace: .seconds(20))
        let slot = at("2026-11-20T11:00:00Z")
        var now = slot
        _ = planner.tick(now: now)
        #expect(planner.claimed(0, .granted, now: now) == [.send(0, slot: slot)])
        for pause in [1.0, 2, 4, 8] {
            #expect(planner.failed(0, now: now) == [])
            now += pause
            #expect(planner.nextWake == now)
            #expect(planner.tick(now: now) == [.send(0, slot: slot)])
        }
        #expect(planner.failed(0, now: now) == [])
        #expect(planner.tick(now: now + 16) == [.gaveUp(0, slot: slot)])
        #expect(planner.nextWake == at("2026-11-20T12:00:00Z"))
    }

    @Test("Does not let a mark that fails hold back the next slot")
    func markFails() throws {
        var planner = try leading()
        let slot = at("2026-11-20T10:00:30Z")
        _ = planner.tick(now: slot)
        _ = planner.claimed(0, .granted, now: slot)
        _ = planner.sent(0)
        var now = slot
        for pause in [1.0, 2, 4] {
            #expect(planner.failed(0, now: now) == [])
            now += pause
            #expect(planner.tick(now: now) == [.mark(0, slot: slot)])
        }
        now = at("2026-11-20T10:01:05Z")
        #expect(planner.failed(0, now: now) == [])
        #expect(planner.tick(now: now + 8) == [.claim(0, slot: at("2026-11-20T10:01:00Z"))])
    }

    @Test("Repeats a look-up that fails, and leaves other entries alone")
    func lookUpFails() throws {
        let plans = try ["a", "b"].map { Planner.Plan(name: $0, trigger: try .every(.seconds(30))) }
        var planner = Planner(plans, startedAt: Self.start)
        #expect(planner.becameLeader() == [.load(0), .load(1)])
        #expect(planner.failed(0, now: Self.start) == [])
        #expect(planner.loaded(1, slot: nil, isSent: false, now: Self.start) == [])
        #expect(
            planner.tick(now: at("2026-11-20T10:00:30Z")) == [.load(0), .claim(1, slot: at("2026-11-20T10:00:30Z"))]
        )
    }

    // MARK: Leadership

    @Test("Stops at once when the store says that another leads")
    func deposed() throws {
        var planner = try leading()
        let slot = at("2026-11-20T10:00:30Z")
        _ = planner.tick(now: slot)
        #expect(planner.claimed(0, .notLeader, now: slot) == [.deposed])
        #expect(!planner.isLeading)
        #expect(planner.nextWake == nil)
        #expect(planner.becameLeader() == [.load(0)])
    }

    @Test("Sends nothing for a claim granted after the leadership was lost")
    func lateGrant() throws {
        var planner = try leading()
        let slot = at("2026-11-20T10:00:30Z")
        _ = planner.tick(now: slot)
        planner.lostLeadership()
        #expect(planner.claimed(0, .granted, now: slot) == [])
    }

    @Test("Notes as sent what was confirmed after the leadership was lost")
    func lateConfirm() throws {
        var planner = try leading()
        let slot = at("2026-11-20T10:00:30Z")
        _ = planner.tick(now: slot)
        _ = planner.claimed(0, .granted, now: slot)
        planner.lostLeadership()
        #expect(planner.sent(0) == [.mark(0, slot: slot)])
        #expect(planner.marked(0, now: slot) == [])
        #expect(planner.nextWake == nil)
    }

    @Test("Looks an entry up only after its step from an earlier leadership has ended")
    func regained() throws {
        var planner = try leading()
        let slot = at("2026-11-20T10:00:30Z")
        _ = planner.tick(now: slot)
        _ = planner.claimed(0, .granted, now: slot)
        planner.lostLeadership()
        #expect(planner.becameLeader() == [])
        #expect(planner.failed(0, now: slot) == [.load(0)])
        #expect(planner.loaded(0, slot: slot, isSent: false, now: slot) == [.claim(0, slot: slot)])
    }

    // MARK: The wall clock

    @Test("Fires no slot again when the clock is set back")
    func clockSetBack() throws {
        var planner = try leading(after: "2026-11-20T10:00:00Z")
        #expect(planner.clockJumped(now: at("2026-11-20T09:00:00Z")) == [])
        #expect(planner.nextWake == at("2026-11-20T10:00:30Z"))
    }

    @Test("Applies the misfire policy when the clock is set forward")
    func clockSetForward() throws {
        var planner = try leading(after: "2026-11-20T10:00:00Z")
        #expect(
            planner.clockJumped(now: at("2026-11-20T11:00:10Z")) == [
                .missed(0, from: at("2026-11-20T10:00:30Z"), before: at("2026-11-20T11:00:00Z")),
                .claim(0, slot: at("2026-11-20T11:00:00Z")),
            ]
        )
    }

    @Test("Repeats a failed step at once when the clock is set back")
    func clockSetBackWhileRepeating() throws {
        var planner = try leading()
        let slot = at("2026-11-20T10:00:30Z")
        _ = planner.tick(now: slot)
        _ = planner.failed(0, now: slot)
        #expect(planner.clockJumped(now: at("2026-11-20T09:00:00Z")) == [.claim(0, slot: slot)])
    }

    // MARK: Size and chance

    @Test("Keeps 100,000 entries in order")
    func manyEntries() throws {
        var random = SeededGenerator(seed: 9)
        let plans = try (0..<100_000).map { index in
            let interval = Duration.seconds(Int64.random(in: 1...86_400, using: &random))
            return Planner.Plan(name: "\(index)", trigger: try .every(interval))
        }
        var planner = Planner(plans, startedAt: Self.start)
        #expect(planner.becameLeader().count == plans.count)
        for entry in plans.indices { _ = planner.loaded(entry, slot: nil, isSent: false, now: Self.start) }
        var fired = 0
        var last = Self.start
        while let wake = planner.nextWake, wake <= Self.start + 2 {
            #expect(wake > last)
            last = wake
            fired += planner.tick(now: wake).count
        }
        let expected = plans.count { $0.trigger.next(after: Self.start)! <= Self.start + 2 }
        #expect(fired == expected)
    }

    @Test("Sends each slot once, in order, whatever fails and whoever leads", arguments: 1...20 as ClosedRange<UInt64>)
    func chance(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var planner = try makePlanner(.every(.seconds(30)), .all(maximum: 1000), grace: .seconds(100_000))
        var (claimed, sent): (Date?, Bool) = (nil, true)
        var confirmed: [Date] = []
        var now = Self.start
        var open: [Planner.Action] = []
        for step in 0..<3000 {
            let isFair = step > 2500  // at the end everything works, so that all slots come through
            now += Double.random(in: 0..<10, using: &random)
            if !planner.isLeading { open += planner.becameLeader() }
            if !isFair, Int.random(in: 0..<40, using: &random) == 0 { planner.lostLeadership() }
            open += planner.tick(now: now)
            guard let action = open.popLast() else { continue }
            #expect(open.isEmpty, "one entry has one step at a time")
            if !isFair, Int.random(in: 0..<5, using: &random) == 0 {
                if case .claim(_, let slot) = action, Bool.random(using: &random), slot > claimed ?? .distantPast {
                    (claimed, sent) = (slot, false)  // took effect, but the answer was lost
                }
                open += planner.failed(0, now: now)
                continue
            }
            switch action {
            case .load: open += planner.loaded(0, slot: claimed, isSent: sent, now: now)
            case .claim(_, let slot):
                if let claimed, slot <= claimed {
                    open += planner.claimed(0, sent ? .takenAndSent : .takenNotSent, now: now)
                } else {
                    (claimed, sent) = (slot, false)
                    open += planner.claimed(0, .granted, now: now)
                }
            case .send(_, let slot):
                #expect(slot == claimed)
                if confirmed.last != slot { confirmed.append(slot) }  // again under the same id
                open += planner.sent(0)
            case .mark(_, let slot):
                if slot == claimed { sent = true }
                open += planner.marked(0, now: now)
            case .missed, .gaveUp, .deposed: Issue.record("\(action)")
            }
        }
        #expect(confirmed.count > 100)
        for (index, slot) in confirmed.enumerated() { #expect(slot == at("2026-11-20T10:00:30Z") + 30 * Double(index)) }
        #expect(now.timeIntervalSince(try #require(confirmed.last)) < 90)
    }
}

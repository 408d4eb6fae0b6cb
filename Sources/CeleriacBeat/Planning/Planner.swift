internal import CeleriacCore
package import FoundationEssentials

/// Decides what a beat does: fed with what happened, it answers with what to do.
///
/// A value without clock or I/O. Each entry has at most one step under way; the answer to a step is fed back by the method
/// named for it. Slots of an entry are claimed in order, and the next only after the one before is settled.
package struct Planner: Sendable {
    /// The rule of one entry.
    package struct Plan: Sendable {
        package let name: String
        package let trigger: Trigger
        package let misfire: MisfirePolicy
        /// `nil` for the default.
        package let grace: Duration?

        package init(name: String, trigger: Trigger, misfire: MisfirePolicy = .once, grace: Duration? = nil) {
            self.name = name
            self.trigger = trigger
            self.misfire = misfire
            self.grace = grace
        }
    }

    /// What to do next.
    ///
    /// Entries are told apart by their position in the schedule.
    package enum Action: Hashable, Sendable {
        /// Ask the store for the entry's latest slot; answer with `loaded` or `failed`.
        case load(Int)
        /// Claim the slot; answer with `claimed` or `failed`.
        case claim(Int, slot: Date)
        /// Emit the slot's task; answer with `sent` or `failed`.
        case send(Int, slot: Date)
        /// Note in the store that the slot was sent; answer with `marked` or `failed`.
        case mark(Int, slot: Date)
        /// Slots from the first on and before the last were left out.
        case missed(Int, from: Date, before: Date)
        /// A slot could not be emitted within its grace.
        case gaveUp(Int, slot: Date)
        /// The store says that another beat leads.
        case deposed
    }

    /// What the store answered to a claim.
    package enum Claim: Hashable, Sendable {
        case granted, takenAndSent, takenNotSent, notLeader
    }

    enum Step: Hashable {
        case load
        case claim(Date, again: Bool)
        case send(Date)
        case mark(Date)
    }

    enum State: Hashable {
        /// Not led by us.
        case idle
        /// Until the next slot.
        case waiting
        /// An answer is due.
        case doing(Step)
        /// A step failed and is repeated later.
        case backingOff(Step)
        /// The trigger has no more slots.
        case finished
    }

    struct Progress {
        var state = State.idle
        /// Everything up to here is settled.
        var settled: Date
        /// Late slots that are to follow the current one.
        var backlog: [Date] = []
        /// Failures of the current step in a row.
        var failures = 0
        /// The leadership changed while a step was under way.
        var reloads = false
    }

    let plans: [Plan]
    var progress: [Progress]
    var heap = DueHeap()
    /// Whether we lead.
    package internal(set) var isLeading = false
    private static let longestBackoff = 30.0
    private static let markAttempts = 5

    /// A planner that does not lead.
    ///
    /// - Parameter now: When the beat was started. An entry that never fired is due from then on.
    package init(_ plans: [Plan], startedAt now: Date) {
        self.plans = plans
        progress = Array(repeating: Progress(settled: now), count: plans.count)
    }

    /// When ``tick(now:)`` is due; `nil` if nothing is planned.
    package var nextWake: Date? { heap.earliest }

    // MARK: Time

    /// Time has passed.
    package mutating func tick(now: Date) -> [Action] {
        var actions: [Action] = []
        while let entry = heap.popDue(now) {
            switch progress[entry].state {
            case .waiting: startDue(entry, now, &actions)
            case .backingOff(let step): retry(step, of: entry, now, &actions)
            case .idle, .doing, .finished: break
            }
        }
        return actions
    }

    /// The wall clock was set: what was to be repeated after some time is repeated now.
    ///
    /// Nothing else is needed. Set forward, the misfire policy applies to what is due now; set back, slots already settled
    /// are not due again.
    package mutating func clockJumped(now: Date) -> [Action] {
        heap.removeAll()
        for entry in progress.indices {
            switch progress[entry].state {
            case .waiting: schedule(entry)
            case .backingOff: heap.insert(entry, at: now)
            case .idle, .doing, .finished: break
            }
        }
        return tick(now: now)
    }

    // MARK: Leadership

    /// We lead from now on: looks up where the one before us stopped.
    package mutating func becameLeader() -> [Action] {
        guard !isLeading else { return [] }
        isLeading = true
        var actions: [Action] = []
        for entry in progress.indices {
            if case .doing = progress[entry].state {
                progress[entry].reloads = true
            } else {
                start(.load, of: entry, &actions)
            }
        }
        return actions
    }

    /// We do not lead any more: nothing new is started.
    package mutating func lostLeadership() {
        isLeading = false
        heap.removeAll()
        for entry in progress.indices {
            progress[entry].backlog = []
            progress[entry].failures = 0
            if case .doing = progress[entry].state { continue }
            progress[entry].state = .idle
        }
    }

    // MARK: Answers

    /// The answer to `load`.
    package mutating func loaded(_ entry: Int, slot: Date?, isSent: Bool, now: Date) -> [Action] {
        guard case .doing(.load) = progress[entry].state else { return [] }
        return settle(entry) { planner, actions in
            guard let slot else { return planner.schedule(entry) }
            if isSent || planner.isTooLate(slot, of: entry, now) {
                if !isSent { actions.append(.gaveUp(entry, slot: slot)) }
                planner.progress[entry].settled = slot
                planner.schedule(entry)
            } else {
                planner.start(.claim(slot, again: true), of: entry, &actions)
            }
        }
    }

    /// The answer to `claim`.
    package mutating func claimed(_ entry: Int, _ claim: Claim, now: Date) -> [Action] {
        guard case .doing(.claim(let slot, let again)) = progress[entry].state else { return [] }
        return settle(entry) { planner, actions in
            switch claim {
            case .granted:
                planner.start(.send(slot), of: entry, &actions)
            case .takenNotSent where again:
                planner.start(.send(slot), of: entry, &actions)
            case .takenNotSent:
                // Our own claim whose answer was lost, or a later slot of a predecessor whose clock was ahead.
                planner.progress[entry].backlog = []
                planner.start(.load, of: entry, &actions)
            case .takenAndSent:
                planner.proceed(entry, after: slot, now, &actions)
            case .notLeader:
                planner.lostLeadership()
                actions.append(.deposed)
            }
        }
    }

    /// The answer to `send`: published and confirmed.
    package mutating func sent(_ entry: Int) -> [Action] {
        guard case .doing(.send(let slot)) = progress[entry].state else { return [] }
        // Also without the leadership: it spares the next leader from sending it again.
        progress[entry].failures = 0
        progress[entry].state = .doing(.mark(slot))
        return [.mark(entry, slot: slot)]
    }

    /// The answer to `mark`.
    package mutating func marked(_ entry: Int, now: Date) -> [Action] {
        guard case .doing(.mark(let slot)) = progress[entry].state else { return [] }
        return settle(entry) { $0.proceed(entry, after: slot, now, &$1) }
    }

    /// A step failed, and is repeated after a while.
    package mutating func failed(_ entry: Int, now: Date) -> [Action] {
        guard case .doing(let step) = progress[entry].state else { return [] }
        let failures = progress[entry].failures + 1
        return settle(entry) { planner, actions in
            planner.progress[entry].failures = failures
            if case .mark(let slot) = step, failures >= Self.markAttempts {
                return planner.proceed(entry, after: slot, now, &actions)
            }
            planner.progress[entry].state = .backingOff(step)
            let pause = min(Self.longestBackoff, 0.5 * Double(1 << min(failures, 10)))
            planner.heap.insert(entry, at: now.addingTimeInterval(pause))
        }
    }

    // MARK: Inside

    /// Ends the step under way, then goes on as the leadership allows.
    private mutating func settle(_ entry: Int, _ next: (inout Planner, inout [Action]) -> Void) -> [Action] {
        var actions: [Action] = []
        progress[entry].state = .idle
        progress[entry].failures = 0
        if progress[entry].reloads {
            progress[entry].reloads = false
            if isLeading { start(.load, of: entry, &actions) }
        } else if isLeading {
            next(&self, &actions)
        }
        return actions
    }

    private mutating func start(_ step: Step, of entry: Int, _ actions: inout [Action]) {
        progress[entry].state = .doing(step)
        switch step {
        case .load: actions.append(.load(entry))
        case .claim(let slot, _): actions.append(.claim(entry, slot: slot))
        case .send(let slot): actions.append(.send(entry, slot: slot))
        case .mark(let slot): actions.append(.mark(entry, slot: slot))
        }
    }

    /// Waits for the next slot.
    private mutating func schedule(_ entry: Int) {
        guard let next = plans[entry].trigger.next(after: progress[entry].settled) else {
            progress[entry].state = .finished
            return
        }
        progress[entry].state = .waiting
        heap.insert(entry, at: next)
    }

    private mutating func proceed(_ entry: Int, after slot: Date, _ now: Date, _ actions: inout [Action]) {
        progress[entry].settled = max(progress[entry].settled, slot)
        progress[entry].failures = 0
        while !progress[entry].backlog.isEmpty {
            let late = progress[entry].backlog.removeFirst()
            if !isTooLate(late, of: entry, now) { return start(.claim(late, again: false), of: entry, &actions) }
            actions.append(.gaveUp(entry, slot: late))
            progress[entry].settled = late
        }
        schedule(entry)
    }

    /// One or more slots are due: applies the misfire policy.
    private mutating func startDue(_ entry: Int, _ now: Date, _ actions: inout [Action]) {
        let plan = plans[entry]
        let settled = progress[entry].settled
        let limit = if case .all(let maximum) = plan.misfire { maximum } else { 1 }
        let due = plan.trigger.latest(limit, after: settled, through: now).filter { !isTooLate($0, of: entry, now) }
        if let first = plan.trigger.next(after: settled), first < due.first ?? now {
            actions.append(.missed(entry, from: first, before: due.first ?? now))
        }
        guard let slot = due.first else {
            progress[entry].settled = max(settled, now)
            return schedule(entry)
        }
        progress[entry].backlog = Array(due.dropFirst())
        start(.claim(slot, again: false), of: entry, &actions)
    }

    private mutating func retry(_ step: Step, of entry: Int, _ now: Date, _ actions: inout [Action]) {
        switch step {
        case .load:
            start(.load, of: entry, &actions)
        case .claim(let slot, _), .send(let slot):
            guard isTooLate(slot, of: entry, now) else { return start(step, of: entry, &actions) }
            actions.append(.gaveUp(entry, slot: slot))
            proceed(entry, after: slot, now, &actions)
        case .mark(let slot):
            // The next slot does not wait for a mark, which it makes needless.
            if let next = plans[entry].trigger.next(after: slot), next <= now {
                proceed(entry, after: slot, now, &actions)
            } else {
                start(step, of: entry, &actions)
            }
        }
    }

    private func isTooLate(_ slot: Date, of entry: Int, _ now: Date) -> Bool {
        now.timeIntervalSince(slot) > grace(of: slot, plans[entry])
    }

    /// In seconds.
    private func grace(of slot: Date, _ plan: Plan) -> Double {
        if let grace = plan.grace { return grace.inSeconds }
        switch plan.misfire {
        case .skip: return MisfirePolicy.punctuality.inSeconds
        case .all: return 3600
        case .once: break
        }
        guard let next = plan.trigger.next(after: slot) else { return 3600 }
        return min(3600, max(60, next.timeIntervalSince(slot) / 2))
    }
}

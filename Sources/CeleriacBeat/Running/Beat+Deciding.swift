internal import CeleriacCore
internal import FoundationEssentials

extension Beat {
    /// What the deciding task knows; nobody else touches it.
    private struct Desk {
        var planner: Planner
        /// Steps that wait for a place; look-ups go last, so that a new leader's first slots do not wait for all of them.
        var urgent = Queue<Planner.Action>()
        var lookUps = Queue<Planner.Action>()
        var underWay = 0
        /// The latest request for the leadership that was granted.
        var granted = 0
        var isStopping = false
        var isOver = false
        var storeIsAway = false
    }

    /// Feeds the planner with what happened, and starts what it answers, until shut down or cancelled.
    func decide(in group: inout DiscardingTaskGroup) async {
        var desk = Desk(planner: Planner(plans, startedAt: time.now))
        while !Task.isCancelled {
            for event in mailbox.drain() {
                if case .shutDown = event, !desk.isStopping { startShutDown(&desk, in: &group) }
                take(event, &desk)
            }
            take(desk.planner.tick(now: time.now), &desk)
            startSteps(&desk, in: &group)
            if desk.isOver || desk.isStopping && desk.underWay == 0 { return }
            await pause(&desk)
        }
    }

    private func startShutDown(_ desk: inout Desk, in group: inout DiscardingTaskGroup) {
        desk.isStopping = true
        if desk.planner.isLeading { onEvent(.lostLeadership) }
        desk.planner.lostLeadership()
        group.addTask { [time, mailbox] in
            guard (try? await time.sleep(for: Self.shutDownLimit)) != nil else { return }
            mailbox.post(.shutDownDeadline)
        }
    }

    // MARK: Events

    private func take(_ event: Event, _ desk: inout Desk) {
        let now = time.now
        switch event {
        case .lead(let generation, let outcome):
            takeLeadership(generation, outcome, &desk)
            return
        case .leaseEnds(let generation):
            guard generation == desk.granted, desk.planner.isLeading else { return }
            stepDown("The lease could not be renewed in time; emitting stops", &desk)
            return
        case .shutDown: return
        case .shutDownDeadline:
            desk.isOver = true
            return
        case .loaded, .claimed, .sent, .overlapped, .marked, .failed:
            desk.underWay -= 1
        }
        switch event {
        case .loaded(let entry, let slot, let isSent):
            if let slot, slot.timeIntervalSince(now) > 60 {
                logger.warning(
                    "The latest slot lies in the future; the entry is not due before it",
                    metadata: [("entry", plans[entry].name), ("slot", "\(slot)")]
                )
            }
            take(desk.planner.loaded(entry, slot: slot, isSent: isSent, now: now), &desk)
        case .claimed(let entry, let claim):
            take(desk.planner.claimed(entry, claim, now: now), &desk)
        case .sent(let entry, let slot, let id):
            logger.debug("Sent", metadata: [("entry", plans[entry].name), ("slot", "\(slot)"), ("id", "\(id)")])
            onEvent(.sent(entry: plans[entry].name, slot: slot, id: id))
            take(desk.planner.sent(entry), &desk)
        case .overlapped(let entry, let slot, let running):
            let metadata = [("entry", plans[entry].name), ("slot", "\(slot)"), ("running", running?.rawValue ?? "")]
            logger.notice("Left out: an earlier call of the unique task has not ended", metadata: metadata)
            onEvent(.overlapped(entry: plans[entry].name, slot: slot, running: running))
            take(desk.planner.sent(entry), &desk)
        case .marked(let entry):
            take(desk.planner.marked(entry, now: now), &desk)
        case .failed(let entry, let slot, let reason):
            let metadata = [("entry", plans[entry].name), ("slot", slot.map { "\($0)" } ?? ""), ("error", reason)]
            logger.error("A step of the entry failed and is repeated", metadata: metadata)
            onEvent(.failed(entry: plans[entry].name, slot: slot, reason: reason))
            take(desk.planner.failed(entry, now: now), &desk)
        case .lead, .leaseEnds, .shutDown, .shutDownDeadline: break
        }
    }

    private func takeLeadership(_ generation: Int, _ outcome: Result<Bool, CeleriacError>, _ desk: inout Desk) {
        switch outcome {
        case .success(let leads):
            if desk.storeIsAway { logger.notice("The schedule store answers again") }
            desk.storeIsAway = false
            if leads, !desk.isStopping {
                desk.granted = generation
                guard !desk.planner.isLeading else { return }
                logger.info("Became leader")
                onEvent(.becameLeader)
                take(desk.planner.becameLeader(), &desk)
            } else if !leads, desk.planner.isLeading {
                stepDown("Another beat leads; emitting stops", &desk)
            }
        case .failure(let error):
            // Once per outage, not once per attempt.
            if !desk.storeIsAway {
                logger.warning("Could not ask for the leadership", metadata: [("error", "\(error)")])
            }
            desk.storeIsAway = true
        }
    }

    private func stepDown(_ reason: String, _ desk: inout Desk) {
        desk.planner.lostLeadership()
        logger.warning(reason)
        onEvent(.lostLeadership)
    }

    private func take(_ actions: [Planner.Action], _ desk: inout Desk) {
        for action in actions {
            switch action {
            case .load: desk.lookUps.append(action)
            case .claim, .send, .mark: desk.urgent.append(action)
            case .missed(let entry, let from, let before):
                let name = plans[entry].name
                let metadata = [("entry", name), ("from", "\(from)"), ("before", "\(before)")]
                logger.warning("Late slots were left out", metadata: metadata)
                onEvent(.missed(entry: name, from: from, before: before))
            case .gaveUp(let entry, let slot):
                let metadata = [("entry", plans[entry].name), ("slot", "\(slot)")]
                logger.warning("A slot was not emitted within its misfire grace", metadata: metadata)
                onEvent(.gaveUp(entry: plans[entry].name, slot: slot))
            case .deposed:
                logger.warning("The store says that another beat leads; emitting stops")
                onEvent(.lostLeadership)
            }
        }
    }

    // MARK: Steps

    private func startSteps(_ desk: inout Desk, in group: inout DiscardingTaskGroup) {
        while desk.underWay < Self.maximumConcurrency, let action = desk.urgent.popFirst() ?? desk.lookUps.popFirst() {
            switch action {
            case .load(let entry), .claim(let entry, _), .send(let entry, _):
                guard desk.planner.isLeading else {
                    take(desk.planner.failed(entry, now: time.now), &desk)  // lost while it waited for a place
                    continue
                }
            case .mark: break
            case .missed, .gaveUp, .deposed: continue
            }
            desk.underWay += 1
            group.addTask { await self.perform(action) }
        }
    }

    private func perform(_ action: Planner.Action) async {
        do {
            mailbox.post(try await answer(to: action))
        } catch {
            switch action {
            case .load(let entry): mailbox.post(.failed(entry, slot: nil, reason: "\(error)"))
            case .claim(let entry, let slot), .send(let entry, let slot), .mark(let entry, let slot):
                mailbox.post(.failed(entry, slot: slot, reason: "\(error)"))
            case .missed, .gaveUp, .deposed: break
            }
        }
    }

    private func answer(to action: Planner.Action) async throws -> Event {
        switch action {
        case .load(let entry):
            let name = plans[entry].name
            let last = try await limited(to: Self.stepLimit) { store, schedule, _ in
                try await store.lastSlot(of: name, in: schedule)
            }
            return .loaded(entry, slot: last?.slot, isSent: last?.isSent ?? false)
        case .claim(let entry, let slot):
            let name = plans[entry].name
            let claim = try await limited(to: Self.stepLimit) { store, schedule, owner in
                try await store.claim(slot, of: name, in: schedule, as: owner)
            }
            return switch claim {
            case .granted: .claimed(entry, .granted)
            case .taken(let isSent): .claimed(entry, isSent ? .takenAndSent : .takenNotSent)
            case .notLeader: .claimed(entry, .notLeader)
            }
        case .send(let entry, let slot):
            let id = SlotID.id(schedule: scheduleName, entry: plans[entry].name, slot: slot)
            let emit = entries[entry].emit
            do {
                try await withTimeLimit(Self.stepLimit, time) { try await emit(slot, id) }
            } catch let error as CeleriacError where error.code == .alreadyQueued {
                return .overlapped(entry, slot: slot, running: error.conflict?.existing)
            }
            return .sent(entry, slot: slot, id: id)
        case .mark(let entry, let slot):
            let name = plans[entry].name
            try await limited(to: Self.stepLimit) { store, schedule, _ in
                try await store.markSent(slot, of: name, in: schedule)
            }
            return .marked(entry)
        case .missed, .gaveUp, .deposed:
            preconditionFailure("only steps are performed")
        }
    }

    // MARK: Waiting

    /// Waits for the next event or the next slot, and notices when the wall clock was set meanwhile.
    private func pause(_ desk: inout Desk) async {
        let start = time.now
        let wait = desk.planner.nextWake.map { max(0.001, $0.timeIntervalSince(start)) }
        let timerEnded = await mailbox.wait(atMost: wait.map { .seconds($0) }, time)
        let now = time.now
        let elapsed = now.timeIntervalSince(start)
        let least = timerEnded ? wait ?? 0 : 0
        let most = wait ?? .infinity
        guard elapsed < least - 1 || elapsed > most + 5 else { return }
        logger.warning("The wall clock was set, or this process was stopped", metadata: [("elapsed", "\(elapsed) s")])
        take(desk.planner.clockJumped(now: now), &desk)
    }
}

extension Mailbox {
    /// Waits for events for a limited time; whether that time ended first.
    fileprivate func wait(atMost limit: Duration?, _ time: any TimeSource) async -> Bool {
        guard let limit else {
            await wait()
            return false
        }
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await self.wait()
                return false
            }
            group.addTask { (try? await time.sleep(for: limit)) != nil }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }
}

/// First in, first out.
struct Queue<Element> {
    private var items: [Element] = []
    private var head = 0

    mutating func append(_ element: Element) { items.append(element) }

    mutating func popFirst() -> Element? {
        guard head < items.count else { return nil }
        defer {
            head += 1
            if head * 2 > items.count {
                items.removeFirst(head)
                head = 0
            }
        }
        return items[head]
    }
}

internal import CeleriacCore
internal import FoundationEssentials

// A call over its limit leaves its slot at once. It waits in its lane for a second at most, and otherwise in the broker's
// keeping, so that it takes up nothing here that others need.
extension Worker {
    /// How the way to a slot ends.
    enum Entry: Sendable {
        /// The call has a slot, and a place under its concurrency limit if it has one.
        case begun(HeldPlace?)
        /// It is over a limit for longer than it can be held here.
        case over(Duration, ParkingNote)
        /// It was to have started by now.
        case expired
        /// The worker stops.
        case closed
    }

    private enum Answer {
        case begin(HeldPlace?)
        /// Its turn under the rate limit comes in so long.
        case turn(in: Duration)
        /// No place is free; asking again after so long is about right.
        case full(askAgain: Duration)
        /// The store does not answer. The call must not run as if there were no limit.
        case away
    }

    /// The broker's delay queues count whole seconds, and take nothing that is not longer than one.
    private static let shortestParking = Duration.milliseconds(1001)

    /// Brings a call to a slot within its limits.
    func enter(_ message: TaskMessage, _ limits: TaskLimits?, _ drivers: Drivers) async -> Entry {
        guard let limits else {
            guard await slots.acquire() else { return .closed }
            guard hasExpired(message) else { return .begun(nil) }
            slots.release()
            return .expired
        }
        var note = ParkingNote(of: message)
        let run = TaskID.random().rawValue
        var heldForPlace = Duration.zero
        while true {
            // The slot first: what is counted begins at once.
            guard await slots.acquire() else { return .closed }
            if hasExpired(message) {
                slots.release()
                return .expired
            }
            let answer = await ask(limits, message, &note, run, drivers)
            if case .begin(let place) = answer { return .begun(place) }
            slots.release()

            let pause: Duration
            switch answer {
            case .begin: continue
            case .turn(let wait):
                note.parks = 0
                let wait = untilExpiry(of: message).map { min($0, wait) } ?? wait
                if wait <= Limiting.longestHold, await hold(for: wait, forPlace: false) { continue }
                pause = wait
            case .full(let askAgain):
                let step = Duration.milliseconds(.random(in: 50...150))
                if heldForPlace < Limiting.longestHoldForPlace, await hold(for: step, forPlace: true) {
                    heldForPlace += step
                    continue
                }
                pause = min(askAgain, note.nextPause()) * .random(in: 0.5...1.5)
            case .away:
                pause = min(.seconds(60), note.nextPause()) * .random(in: 0.5...1.5)
            }
            let bounded = untilExpiry(of: message).map { min($0, pause) } ?? pause
            return .over(max(Self.shortestParking, bounded), note)
        }
    }

    func hasExpired(_ message: TaskMessage) -> Bool {
        message.expires.map { $0 < time.now } ?? false
    }

    /// Until the call will have expired.
    private func untilExpiry(of message: TaskMessage) -> Duration? {
        message.expires.map { .seconds(max(0, $0.timeIntervalSince(time.now))) + .milliseconds(10) }
    }

    /// Waits in the lane, or until the worker stops.
    ///
    /// - Returns: `false` at once if as many as may wait already.
    private func hold(for wait: Duration, forPlace: Bool) async -> Bool {
        guard limiting.hold(forPlace: forPlace) else { return false }
        await pause(max(.milliseconds(1), wait), beyond: .running)
        limiting.letGo(forPlace: forPlace)
        return true
    }

    // MARK: Asking

    private func ask(
        _ limits: TaskLimits,
        _ message: TaskMessage,
        _ note: inout ParkingNote,
        _ run: String,
        _ drivers: Drivers
    ) async -> Answer {
        var place: HeldPlace?
        if let concurrency = limits.concurrency {
            let held = HeldPlace(
                store: store(concurrency.limit.reach, drivers),
                key: concurrency.key,
                owner: "\(message.id):\(run)",
                limit: concurrency.limit
            )
            switch await answer(of: held.limit.reach, { () throws(CeleriacError) in try await self.acquire(held) }) {
            case .granted?: place = held
            case .full(let askAgain)?: return .full(askAgain: askAgain)
            case nil: return .away
            }
        }
        guard let rate = limits.rate else { return .begin(place) }
        let request = request(rate, message, note, run)
        let store = store(rate.limit.reach, drivers)
        let decision = await answer(of: rate.limit.reach) { () throws(CeleriacError) in
            try await store.take(request, within: Limiting.storeTimeout)
        }
        if case .granted? = decision { return .begin(place) }
        if let place { await free(place) }
        guard case .wait(let wait, let turn)? = decision else { return .away }
        note.place = turn
        return .turn(in: wait)
    }

    private func store(_ reach: LimitReach, _ drivers: Drivers) -> any LimitStore {
        reach == .worker ? limiting.own : drivers.limits
    }

    private func request(
        _ rate: TaskLimits.Rated,
        _ message: TaskMessage,
        _ note: ParkingNote,
        _ run: String
    ) -> RateRequest {
        RateRequest(
            key: rate.key,
            rate: rate.limit.rate,
            algorithm: rate.limit.algorithm,
            burst: rate.limit.effectiveBurst,
            cost: rate.cost,
            owner: "\(message.id):\(message.retries)",
            run: run,
            place: note.place,
            patience: untilExpiry(of: message)
        )
    }

    /// What the store answers; `nil` if it does not, or did not lately.
    private func answer<Value: Sendable>(
        of reach: LimitReach,
        _ question: () async throws(CeleriacError) -> Value
    ) async -> Value? {
        guard reach == .worker || limiting.mayAskStore() else { return nil }
        do {
            let value = try await question()
            if reach == .fleet, limiting.storeHasAnswered(true) { logger.notice("the store of limits answers again") }
            return value
        } catch {
            if reach == .fleet, error.code != .cancelled, limiting.storeHasAnswered(false) {
                logger.warning(
                    "the store of limits does not answer; limited tasks wait",
                    metadata: [("error", error.description)]
                )
            }
            return nil
        }
    }

    // MARK: Places

    private func acquire(_ place: HeldPlace) async throws(CeleriacError) -> PlaceDecision {
        try await place.store.acquire(
            place.key,
            owner: place.owner,
            count: place.limit.count,
            lease: place.limit.lease,
            within: Limiting.storeTimeout
        )
    }

    /// Renews a place at a third of its lease until cancelled.
    ///
    /// What a restarted store has forgotten is taken again if there is room. A place lost to another does not stop the task.
    func keep(_ place: HeldPlace, of id: TaskID) async {
        while (try? await time.sleep(for: place.limit.lease / 3)) != nil {
            do {
                guard case .full = try await acquire(place) else { continue }
                logger.warning("task lost its place under its concurrency limit", metadata: [("id", id.rawValue)])
            } catch {
                guard error.code != .cancelled else { return }
                logger.warning("cannot renew a place under a limit", metadata: [("error", error.description)])
            }
        }
    }

    /// Frees the place of a body that has ended; one that was abandoned may run on, and keeps it until the lease ends.
    func leave(_ place: HeldPlace, _ end: BodyEnd) async {
        if case .abandoned = end { return }
        await free(place)
    }

    private func free(_ place: HeldPlace) async {
        // In a task of its own: the lane may be cancelled, which must not leave the place taken.
        await Task { [logger] in
            do throws(CeleriacError) {
                try await place.store.release(place.key, owner: place.owner, within: Limiting.storeTimeout)
            } catch {
                logger.warning(
                    "cannot free a place under a limit; it ends with its lease",
                    metadata: [("key", place.key), ("error", error.description)]
                )
            }
        }.value
    }

    // MARK: Parking

    /// Puts a call over its limit into the broker's keeping, uncharged.
    func park(
        _ message: TaskMessage,
        _ note: ParkingNote,
        for pause: Duration,
        keeping hold: UniqueHold?,
        _ delivery: consuming Delivery,
        _ drivers: Drivers
    ) async {
        var parked = message
        note.write(to: &parked.headers)
        let redeliveries = delivery.attempt(retries: message.retries).redeliveries
        if redeliveries > 0 { parked.headers[Attempt.parkedHeader] = .int(Int64(redeliveries)) }
        if await park(parked, for: pause, keeping: hold, delivery, drivers) { emit(.parked(message.id, for: pause)) }
    }

    /// Lets no call begin under a call's rate limit for some time, for all workers.
    ///
    /// - Returns: How long the call itself is to wait, and its place.
    func pauseRate(
        for pause: Duration,
        _ message: TaskMessage,
        _ limits: TaskLimits?,
        _ drivers: Drivers
    ) async -> (pause: Duration, note: ParkingNote) {
        var note = ParkingNote(retries: message.retries)
        var wait = pause
        if let rate = limits?.rate {
            var request = request(rate, message, note, TaskID.random().rawValue)
            request.patience = nil
            let store = store(rate.limit.reach, drivers)
            let decision = await answer(of: rate.limit.reach) { () throws(CeleriacError) in
                try await store.pause(request, for: pause, within: Limiting.storeTimeout)
            }
            if case .wait(let turn, let place)? = decision {
                wait = turn
                note.place = place
            }
        }
        return (max(Self.shortestParking, untilExpiry(of: message).map { min($0, wait) } ?? wait), note)
    }
}

internal import CeleriacCore
internal import FoundationEssentials

extension Worker {
    /// Takes one delivery from admission to settlement.
    func handle(_ delivery: consuming Delivery, _ drivers: Drivers) async {
        let now = time.now
        let admission = Admission.decide(
            delivery.message,
            now: now,
            maximumBodySize: settings.maximumBodySize
        ) { tasks[$0] != nil }

        switch admission {
        case .run(let message, let wait):
            await run(message, after: wait, delivery, drivers)
        case .park(let message, let delay):
            _ = await park(message, for: delay, keeping: hold(of: message), delivery, drivers)
        case .expired(let message):
            // Calls that joined this one may expire later.
            if hold(of: message)?.lock.joins == true { return await run(message, after: nil, delivery, drivers) }
            await expire(message, hold(of: message), delivery, drivers)
        case .deadLetter(let reason, let failure, let id):
            let lock = UniqueLock(headers: delivery.message.headers)
            var hold = id.flatMap { id in lock.map { UniqueHold($0, of: id) } }
            // The newest arguments are kept with it.
            let body = await takeOffer(&hold, drivers)?.arguments
            await deadLetter(reason, failure, id: id, body: body, hold, delivery, drivers)
        }
    }

    private func run(
        _ message: TaskMessage,
        after wait: Duration?,
        _ delivery: consuming Delivery,
        _ drivers: Drivers
    ) async {
        guard let task = tasks[message.task] else { return delivery.giveBack() }  // admission has checked it
        if let wait, (try? await time.sleep(for: wait)) == nil { return giveBack(delivery, message.id) }
        if delivery.mayHaveRun, configuration.skipsSucceeded, wantsResult(message, of: task),
            await hasSucceeded(message.id, drivers)
        {
            guard await isJoined(message, drivers) else { return await skip(message, delivery, drivers) }
        }
        var call = UniqueCallState(message, hold(of: message))
        let limits: TaskLimits?
        let place: HeldPlace?
        switch await begin(&call, of: task, drivers) {
        case .begun(let held, let under): (place, limits) = (held, under)
        case .expired: return await expire(call.message, call.hold, delivery, drivers)
        case .over(let pause, let note):
            return await park(call.message, note, for: pause, keeping: call.hold, delivery, drivers)
        case .waits(let later, let pause):
            _ = await park(later, for: pause, keeping: call.hold, delivery, drivers)
            return
        case .unknown: return await giveBackLater(delivery, message.id)
        case .closed: return giveBack(delivery, message.id)
        }
        let (message, hold) = (call.message, call.hold)
        let timeLimit = Self.shortest(message.timeLimits.soft ?? task.options.timeLimit, message.timeLimits.hard)
        let context = TaskContext(
            message: message,
            queue: delivery.queue,
            isRedelivered: delivery.isRedelivered,
            deliveryCount: delivery.deliveryCount,
            deadline: timeLimit.map { time.now.addingTimeInterval($0.inSeconds) },
            logger: logger,
            run: delivery.attempt(retries: message.retries),
            reporter: self
        )
        context.note(lockFence: call.fence)
        if task.options.tracksStarted, wantsResult(message, of: task) {
            await storeStarted(context, of: task, drivers)
        }
        emit(.started(context))
        let began = ContinuousClock.now
        let (end, reason) = await runBody(of: task, context, message, hold, timeLimit: timeLimit, place, drivers)
        slots.release()
        if let place { await leave(place, end) }

        let outcome = judge(end, reason, of: message, task)
        if case .rateLimited(let pause) = outcome {
            let note = await pauseRate(for: pause, message, limits, drivers)
            return await park(message, note.note, for: note.pause, keeping: hold, delivery, drivers)
        }
        await settle(outcome, message, of: task, context, hold, runtime: began.duration(to: .now), delivery, drivers)
    }

    private static func shortest(_ left: Duration?, _ right: Duration?) -> Duration? {
        guard let left, let right else { return left ?? right }
        return min(left, right)
    }

    private func judge(
        _ end: BodyEnd,
        _ reason: BodyRun.CancelReason?,
        of message: TaskMessage,
        _ task: TaskRegistration
    ) -> Outcome {
        switch end {
        case .value(let value):
            guard value.count > settings.maximumResultSize, wantsResult(message, of: task) else {
                return .success(value)
            }
            return .failure(.resultTooLarge(octets: value.count, limit: settings.maximumResultSize))
        case .error(is ResultDefect) where !wantsResult(message, of: task): return .success(JSONText.null)
        case .abandoned: return .givenBack
        case .error(let error):
            var generator = SystemRandomNumberGenerator()
            let own = task.options.retry ?? settings.retry
            return Outcome.judge(
                error,
                of: message,
                policy: RetryPolicy(headers: message.headers, otherwise: own) ?? own,
                wasTimeLimited: reason == .timeLimit,
                wasStopped: reason == .stopping,
                using: &generator
            )
        }
    }

    /// Runs the body under its time limit, keeping a unique call's lock and a place under a limit alive meanwhile.
    private func runBody(
        of task: TaskRegistration,
        _ context: TaskContext,
        _ message: TaskMessage,
        _ hold: UniqueHold?,
        timeLimit: Duration?,
        _ place: HeldPlace?,
        _ drivers: Drivers
    ) async -> (BodyEnd, BodyRun.CancelReason?) {
        let run = BodyRun()
        bodies.insert(run)
        defer { bodies.remove(run) }
        let isKept = hold?.kept != nil
        let perform = task.perform
        run.start {
            try await TaskContext.$current.withValue(context) { try await perform(context, message.body) }
        }
        guard timeLimit != nil || isKept || place != nil else { return (await run.end(), run.cancelReason) }

        return await withTaskGroup(of: Void.self) { group in
            if let timeLimit {
                group.addTask { [time] in
                    guard (try? await time.sleep(for: timeLimit)) != nil else { return }
                    run.cancel(.timeLimit)
                }
            }
            if isKept, let hold { group.addTask { await self.keep(hold, context, drivers) } }
            if let place { group.addTask { await self.keep(place, of: message.id) } }
            let end = await run.end()
            group.cancelAll()
            return (end, run.cancelReason)
        }
    }
}

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
            await park(message, for: delay, delivery, drivers)
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
        if delivery.isRedelivered, configuration.skipsSucceeded, wantsResult(message, of: task),
            await hasSucceeded(message.id, drivers)
        {
            guard await isJoined(message, drivers) else { return await skip(message, delivery, drivers) }
        }
        var message = message
        var hold = hold(of: message)
        var fence: UInt64?
        var wait = UniqueWait()
        while true {
            guard await acquireSlot(keeping: hold, drivers) else { return giveBack(delivery, message.id) }
            guard let waiting = hold else { break }
            let entry = await enter(waiting, message, &wait, drivers)
            if case .run(let newest, let running, let granted) = entry {
                (message, hold, fence) = (newest, running, granted)
                break
            }
            slots.release()
            switch entry {
            case .wait(.sleep(let pause)):
                guard (try? await time.sleep(for: pause)) != nil else { return giveBack(delivery, message.id) }
            case .wait(.park(let later, let pause)): return await park(later, for: pause, delivery, drivers)
            case .run, .unknown: return await giveBackLater(delivery, message.id)
            }
        }
        // The wait for a slot may have been long (wire document §5.1, step 5).
        if let expires = message.expires, expires < time.now {
            slots.release()
            return await expire(message, hold, delivery, drivers)
        }
        let timeLimit = Self.shortest(message.timeLimits.soft ?? task.options.timeLimit, message.timeLimits.hard)
        let context = TaskContext(
            message: message,
            queue: delivery.queue,
            isRedelivered: delivery.isRedelivered,
            deadline: timeLimit.map { time.now.addingTimeInterval($0.inSeconds) },
            logger: logger,
            run: delivery.attempt(retries: message.retries),
            reporter: self
        )
        context.note(lockFence: fence)
        if task.options.tracksStarted, wantsResult(message, of: task) {
            await storeStarted(message, context.run, of: task, drivers)
        }
        emit(.started(context))
        let began = ContinuousClock.now
        let (end, reason) = await runBody(of: task, context, message, hold, timeLimit: timeLimit, drivers)
        slots.release()

        let outcome = judge(end, reason, of: message, task)
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

    /// Runs the body under its time limit, keeping a unique call's lock alive meanwhile.
    private func runBody(
        of task: TaskRegistration,
        _ context: TaskContext,
        _ message: TaskMessage,
        _ hold: UniqueHold?,
        timeLimit: Duration?,
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
        guard timeLimit != nil || isKept else { return (await run.end(), run.cancelReason) }

        return await withTaskGroup(of: Void.self) { group in
            if let timeLimit {
                group.addTask { [time] in
                    guard (try? await time.sleep(for: timeLimit)) != nil else { return }
                    run.cancel(.timeLimit)
                }
            }
            if isKept, let hold { group.addTask { await self.keep(hold, context, drivers) } }
            let end = await run.end()
            group.cancelAll()
            return (end, run.cancelReason)
        }
    }
}

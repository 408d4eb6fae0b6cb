internal import CeleriacCore
internal import FoundationEssentials
internal import Glibc

// Every path here keeps one order: follow-ups confirmed, outcome stored, lock freed, delivery acknowledged. What cannot be
// done gives the message back, so that another attempt does it.
extension Worker {
    func wantsResult(_ message: TaskMessage, of task: TaskRegistration) -> Bool {
        !(message.ignoresResult ?? task.options.ignoresResult)
    }

    func settle(
        _ outcome: Outcome,
        _ message: TaskMessage,
        of task: TaskRegistration,
        _ context: TaskContext,
        _ hold: UniqueHold?,
        runtime: Duration,
        _ delivery: consuming Delivery,
        _ drivers: Drivers
    ) async {
        let wantsResult = wantsResult(message, of: task)
        let ttl = task.options.resultTTL ?? settings.resultTTL
        let attempt = context.run
        switch outcome {
        case .success(let value):
            if wantsResult {
                let record = record(
                    of: message,
                    context.queue,
                    attempt,
                    .success,
                    value: value,
                    children: context.childIDs
                )
                guard await store(record, ttl: ttl, drivers) else { return await giveBackLater(delivery, message.id) }
            }
            await release(hold, drivers)
            delivery.acknowledge()
            emit(.succeeded(context, runtime: runtime))
        case .failure(let failure):
            if wantsResult || task.options.storesErrorsEvenIfIgnored {
                let record = record(of: message, context.queue, attempt, .failure, failure, children: context.childIDs)
                guard await store(record, ttl: ttl, drivers) else { return await giveBackLater(delivery, message.id) }
            }
            await release(hold, drivers)
            delivery.acknowledge()
            emit(.failed(context, failure))
            logger.error("task failed", metadata: describe(message, failure))
        case .retry(let delay, let failure):
            await retry(
                message,
                after: delay,
                failure,
                hold,
                stores: wantsResult ? ttl : nil,
                context,
                delivery,
                drivers
            )
        case .deadLetter(let reason, let failure):
            await deadLetter(reason, failure, id: message.id, body: message.body, hold, delivery, drivers)
        case .ignored:
            await release(hold, drivers)
            delivery.acknowledge()
            emit(.succeeded(context, runtime: runtime))
        // The caller parks what is limited.
        case .givenBack, .rateLimited:
            giveBack(delivery, message.id)
        }
    }

    private func retry(
        _ message: TaskMessage,
        after delay: Duration,
        _ failure: TaskFailure,
        _ hold: UniqueHold?,
        stores ttl: Duration?,
        _ context: TaskContext,
        _ delivery: consuming Delivery,
        _ drivers: Drivers
    ) async {
        let next = message.retried(after: delay, now: time.now)
        await keep(hold, through: delay, drivers)
        guard await republish(next, delay: delay, delivery.queue, drivers) else {
            return await giveBackLater(delivery, message.id)
        }
        // The next run is queued already: giving the message back for want of this record would queue it once more.
        if let ttl { _ = await store(record(of: next, context.queue, context.run, .retry, failure), ttl: ttl, drivers) }
        delivery.acknowledge()
        emit(.retried(context, failure, after: delay))
        logger.notice("task will be retried", metadata: describe(message, failure) + [("after", "\(delay)")])
    }

    /// Puts a call that is due later back into the broker's keeping, unchanged.
    ///
    /// - Returns: Whether it is there; otherwise it was given back.
    func park(
        _ message: TaskMessage,
        for delay: Duration,
        keeping hold: UniqueHold?,
        _ delivery: consuming Delivery,
        _ drivers: Drivers
    ) async -> Bool {
        await keep(hold, through: delay, drivers)
        guard await republish(message, delay: delay, delivery.queue, drivers) else {
            await giveBackLater(delivery, message.id)
            return false
        }
        delivery.acknowledge()
        return true
    }

    func expire(
        _ message: TaskMessage,
        _ hold: UniqueHold?,
        _ delivery: consuming Delivery,
        _ drivers: Drivers
    ) async {
        guard let task = tasks[message.task] else { return delivery.giveBack() }  // admission has checked it
        if wantsResult(message, of: task) {
            let ttl = task.options.resultTTL ?? settings.resultTTL
            let attempt = delivery.attempt(retries: message.retries)
            let record = record(of: message, delivery.queue, attempt, .revoked, .expired)
            guard await store(record, ttl: ttl, drivers) else {
                return await giveBackLater(delivery, message.id)
            }
        }
        await release(hold, drivers)
        delivery.acknowledge()
        emit(.expired(message.id))
    }

    /// Whether a success of the task is stored; what cannot be said counts as no, so that the task runs.
    func hasSucceeded(_ id: TaskID, _ drivers: Drivers) async -> Bool {
        // Results by message are with the caller.
        guard drivers.results.abilities.contains(.anyCall) else { return false }
        do {
            return try await drivers.results.record(of: id)?.state == .success
        } catch {
            logger.debug("cannot look for an earlier success", metadata: [("error", error.description)])
            return false
        }
    }

    /// Acknowledges what another delivery's run has done already.
    func skip(_ message: TaskMessage, _ delivery: consuming Delivery, _ drivers: Drivers) async {
        var hold = hold(of: message)
        // The run that succeeded had begun: what is queued under the call's name by now is not this message.
        if hold?.lock.joins == true { hold?.hasStarted = true }
        await release(hold, drivers)
        delivery.acknowledge()
        emit(.skipped(message.id))
    }

    /// Keeps a message that can never run, with the reason, and records the failure under its id if it has one.
    ///
    /// - Parameter body: What it was to run with, if that is not what it was sent with.
    func deadLetter(
        _ reason: Admission.Reason,
        _ failure: TaskFailure,
        id: TaskID?,
        body: [UInt8]? = nil,
        _ hold: UniqueHold?,
        _ delivery: consuming Delivery,
        _ drivers: Drivers
    ) async {
        let queue = delivery.queue
        var message = delivery.message
        if let body { message.body = body }
        let letter = message.deadLettered(
            reason,
            failure,
            from: queue,
            exchange: delivery.exchange,
            routingKey: delivery.routingKey,
            by: configuration.nodeName,
            now: time.now
        )
        let route = Route(to: settings.declaration(of: queue.deadLetters))
        guard await publish(letter, to: route, delay: nil, drivers) else {
            return await giveBackLater(delivery, id ?? "")
        }
        if let id {
            // Recorded whatever the message says of results: a call that cannot run must not look pending for ever.
            var record = TaskRecord(task: id, state: .failure, failure: fitting(failure), at: time.now)
            record.attempt = delivery.attempt(retries: delivery.message.headers["retries"]?.int ?? 0)
            record.isOpen = true
            record.reply = ReplyAddress(replyTo: letter.replyTo, correlationID: letter.correlationID, task: id)
            guard await store(record, ttl: settings.resultTTL, drivers) else {
                return await giveBackLater(delivery, id)
            }
            await release(hold, drivers)
        }
        delivery.acknowledge()
        emit(.deadLettered(id, failure, queue: queue.deadLetters))
        logger.error(
            "message dead-lettered",
            metadata: [
                ("queue", queue.deadLetters.rawValue), ("reason", reason.rawValue), ("id", id?.rawValue ?? "(none)"),
                ("error", failure.description),
            ]
        )
    }

    // MARK: Steps

    func giveBack(_ delivery: consuming Delivery, _ id: TaskID) {
        delivery.giveBack()
        emit(.givenBack(id))
    }

    /// Gives back what could not be settled, after a pause: it comes again at once, and without one a broker or a
    /// backend that refuses would make the worker run the same task as fast as it can.
    func giveBackLater(_ delivery: consuming Delivery, _ id: TaskID) async {
        await pause(Self.pauseBeforeGivingBack, beyond: .running)
        giveBack(delivery, id)
    }

    private func republish(_ message: TaskMessage, delay: Duration, _ queue: QueueName, _ drivers: Drivers) async
        -> Bool
    {
        let route = Route(to: settings.declaration(of: queue))
        return await publish(message.encoded(), to: route, delay: delay > .seconds(1) ? delay : nil, drivers)
    }

    private func publish(_ message: Message, to route: Route, delay: Duration?, _ drivers: Drivers) async -> Bool {
        do {
            try await drivers.broker.publish(message, to: route, delay: delay, within: settings.publishTimeout)
            return true
        } catch {
            logger.error(
                "cannot publish a follow-up; giving the message back",
                metadata: [("queue", route.routingKey), ("error", error.description)]
            )
            return false
        }
    }

    /// Stores a result, trying for ``WorkerConfiguration/resultTimeout`` while its message stays unacknowledged.
    ///
    /// The driver waits for a server that is away. What a server refuses for now, for lack of memory or disk, is tried
    /// again here: running the task once more would not help.
    private func store(_ record: TaskRecord, ttl: Duration, _ drivers: Drivers) async -> Bool {
        let deadline = ContinuousClock.now + configuration.resultTimeout
        var wait = Self.firstPauseBeforeStoring
        while true {
            let remaining = ContinuousClock.now.duration(to: deadline)
            do throws(CeleriacError) {
                try await drivers.results.store(record, ttl: ttl, within: max(.milliseconds(1), remaining))
                if outage.ends() { logger.notice("results are stored again") }
                return true
            } catch {
                guard error.isPassing, wait < remaining, stop.phase <= .now else {
                    logger.error(
                        "cannot store a result",
                        metadata: [("id", record.task.rawValue), ("error", error.description)]
                    )
                    return false
                }
                // Once for each outage, not for each result.
                if outage.begins() {
                    logger.warning("results cannot be stored; trying again", metadata: [("error", error.description)])
                }
            }
            await pause(wait * Double.random(in: 0.5...1), beyond: .now)
            wait = min(wait * 2, Self.longestPauseBeforeStoring)
        }
    }

    /// Best effort: that a task runs is worth knowing, not worth failing for.
    func storeStarted(_ context: TaskContext, of task: TaskRegistration, _ drivers: Drivers) async {
        let value = JSONText.object([
            ("pid", Array(String(getpid()).utf8)), ("hostname", JSONText.string(configuration.nodeName)),
        ])
        let ttl = task.options.resultTTL ?? settings.resultTTL
        do {
            let record = record(of: context.message, context.queue, context.run, .started, value: value)
            try await drivers.results.store(record, ttl: ttl, within: .seconds(5))
        } catch {
            logger.debug("cannot record the start of a task", metadata: [("error", error.description)])
        }
    }

    private func record(
        of message: TaskMessage,
        _ queue: QueueName,
        _ attempt: Attempt,
        _ state: TaskState,
        value: [UInt8],
        children: [TaskID] = []
    ) -> TaskRecord {
        var record = TaskRecord(
            task: message.id,
            state: state,
            value: value,
            at: time.now,
            group: message.group,
            parent: message.parent,
            children: children,
            call: call(of: message, queue)
        )
        record.attempt = attempt
        record.reply = message.replyAddress
        return record
    }

    private func record(
        of message: TaskMessage,
        _ queue: QueueName,
        _ attempt: Attempt,
        _ state: TaskState,
        _ failure: TaskFailure,
        children: [TaskID] = []
    ) -> TaskRecord {
        var record = TaskRecord(
            task: message.id,
            state: state,
            failure: fitting(failure),
            at: time.now,
            group: message.group,
            parent: message.parent,
            children: children,
            call: call(of: message, queue)
        )
        record.attempt = attempt
        record.reply = message.replyAddress
        return record
    }

    private func call(of message: TaskMessage, _ queue: QueueName) -> TaskRecord.Call? {
        guard settings.extendsResults else { return nil }
        return TaskRecord.Call(message, worker: configuration.nodeName, queue: queue.rawValue)
    }

    /// A failure that the limit for results lets be stored: an error's text may hold anything.
    private func fitting(_ failure: TaskFailure) -> TaskFailure {
        let octets = failure.message.utf8.count + (failure.traceback?.utf8.count ?? 0)
        return octets <= settings.maximumResultSize ? failure : failure.shortened(to: 1024)
    }

    private func describe(_ message: TaskMessage, _ failure: TaskFailure) -> [(String, String)] {
        [("task", message.displayName), ("id", message.id.rawValue), ("error", failure.description)]
    }
}

extension Worker: StateReporter {
    func report(_ state: TaskState, _ meta: [UInt8], from context: TaskContext) async throws(CeleriacError) {
        guard let task = tasks[context.name], wantsResult(context.message, of: task) else { return }
        guard meta.count <= settings.maximumResultSize else {
            throw CeleriacError(
                .tooLarge,
                "what the task tells takes \(meta.count) octets; the limit is \(settings.maximumResultSize)"
            )
        }
        let record = record(
            of: context.message,
            context.queue,
            context.run,
            state,
            value: meta,
            children: context.childIDs
        )
        let ttl = task.options.resultTTL ?? settings.resultTTL
        try await app.drivers().results.store(record, ttl: ttl, within: configuration.resultTimeout)
    }

    func claim(_ key: String, for lease: Duration) async throws(CeleriacError) -> Bool {
        // An owner of its own each time, so that no later run of the call passes for the holder.
        let outcome = try await app.drivers().locks.acquire(key, owner: TaskID.random().rawValue, lease: lease)
        if case .acquired = outcome { return true }
        return false
    }
}

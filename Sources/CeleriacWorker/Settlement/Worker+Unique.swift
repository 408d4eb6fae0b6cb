internal import CeleriacCore
internal import FoundationEssentials

extension Worker {
    /// How the way of a call to its body ends.
    enum Beginning: Sendable {
        /// It has a slot, its lock, and a place under its concurrency limit if it has one.
        case begun(HeldPlace?, TaskLimits?)
        /// It is over a limit for longer than it can be held here.
        case over(Duration, ParkingNote)
        /// An equal call runs, or others have put it off, for longer than it can be held here.
        case waits(TaskMessage, for: Duration)
        case expired
        /// The lock store does not answer, and without its answer newer arguments could be lost.
        case unknown
        /// The worker stops.
        case closed
    }

    private enum Joined: Sendable {
        case started
        case wait(UniqueWait.Step)
        case unknown
    }

    /// The lock of a message's call, if it is unique.
    func hold(of message: TaskMessage) -> UniqueHold? {
        if let lock = UniqueLock(headers: message.headers) { return UniqueHold(lock, of: message.id) }
        guard let task = tasks[message.task],
            let lock = task.options.unique?.foreignLock(of: message, parameters: task.parameters)
        else { return nil }
        return UniqueHold(lock, of: message.id, isForeign: true)
    }

    /// Whether other calls count on this message's run: then that an earlier one has succeeded is not enough.
    func isJoined(_ message: TaskMessage, _ drivers: Drivers) async -> Bool {
        var hold = hold(of: message)
        return await takeOffer(&hold, drivers) != nil
    }

    /// Brings a call to its body: the lock of one that others may join, then a slot within its limits, then any other lock.
    ///
    /// What may have to wait for an equal call does so first: a turn under a rate limit that is not used is lost.
    func begin(_ call: inout UniqueCallState, of task: TaskRegistration, _ drivers: Drivers) async -> Beginning {
        if call.hold?.lock.joins == true {
            if let end = await join(&call, drivers) { return end }
            guard TaskLimits(of: call.message, task) != nil else {
                guard hasExpired(call.message) else { return .begun(nil, nil) }
                slots.release()
                return .expired
            }
            slots.release()
        }
        // Only now is it known which arguments count.
        let limits = TaskLimits(of: call.message, task)
        switch await enter(call.message, limits, keeping: call.hold, drivers) {
        case .begun(let place):
            await takeLock(&call, drivers)
            return .begun(place, limits)
        case .over(let pause, let note): return .over(pause, note)
        case .expired: return .expired
        case .closed: return .closed
        }
    }

    /// Waits until a call that others may join can start; it has a slot then.
    ///
    /// - Returns: `nil` if it has started.
    private func join(_ call: inout UniqueCallState, _ drivers: Drivers) async -> Beginning? {
        var wait = UniqueWait()
        while true {
            // The slot first, so that the arguments are the newest that can be.
            guard await acquireSlot(keeping: call.hold, drivers) else { return .closed }
            let joined = await start(&call, &wait, drivers)
            if case .started = joined { return nil }
            slots.release()
            switch joined {
            case .wait(.sleep(let wait)):
                guard (try? await time.sleep(for: wait)) != nil else { return .closed }
            case .wait(.park(let later, let pause)): return .waits(later, for: pause)
            case .started, .unknown: return .unknown
            }
        }
    }

    /// Waits for a slot; a unique call's lock is renewed meanwhile.
    private func acquireSlot(keeping hold: UniqueHold?, _ drivers: Drivers) async -> Bool {
        if let immediate = slots.tryAcquire() { return immediate }
        return await keeping(hold, drivers) { await self.slots.acquire() }
    }

    private func enter(
        _ message: TaskMessage,
        _ limits: TaskLimits?,
        keeping hold: UniqueHold?,
        _ drivers: Drivers
    ) async -> Entry {
        guard let hold, hold.kept != nil else { return await enter(message, limits, drivers) }
        return await keeping(hold, drivers) { await self.enter(message, limits, drivers) }
    }

    private func keeping<Value: Sendable>(
        _ hold: UniqueHold?,
        _ drivers: Drivers,
        while body: () async -> Value
    ) async -> Value {
        await withTaskGroup(of: Void.self) { group in
            if let hold { group.addTask { await self.keep(hold, nil, drivers) } }
            let value = await body()
            group.cancelAll()
            return value
        }
    }

    /// Takes or frees the lock of a call that begins now and that others cannot join.
    private func takeLock(_ call: inout UniqueCallState, _ drivers: Drivers) async {
        guard var hold = call.hold, !hold.lock.joins else { return }
        hold.hasStarted = true
        let lock = hold.lock
        do {
            switch lock.end {
            case .lapsed: break
            case .started:
                if hold.isForeign { hold.owner = try await token(of: hold, drivers).owner }
                try await drivers.locks.release(lock.key, owner: hold.owner)
            case .finished:
                let (owner, fence) = try await token(of: hold, drivers)
                if let fence {
                    call.fence = fence > 0 ? fence : nil
                } else if !hold.isForeign {
                    let metadata = [("id", hold.id.rawValue), ("owner", owner)]
                    logger.warning("unique task runs although an equal call has its lock", metadata: metadata)
                }
                if fence != nil || hold.isForeign { hold.owner = owner }
            }
        } catch {
            // It reduces duplicates; it is no reason not to run.
            logger.warning("cannot take a unique task's lock", metadata: [("error", error.description)])
        }
        call.hold = hold
    }

    /// Takes the lock, or tells who has it; what a Python program has taken is held under its token.
    private func token(
        of hold: UniqueHold,
        _ drivers: Drivers
    ) async throws(CeleriacError) -> (owner: String, fence: UInt64?) {
        let own = hold.lock.owner(hold.id)
        switch try await drivers.locks.acquire(hold.lock.key, owner: own, lease: hold.lock.lease) {
        case .acquired(let fence): return (own, fence)
        case .held(let owner, _):
            // Another call of Celeriac's, however, keeps what it has.
            let isPython = hold.isForeign && hold.lock.call(ofOwner: owner) == nil
            return (isPython || !hold.isForeign ? owner : own, nil)
        }
    }

    private func start(_ call: inout UniqueCallState, _ wait: inout UniqueWait, _ drivers: Drivers) async -> Joined {
        guard var hold = call.hold else { return .started }
        let lock = hold.lock
        let outcome: StartOutcome
        do {
            outcome = try await drivers.locks.start(
                lock.key,
                as: lock.runningKey(of: hold.id),
                owner: hold.owner,
                lease: lock.lease
            )
        } catch {
            logger.warning("cannot take a unique task's lock", metadata: [("error", error.description)])
            // Whoever sent the call has another store.
            return error.code == .unsupported ? .started : .unknown
        }
        switch outcome {
        case .busy(_, let remaining): return .wait(wait.busy(call.message, remaining: remaining))
        case .early(let pause): return .wait(wait.early(call.message, by: pause))
        case .started(let fence, let offer):
            hold.hasStarted = true
            (call.hold, call.fence) = (hold, fence)
            call.message = UniqueWait.begun(call.message)
            if let offer { call.message.take(offer) }
            return .started
        }
    }

    /// What calls have left with one that will not run.
    func takeOffer(_ hold: inout UniqueHold?, _ drivers: Drivers) async -> CallOffer? {
        guard let lock = hold?.lock, let id = hold?.id, lock.joins else { return nil }
        let running = lock.runningKey(of: id)
        // What cannot be had now is lost with the lock; the message itself is not.
        guard
            case .started(_, let offer)? = try? await drivers.locks.start(
                lock.key,
                as: running,
                owner: lock.owner(id),
                lease: lock.lease
            )
        else { return nil }
        hold?.hasStarted = true
        return offer
    }

    /// Renews a lock at a third of its lease until cancelled.
    ///
    /// A lock that the store has forgotten is taken again. One that somebody else has got is lost, which does not stop the
    /// body: a unique call's lock reduces duplicates, it does not guard them. What must not happen twice checks the fence.
    ///
    /// - Parameter context: The running call's; `nil` while the call waits.
    func keep(_ hold: UniqueHold, _ context: TaskContext?, _ drivers: Drivers) async {
        guard let key = hold.kept else { return }
        let lease = hold.lock.lease
        while (try? await time.sleep(for: lease / 3)) != nil {
            do {
                guard try await !drivers.locks.renew(key, owner: hold.owner, lease: lease) else { continue }
                guard let context else { return }
                switch try await drivers.locks.acquire(key, owner: hold.owner, lease: lease) {
                case .acquired(let fence):
                    context.note(lockFence: fence > 0 ? fence : nil)
                    logger.warning("took a unique task's lock again", metadata: [("id", hold.id.rawValue)])
                case .held(let owner, _):
                    let metadata = [("id", hold.id.rawValue), ("owner", owner)]
                    logger.warning("unique task lost its lock while running", metadata: metadata)
                    return
                }
            } catch {
                guard error.code != .cancelled else { return }
                logger.warning("cannot renew a unique task's lock", metadata: [("error", error.description)])
            }
        }
    }

    /// Makes the lock of a call that goes back into the broker's keeping outlast its stay there.
    func keep(_ hold: UniqueHold?, through delay: Duration, _ drivers: Drivers) async {
        guard let hold, let key = hold.kept else { return }
        // If it cannot be renewed, the task still runs again.
        _ = try? await drivers.locks.renew(key, owner: hold.owner, lease: hold.lock.lease + delay)
    }

    /// Frees the lock of a call that has ended for good.
    func release(_ hold: UniqueHold?, _ drivers: Drivers) async {
        guard var hold else { return }
        do {
            if hold.isForeign, !hold.hasStarted {
                // What is freed is what was there when the call ended, as `celery-once` does; never another Celeriac call's.
                hold.owner = try await token(of: hold, drivers).owner
            }
            for key in hold.freedAtEnd { try await drivers.locks.release(key, owner: hold.owner) }
        } catch {
            logger.warning(
                "cannot free a unique task's lock; it ends with its lease",
                metadata: [("id", hold.id.rawValue), ("error", error.description)]
            )
        }
    }
}

extension TaskMessage {
    /// Takes over what calls that joined this one have offered.
    mutating func take(_ offer: CallOffer) {
        if let arguments = offer.arguments {
            body = arguments
            (argumentsText, keywordsText) = PythonText.arguments(ofBody: arguments)
        }
        if let expires {
            self.expires = offer.expires.map { max($0, expires) }
        }
    }
}

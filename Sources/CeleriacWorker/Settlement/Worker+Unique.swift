internal import CeleriacCore
internal import FoundationEssentials

extension Worker {
    /// What a unique call may do when it is its turn.
    enum Entry: Sendable {
        case run(TaskMessage, UniqueHold, fence: UInt64?)
        case wait(UniqueWait.Step)
        /// The store does not answer, and without its answer newer arguments could be lost.
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

    /// Waits for a slot; a unique call's lock is renewed meanwhile.
    func acquireSlot(keeping hold: UniqueHold?, _ drivers: Drivers) async -> Bool {
        guard let hold, hold.kept != nil else { return await slots.acquire() }
        if let immediate = slots.tryAcquire() { return immediate }
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.keep(hold, nil, drivers) }
            let isAcquired = await slots.acquire()
            group.cancelAll()
            return isAcquired
        }
    }

    /// Passes a unique call from the queue to its body.
    func enter(_ hold: UniqueHold, _ message: TaskMessage, _ wait: inout UniqueWait, _ drivers: Drivers) async -> Entry
    {
        var hold = hold
        hold.hasStarted = true
        let lock = hold.lock
        do {
            if lock.joins { return try await start(hold, message, &wait, drivers) }
            switch lock.end {
            case .lapsed: break
            case .started:
                if hold.isForeign { hold.owner = try await token(of: hold, drivers).owner }
                try await drivers.locks.release(lock.key, owner: hold.owner)
            case .finished:
                let (owner, fence) = try await token(of: hold, drivers)
                hold.owner = owner
                if let fence { return .run(message, hold, fence: fence > 0 ? fence : nil) }
                guard !hold.isForeign else { break }
                let metadata = [("id", message.id.rawValue), ("owner", owner)]
                logger.warning("unique task runs although an equal call has its lock", metadata: metadata)
                hold.owner = lock.owner(hold.id)
            }
        } catch {
            // It reduces duplicates; it is no reason not to run.
            logger.warning("cannot take a unique task's lock", metadata: [("error", error.description)])
            if lock.joins, error.code != .unsupported { return .unknown }
        }
        return .run(message, hold, fence: nil)
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

    private func start(
        _ hold: UniqueHold,
        _ message: TaskMessage,
        _ wait: inout UniqueWait,
        _ drivers: Drivers
    ) async throws(CeleriacError) -> Entry {
        let lock = hold.lock
        let outcome = try await drivers.locks.start(
            lock.key,
            as: lock.runningKey(of: hold.id),
            owner: hold.owner,
            lease: lock.lease
        )
        switch outcome {
        case .busy(_, let remaining): return .wait(wait.busy(message, remaining: remaining))
        case .early(let pause): return .wait(wait.early(message, by: pause))
        case .started(let fence, let offer):
            var message = UniqueWait.begun(message)
            if let offer { message.take(offer) }
            return .run(message, hold, fence: fence)
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

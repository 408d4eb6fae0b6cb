internal import FoundationEssentials

/// A unique call on its way.
struct UniquePassage: Sendable {
    let policy: UniquePolicy
    let lock: UniqueLock
    /// How long the lock lasts once the call is sent.
    let queueLease: Duration
    /// How long it lasts until then: the sender may die.
    let sendingLease: Duration
    let offer: CallOffer

    init(
        _ policy: UniquePolicy,
        _ lock: UniqueLock,
        of message: TaskMessage,
        delay: Duration?,
        publishTimeout: Duration,
        now: Date
    ) {
        self.policy = policy
        self.lock = lock
        queueLease = policy.queueLease(
            delay: delay ?? .zero,
            untilExpiry: message.expires.map { .seconds($0.timeIntervalSince(now)) }
        )
        sendingLease = min(queueLease, publishTimeout + .seconds(10))
        offer = CallOffer(
            arguments: policy.onConflict == .replaceArguments ? message.body : nil,
            expires: message.expires,
            debounce: policy.debounce
        )
    }
}

extension TaskApp {
    /// Takes a unique call's lock, or finds out what the call comes to instead.
    ///
    /// - Returns: `nil` if the call is to be sent.
    func admit(
        _ passage: UniquePassage,
        of message: TaskMessage,
        isNew: Bool,
        _ drivers: Drivers
    ) async throws(CeleriacError) -> (id: TaskID, disposition: CallDisposition)? {
        let time = configuration.time
        // As long as the other sender may try.
        var admission = CallAdmission(
            passage.policy.onConflict,
            deadline: time.now.addingTimeInterval(configuration.publishTimeout.inSeconds)
        )
        var step = admission.first
        while true {
            switch step {
            case .acquire, .reserve:
                do {
                    step = try await ask(step, passage, of: message.id, &admission, drivers)
                } catch {
                    // The lock may have been taken all the same. Under an id of the caller's own it may belong to an earlier call.
                    if isNew { await release(passage.lock, of: message.id, drivers) }
                    throw error
                }
            case .pause(let pause):
                do {
                    try await time.sleep(for: pause)
                } catch {
                    throw CeleriacError(.cancelled, "cancelled while an equal call of \(message.task) was being sent")
                }
                step = .reserve(takingOver: false)
            case .send: return nil
            case .give(let owner, let disposition):
                await prolong(passage, owner, drivers)
                let holder = passage.lock.call(ofOwner: owner)
                guard holder != nil || disposition == .ignored else {
                    throw refusal(of: message, by: nil, remaining: .zero)
                }
                return (holder ?? message.id, disposition)
            case .refuse(let owner, let remaining):
                await prolong(passage, owner, drivers)
                throw refusal(of: message, by: passage.lock.call(ofOwner: owner), remaining: remaining)
            }
        }
    }

    private func ask(
        _ step: CallAdmission.Step,
        _ passage: UniquePassage,
        of id: TaskID,
        _ admission: inout CallAdmission,
        _ drivers: Drivers
    ) async throws(CeleriacError) -> CallAdmission.Step {
        let (key, owner, lease) = (passage.lock.key, passage.lock.owner(id), passage.sendingLease)
        guard case .reserve(let takesOver) = step else {
            return admission.received(try await drivers.locks.acquire(key, owner: owner, lease: lease))
        }
        var offer = passage.offer
        offer.takesOver = takesOver
        let outcome = try await drivers.locks.reserve(key, owner: owner, lease: lease, offer: offer)
        return admission.received(outcome, now: configuration.time.now)
    }

    private func refusal(of message: TaskMessage, by holder: TaskID?, remaining: Duration) -> CeleriacError {
        CeleriacError(
            .alreadyQueued,
            "an equal call of \(message.task) is queued or running as \(holder?.rawValue ?? "a call of celery-once"); "
                + "its lock ends in \(remaining) at the latest",
            conflict: CeleriacError.Conflict(existing: holder, remaining: remaining)
        )
    }

    /// What is unique for ever stays so while anybody asks for it.
    private func prolong(_ passage: UniquePassage, _ owner: String, _ drivers: Drivers) async {
        guard passage.policy.scope == .forever else { return }
        do {
            _ = try await drivers.locks.renew(passage.lock.key, owner: owner, lease: UniquePolicy.year)
        } catch {
            configuration.logger.debug("cannot prolong a lock", metadata: [("error", error.description)])
        }
    }

    /// Gives the lock of a call that was sent, or may have been, the lease for its time in the queue.
    ///
    /// Best effort: if it fails, the lock ends early and an equal call may be sent beside this one.
    func keep(_ passage: UniquePassage, of id: TaskID, wasSent: Bool, _ drivers: Drivers) async {
        let (locks, key, owner) = (drivers.locks, passage.lock.key, passage.lock.owner(id))
        let lease = passage.queueLease
        // In a task of its own: the call is sent, and its caller being cancelled must not shorten its lock.
        let failure = await Task { () -> CeleriacError? in
            do throws(CeleriacError) {
                // One that may not have been sent must not be joined.
                if passage.lock.joins && wasSent {
                    try await locks.confirm(key, owner: owner, lease: lease)
                } else if lease > passage.sendingLease {
                    _ = try await locks.renew(key, owner: owner, lease: lease)
                }
                return nil
            } catch {
                return error
            }
        }.value
        if let failure {
            configuration.logger.debug("cannot prolong a lock", metadata: [("error", failure.description)])
        }
    }

    /// Frees the lock of a call that was not sent.
    func release(_ lock: UniqueLock, of id: TaskID, _ drivers: Drivers) async {
        // In a task of its own: the caller's may be cancelled, which must not leave the lock behind.
        await Task {
            // The caller is to see the first error; a lock that cannot be freed ends with its lease.
            _ = try? await drivers.locks.release(lock.key, owner: lock.owner(id))
        }.value
    }
}

extension RecoveryStateMachine {
    /// The one thing to do now.
    ///
    /// Called again after each action with its outcome told, and after each event.
    package mutating func next(now: Instant) -> Action {
        switch link {
        case .closed(let error): return .finish(error)
        case .closing: return .shutDown
        case .connecting: return .wait(until: nil)
        case .down:
            guard connecting.isDue(now) else { return .wait(until: connecting.notBefore) }
            link = .connecting
            return .connect(host: hosts.current)
        case .up(let isAnnounced):
            if !endings.isEmpty { return endings.removeFirst() }
            if let action = nextToRestore(now) { return action }
            guard isAnnounced else {
                link = .up(isAnnounced: true)
                (hasOpened, reason) = (true, nil)
                return .opened
            }
            return .wait(until: earliestRetry(after: now))
        }
    }

    private func nextToRestore(_ now: Instant) -> Action? {
        let heldBack =
            hasDeferred ? Set(pending.filter { !$0.backoff.isDue(now) }.compactMap(\.entity.ownQueue)) : []
        for candidate in pending.reversed() where candidate.backoff.isDue(now) {
            if let queue = candidate.entity.neededQueue, heldBack.contains(queue) { continue }
            if let operation = topology.operation(restoring: candidate.entity) {
                return .restore(candidate.entity, operation)
            }
        }
        for (id, channel) in channels.sorted(by: { $0.key < $1.key }) where channel.instance == nil {
            if channel.backoff.isDue(now) { return .openChannel(id) }
        }
        for (id, consumer) in consumers.sorted(by: { $0.key < $1.key }) where !consumer.isLive {
            guard consumer.backoff.isDue(now), !heldBack.contains(consumer.queue),
                channels[consumer.channel]?.instance != nil
            else { continue }
            if consumer.isSuspect { return .probe(consumer: id, queue: consumer.queue) }
            return .consume(id, channel: consumer.channel, queue: consumer.queue)
        }
        return nil
    }

    /// When to look again.
    ///
    /// What is due and yet not done is held back by something that waits: the past would be no time to wait for.
    private func earliestRetry(after now: Instant) -> Instant? {
        let waits =
            pending.compactMap(\.backoff.notBefore)
            + channels.values.filter { $0.instance == nil }.compactMap(\.backoff.notBefore)
            + consumers.values.filter { !$0.isLive }.compactMap(\.backoff.notBefore)
        return waits.filter { $0 > now }.min()
    }

    // MARK: Topology

    /// Marks what a caller is about to ask the broker for.
    package mutating func willPerform(_ operation: TopologyOperation) {
        // The broker may tell of a deleted queue's consumers before it tells of the deletion.
        if case .deleteQueue(let name, _, _) = operation { deleting[name, default: 0] += 1 }
    }

    /// A caller's operation has ended; one that succeeded is recorded.
    ///
    /// - Parameter instance: The channel on which it was done; what was done on an earlier connection is done again.
    package mutating func performed(
        _ operation: TopologyOperation,
        _ answer: TopologyAnswer?,
        channel: ID,
        instance: UInt64?
    ) {
        if case .deleteQueue(let name, _, _) = operation {
            let count = (deleting[name] ?? 1) - 1
            deleting[name] = count > 0 ? count : nil
        }
        guard let answer else { return }
        // Its queue may have got another name between the broker's answer and now.
        let operation = topology.translated(operation)
        topology.record(operation, answer)
        if !strikes.isEmpty {
            let recorded = topology
            strikes = strikes.filter { recorded.contains($0.key) }
        }
        if !pending.isEmpty {
            let recorded = topology
            pending.removeAll { !recorded.contains($0.entity) }
        }
        guard isUp, channels[channel]?.instance != instance else { return }
        switch operation {
        case .declareExchange(let exchange, passive: false): enqueue(.exchange(exchange))
        case .declareQueue(var queue, passive: false):
            if case .queue(let state) = answer { queue.name = state.name }
            enqueue(.queue(queue))
        case .bind(let binding): enqueue(.binding(binding))
        case .declareExchange, .declareQueue, .purgeQueue, .deleteQueue, .deleteExchange, .unbind: break
        }
    }

    /// An entity is not to be brought back: the caller's filter says so.
    package mutating func skipped(_ entity: RecoverableEntity) {
        if let index = pending.lastIndex(where: { $0.entity == entity }) { pending.remove(at: index) }
        if pending.isEmpty { hasDeferred = false }
    }

    package mutating func restored(_ entity: RecoverableEntity, _ answer: TopologyAnswer) {
        skipped(entity)
        strikes[entity] = nil
        guard case .queue(let queue) = entity, case .queue(let state) = answer, state.name != queue.name else { return }
        topology.renamed(queue.name, to: state.name)
        for index in pending.indices {
            pending[index].entity = pending[index].entity.renaming(queue.name, to: state.name)
        }
        for (id, consumer) in consumers where consumer.queue == queue.name { consumers[id]?.queue = state.name }
        for (entity, count) in strikes where entity.renaming(queue.name, to: state.name) != entity {
            strikes[entity] = nil
            strikes[entity.renaming(queue.name, to: state.name)] = count
        }
    }

    /// How an entity failed; `nil` if it was the connection that ended, and nothing is to be decided.
    package mutating func restoreFailed(
        _ entity: RecoverableEntity,
        _ error: AMQPError,
        epoch: UInt64,
        now: Instant
    ) -> RestoreFailure? {
        if error.endsConnection {
            lost(error, epoch: epoch, now: now)
            guard error.isConnectionError else { return nil }
            let count = strikes[entity, default: 0] + 1
            strikes[entity] = count
            if count >= Self.strikeLimit {
                // One that ends the connection each time would have it recovered for ever.
                topology.forget(entity)
                strikes[entity] = nil
            }
            return RestoreFailure(entity: entity, error: error, attempts: count)
        }
        guard isUp, epoch == self.epoch, let index = pending.firstIndex(where: { $0.entity == entity }) else {
            return nil
        }
        hasDeferred = true
        pending[index].backoff.failed(now: now, settings.policy, using: &generator)
        return RestoreFailure(entity: entity, error: error, attempts: pending[index].backoff.failures)
    }

    package mutating func decided(_ decision: RestoreDecision, about failure: RestoreFailure) {
        switch decision {
        case .retry: break
        case .skip: skipped(failure.entity)
        case .giveUp: close(failure.error)
        }
    }
}

extension RecoverableEntity {
    fileprivate var ownQueue: String? {
        if case .queue(let queue) = self { queue.name } else { nil }
    }
}

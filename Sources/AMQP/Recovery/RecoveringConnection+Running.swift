internal import Synchronization

extension RecoveringConnection {
    /// What the running task holds of the present connection.
    private struct Physical {
        var connection: AMQPConnection?
        /// For topology: what the broker refuses on it closes no channel of a caller.
        var tool: AMQPChannel?
        var epoch: UInt64 = 0
    }

    /// Changes what is decided upon; the task that acts on decisions looks again.
    func change<R>(_ body: (inout Registry) -> R) -> R {
        let result = registry.withLock { registry in
            let result = body(&registry)
            board.tell(registry.machine.state)
            return result
        }
        wakeUp.wake()
        return result
    }

    /// Does what the state machine decides, one thing after the other, until it is closed.
    func run() async {
        var physical = Physical()
        while true {
            let action = registry.withLock { registry in
                let action = registry.machine.next(now: .now)
                board.tell(registry.machine.state)
                return action
            }
            switch action {
            case .connect(let host): await connect(to: host, &physical)
            case .restore(let entity, let operation): await restore(entity, operation, &physical)
            case .openChannel(let id): await openChannel(id, physical)
            case .probe(let id, let queue): await probe(id, queue, &physical)
            case .consume(let id, let channel, let queue): await consume(id, channel, queue, physical)
            case .endConsumer(let id, let error):
                registry.withLock { $0.consumers.removeValue(forKey: id) }?.gate.close(error)
            case .endChannel(let id, let error): endChannel(id, error)
            case .opened:
                if let connection = physical.connection { gate.open(connection) }
                opened.finish(.success(()))
            case .wait(let instant):
                await physical.tool.take()?.close()
                await wakeUp.wait(until: instant)
            case .shutDown:
                await shutDown(physical)
                change { $0.machine.close(AMQPError(.closed, "the connection was closed by this side")) }
            case .finish(let error):
                return await finish(error, physical)
            }
        }
    }

    private func connect(to host: Int, _ physical: inout Physical) async {
        physical = Physical()
        do throws(AMQPError) {
            let connection = try await connect(to: uris[host])
            physical.connection = connection
            let epoch = change { registry in
                registry.machine.connected(now: .now)
                return registry.machine.epoch
            }
            physical.epoch = epoch
            connection.observeBlocking { [weak self] reason in
                self?.change { $0.machine.blocked(reason, epoch: epoch) }
            }
            if let reason = connection.currentBlockedReason {
                change { $0.machine.blocked(reason, epoch: epoch) }
            }
            connection.observeEnd { [weak self, weak connection] error in
                guard let self else { return }
                change { $0.machine.lost(error, epoch: epoch, now: .now) }
                if let connection { gate.shut(connection, because: error) }
            }
        } catch {
            change { $0.machine.connectFailed(error, now: .now) }
        }
    }

    /// Logs in with the secret that is in force.
    private func connect(to uri: AMQPURI) async throws(AMQPError) -> AMQPConnection {
        var (uri, options) = (uri, options.connection)
        if let secret = registry.withLock({ $0.secret }) {
            uri.password = secret
            options.login?.secret = nil
        }
        return try await AMQPConnection.connect(to: uri, options: options)
    }

    // MARK: Bringing back

    private func tool(_ physical: inout Physical) async throws(AMQPError) -> AMQPChannel {
        if let tool = physical.tool, tool.closeReason == nil { return tool }
        guard let connection = physical.connection else { throw AMQPError(.closed, "there is no connection") }
        let tool = try await connection.openChannel()
        physical.tool = tool
        return tool
    }

    private func restore(
        _ entity: RecoverableEntity,
        _ operation: TopologyOperation,
        _ physical: inout Physical
    ) async {
        guard options.shouldRestore(entity) else { return change { $0.machine.skipped(entity) } }
        do throws(AMQPError) {
            let answer = try await tool(&physical).perform(operation)
            change { $0.machine.restored(entity, answer) }
        } catch {
            let epoch = physical.epoch
            let failure = change { registry in
                let failure = registry.machine.restoreFailed(entity, error, epoch: epoch, now: .now)
                if let failure { Self.remember(failure, in: &registry) }
                return failure
            }
            guard let failure else { return }
            let decision = options.restoreFailed(failure)
            change { $0.machine.decided(decision, about: failure) }
        }
    }

    private static func remember(_ failure: RestoreFailure, in registry: inout Registry) {
        registry.failures.append(failure)
        if registry.failures.count > rememberedFailures { registry.failures.removeFirst() }
    }

    private func openChannel(_ id: RecoveryStateMachine.ID, _ physical: Physical) async {
        guard let channel = registry.withLock({ $0.channels[id] }), let connection = physical.connection else {
            return change { $0.machine.removeChannel(id) }
        }
        do throws(AMQPError) {
            let opened = try await connection.openChannel()
            for (scope, prefetch) in channel.prefetches { try await opened.setPrefetch(prefetch, scope: scope) }
            let isWanted = change { registry in
                registry.machine.channelOpened(id, instance: opened.instance, epoch: physical.epoch, now: .now)
                return registry.channels[id] != nil
            }
            guard isWanted, channel.gate.open(opened) else { return await opened.close() }
            channel.hearReturns(of: opened)
            observe(opened, of: channel)
        } catch {
            change { $0.machine.channelOpenFailed(id, error, epoch: physical.epoch, now: .now) }
        }
    }

    /// Learns of the end of a channel.
    func observe(_ physical: AMQPChannel, of channel: RecoveringChannel) {
        let instance = physical.instance
        physical.onClose { [weak self, weak channel, weak physical] error in
            guard let self, let channel else { return }
            change { $0.machine.channelClosed(channel.id, instance: instance, now: .now) }
            if let physical { channel.gate.shut(physical, because: error) }
        }
    }

    /// Learns that the broker cancels a consumer, or sends it what this side does not take.
    func observe(_ physical: AMQPConsumer, of consumer: ConsumerSubscription) {
        let instance = physical.channel.instance
        physical.onEnd { [weak self, weak consumer] error in
            guard let self, let consumer, let error else { return }
            switch error.code {
            case .consumerCancelled:
                change { $0.machine.consumerCancelled(consumer.id, instance: instance, error, now: .now) }
            case .bodyTooLarge where error.replyCode == nil:
                change { $0.machine.messageRefused(by: consumer.id, error, now: .now) }
            default: break
            }
        }
    }

    private func probe(_ id: RecoveryStateMachine.ID, _ queue: String, _ physical: inout Physical) async {
        do throws(AMQPError) {
            _ = try await tool(&physical).declareQueue(queue, passive: true)
            change { $0.machine.probed(id) }
        } catch {
            consumeFailed(id, error, physical.epoch)
        }
    }

    private func consume(
        _ id: RecoveryStateMachine.ID,
        _ channelID: RecoveryStateMachine.ID,
        _ queue: String,
        _ physical: Physical
    ) async {
        let (known, channel) = registry.withLock { ($0.consumers[id], $0.channels[channelID]) }
        guard let consumer = known, let channel = channel?.gate.current else {
            // Either the caller has ended it just now, or the machine hears of the channel's end in this moment.
            return change { registry in
                if registry.consumers[id] == nil { registry.machine.removeConsumer(id) }
            }
        }
        guard options.shouldRestore(.consumer(queue: queue, tag: consumer.tag)) else {
            let error = AMQPError(.consumerCancelled, "consumer \"\(consumer.tag)\" was not to be restored")
            change { registry in
                registry.machine.removeConsumer(id)
                registry.consumers[id] = nil
            }
            return consumer.gate.close(error)
        }
        do throws(AMQPError) {
            let started = try await consumer.start.perform(queue, tag: consumer.tag, on: channel)
            let isWanted = change { registry in
                registry.machine.consumed(id, instance: channel.instance, now: .now)
                return registry.consumers[id] != nil
            }
            // Cancelled meanwhile, it must not go on with nobody to take from it.
            guard isWanted, consumer.replace(with: started) else { return await consumer.start.discard(started) }
            observe(started, of: consumer)
        } catch {
            if channel.closeReason != nil {
                change { $0.machine.channelClosed(channelID, instance: channel.instance, now: .now) }
            }
            // The end of the channel for another cause is not the consumer's failure.
            if !error.isInterruption || error.endsConnection { consumeFailed(id, error, physical.epoch) }
        }
    }

    private func consumeFailed(_ id: RecoveryStateMachine.ID, _ error: AMQPError, _ epoch: UInt64) {
        change { registry in
            if let consumer = registry.consumers[id] {
                let entity = RecoverableEntity.consumer(queue: consumer.queue, tag: consumer.tag)
                Self.remember(RestoreFailure(entity: entity, error: error, attempts: 1), in: &registry)
            }
            registry.machine.consumeFailed(id, error, epoch: epoch, now: .now)
        }
    }

    private func endChannel(_ id: RecoveryStateMachine.ID, _ error: AMQPError) {
        let (channel, consumers) = registry.withLock { registry in
            let consumers = registry.consumers.filter { $0.value.channel.id == id }
            for consumer in consumers.keys { registry.consumers[consumer] = nil }
            return (registry.channels.removeValue(forKey: id), consumers.values)
        }
        channel?.gate.close(error)
        for consumer in consumers { consumer.gate.close(error) }
    }

    // MARK: Ending

    private func shutDown(_ physical: Physical) async {
        let closed = AMQPError(.closed, "the connection was closed by this side")
        let (channels, consumers, deadline) = registry.withLock { registry in
            (Array(registry.channels.values), Array(registry.consumers.values), registry.closeDeadline ?? .now)
        }
        gate.close(closed)
        for channel in channels { channel.gate.close(closed) }
        guard let connection = physical.connection, connection.closeReason == nil else { return }
        await withTaskGroup(of: Void.self) { group in
            for consumer in consumers { group.addTask { await consumer.stop(closed) } }
        }
        await connection.waitUntilSettled(before: deadline)
    }

    private func finish(_ error: AMQPError, _ physical: Physical) async {
        let (channels, consumers) = registry.withLock { registry in
            defer { (registry.channels, registry.consumers) = ([:], [:]) }
            return (Array(registry.channels.values), Array(registry.consumers.values))
        }
        gate.close(error)
        for channel in channels { channel.gate.close(error) }
        await physical.connection?.close()
        for consumer in consumers { consumer.gate.close(error) }
        opened.finish(.failure(error))
    }
}

extension AMQPConnection {
    /// Waits until every publish that was sent is confirmed and every delivery on loan is settled.
    ///
    /// Looks now and then, so that publishing and settling need not tell.
    func waitUntilSettled(before deadline: ContinuousClock.Instant) async {
        while !hasEnded, channels.values.contains(where: { !$0.isSettled }), ContinuousClock.now < deadline {
            // Cancelled, the wait is over at once.
            guard (try? await Task.sleep(for: .milliseconds(5))) != nil else { return }
        }
    }
}

extension ChannelCore {
    var isSettled: Bool {
        waiting.isEmpty && (confirms?.outstanding ?? 0) == 0 && acks.outstanding == 0
    }
}

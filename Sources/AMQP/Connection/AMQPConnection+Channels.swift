internal import Synchronization
internal import Transport

extension AMQPConnection {
    /// Opens a channel.
    ///
    /// - Throws: ``AMQPError``: `.channelLimit` when all negotiated channels are in use, and what ends a connection.
    public func openChannel() async throws(AMQPError) -> AMQPChannel {
        if let reason = closeReason ?? closingReason { throw reason }
        guard let number = freeNumber() else {
            throw AMQPError(.channelLimit, "all \(channelMax) channels to \(stream.peer) are in use")
        }
        let instance = Self.instances.add(1, ordering: .relaxed).newValue
        let mailbox = ChannelMailbox()
        let core = ChannelCore(
            number: number,
            instance: instance,
            mailbox: mailbox,
            maximumBodySize: options.maximumBodySize
        )
        if !options.coalescesAcknowledgements {
            core.acks.isCoalescing = false
            core.settlementPatience = 1
        }
        channels[number] = core
        highestChannel = max(highestChannel, number)
        let channel = AMQPChannel(connection: self, number: number, instance: instance, mailbox: mailbox)
        do throws(AMQPError) {
            _ = try await call(.channelOpen, on: core)
        } catch {
            beginClosing(core, nil, because: error)
            throw error
        }
        return channel
    }

    /// Opens a channel for the duration of a closure, and closes it at the end, also when the closure throws.
    public nonisolated func withChannel<R>(_ body: (AMQPChannel) async throws -> R) async throws -> R {
        let channel = try await openChannel()
        do {
            let result = try await body(channel)
            await channel.close()
            return result
        } catch {
            await channel.close()
            throw error
        }
    }

    /// Numbers go round, so that one is used again as late as possible.
    private func freeNumber() -> UInt16? {
        guard channels.count < Int(channelMax) else { return nil }
        repeat {
            lastChannel = lastChannel >= channelMax ? 1 : lastChannel + 1
        } while channels[lastChannel] != nil
        return lastChannel
    }

    func core(of channel: AMQPChannel) throws(AMQPError) -> ChannelCore {
        guard let core = channels[channel.number], core.instance == channel.instance else {
            throw channel.mailbox.closeReason?.endingOthers(on: channel.number)
                ?? AMQPError(.closed, "channel \(channel.number) is closed")
        }
        return core
    }

    /// Why nothing may be sent any more, once the goodbye was said.
    private var closingReason: AMQPError? {
        machine.isClosing ? AMQPError(.closed, "the connection to \(stream.peer) is being closed") : nil
    }

    // MARK: Calls

    func call(_ method: Method, on channel: AMQPChannel) async throws(AMQPError) -> ChannelAnswer {
        try await call(method, on: try core(of: channel))
    }

    func call(_ method: Method, on core: ChannelCore) async throws(AMQPError) -> ChannelAnswer {
        let waiter = Waiter<ChannelAnswer>()
        let timeout = AMQPError(.timedOut, "\(stream.peer) did not answer \(method.name) in \(options.callTimeout)")
        let timer = loop.schedule(after: options.callTimeout) { waiter.finish(.failure(timeout)) }
        defer { loop.cancel(timer) }
        begin(method, waiter, on: core)
        return try await waiter.value("the broker's answer")
    }

    /// Sends a method that is answered, to the waiter if there is one.
    func begin(_ method: Method, _ waiter: Waiter<ChannelAnswer>?, on core: ChannelCore) {
        if let closingReason {
            waiter?.finish(.failure(closingReason))
            return
        }
        let call = core.newCall(waiter)
        let before = core.machine
        let action = core.machine.call(call, method)
        guard case .send(let method) = action else { return perform(action, on: core) }
        do throws(FrameError) {
            try trySend(method, on: core.number)
            switch method {
            case .basicGet(let get): core.gets.append(!get.noAck)
            case .basicQos(let qos): core.limitPatience(prefetch: qos.prefetchCount)
            // Not for few deliveries at a time, nor for direct replies: somebody waits for each of them.
            case .basicConsume(let consume) where !consume.noAck && core.settlementPatience >= 8: stream.gatherInput()
            default: break
            }
        } catch {
            core.machine = before
            core.calls.removeValue(forKey: call)
            waiter?.finish(.failure(AMQPError(.invalidArgument, "\(method.name): \(error)", underlying: error)))
        }
    }

    func perform(_ action: ChannelStateMachine.Action, delivering delivery: AMQPDelivery? = nil, on core: ChannelCore) {
        switch action {
        case .none: break
        case .send(let method): send(method, on: core.number)
        case .complete(let call, let method): complete(call, method, delivery, on: core)
        case .consumerCancelled(let tag, let answer):
            if let answer, mayAnswer() { send(answer, on: core.number) }
            let text = "the broker cancelled consumer \"\(tag)\", as it does when the queue goes away"
            finishConsumer(tag, AMQPError(.consumerCancelled, text), on: core)
        case .flow(let isActive, let answer):
            core.isFlowActive = isActive
            guard mayAnswer() else { return }
            send(answer, on: core.number)
            pump(core)
        case .closed(let error, let calls, let spared, let answer):
            if let answer { send(answer, on: core.number) }
            channels.removeValue(forKey: core.number)
            // First, so that who hears of a failed call finds the channel closed.
            fail(core, error)
            for call in calls { core.calls.removeValue(forKey: call)?.finish(.failure(error)) }
            let interrupted = error.endingOthers(on: core.number)
            for call in spared { core.calls.removeValue(forKey: call)?.finish(.failure(interrupted)) }
        case .refuse(let call, let error):
            core.calls.removeValue(forKey: call)?.finish(.failure(error))
        case .violation(let error):
            perform(machine.failed(error))
        }
    }

    private func complete(
        _ call: ChannelStateMachine.CallID,
        _ method: Method,
        _ delivery: AMQPDelivery?,
        on core: ChannelCore
    ) {
        switch method {
        case .basicCancelOk(let cancelled): finishConsumer(cancelled.consumerTag, nil, on: core)
        case .basicGetEmpty: _ = core.gets.popFirst()
        case .basicRecoverOk: recovered(core)
        case .confirmSelectOk: core.isConfirming = true
        default: break
        }
        let isTaken =
            core.calls.removeValue(forKey: call)?
            .finish(.success(ChannelAnswer(method: method, delivery: delivery))) ?? false
        if let delivery, !isTaken { giveBack(delivery.tag.number, on: core) }
    }

    func finishConsumer(_ tag: String, _ error: AMQPError?, on core: ChannelCore) {
        guard let consumer = core.consumers.removeValue(forKey: tag) else { return }
        handOver(to: consumer, on: core)
        consumer.inbox.finish(error)
        for successor in consumer.successors { successor.finish(.success(())) }
    }

    /// Fails what runs on a channel that is gone.
    private func fail(_ core: ChannelCore, _ error: AMQPError) {
        let unfinished = core.unsent?.operation
        completeBody(core)
        // Publishes that came in just now fail like those before them; settlements find their delivery given back.
        let left = core.mailbox.close(error)
        let ofConsumers = error.code == .bodyTooLarge ? error.endingOthers(on: core.number) : error
        for consumer in core.consumers.values {
            consumer.arrived = DeliveryBuffer()
            consumer.inbox.discard(error.code == .closed ? nil : ofConsumers)
            for successor in consumer.successors { successor.finish(.failure(error.endingOthers(on: core.number))) }
        }
        core.consumers = [:]
        // What the broker refused was another call, unless it names a publish: which one, it does not say.
        let ofPublishes = error.reply?.method == "basic.publish" ? error : error.endingOthers(on: core.number)
        let unsent = ofPublishes.publishing(wasSent: false)
        unfinished?.finish(.failure(unsent))
        for submission in left.publishes { core.waiting.append(submission) }
        for operation in core.waiting.removeAll() { operation.finish(.failure(unsent)) }
        let lost = ofPublishes.publishing(wasSent: true)
        for operation in core.confirms?.abandonAll() ?? [] { operation.finish(.failure(lost)) }
        if let sweep = core.sweep { loop.cancel(sweep.timer) }
        core.sweep = nil
        if let timer = core.settlementTimer { loop.cancel(timer) }
        core.settlementTimer = nil
    }

    // MARK: Closing

    func close(_ channel: AMQPChannel) async {
        guard let core = channels[channel.number], core.instance == channel.instance else { return }
        drain(core)
        let waiter = Waiter<ChannelAnswer>()
        let timer = loop.schedule(after: options.closeTimeout) {
            waiter.finish(.failure(AMQPError(.timedOut, "no answer to channel.close")))
        }
        defer { loop.cancel(timer) }
        beginClosing(core, waiter, because: AMQPError(.closed, "channel \(core.number) was closed by this side"))
        // Every way in which this ends leaves the channel closed for its users.
        _ = try? await waiter.value("the goodbye of a channel")
    }

    func beginClosing(
        _ core: ChannelCore,
        _ waiter: Waiter<ChannelAnswer>?,
        because error: AMQPError,
        replyCode: UInt16 = 200,
        replyText: String = "goodbye"
    ) {
        let call = core.newCall(waiter)
        perform(core.machine.close(call, because: error, replyCode: replyCode, replyText: replyText), on: core)
        fail(core, error)
    }
}

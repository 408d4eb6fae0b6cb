internal import Transport

extension AMQPChannel {
    /// Starts a consumer.
    ///
    /// - Parameters:
    ///   - queue: The queue to consume.
    ///   - prefetch: How many unacknowledged deliveries the broker may have outstanding to this consumer; zero means no
    ///     limit. It bounds what waits in the process, too. Unless given, what ``setPrefetch(_:scope:)`` has said, or 100.
    ///   - noAck: The broker forgets a message once it is sent; nothing is to be acknowledged, and what the process
    ///     has not handled when it ends is lost.
    ///   - exclusive: Whether the queue is to have no other consumer.
    ///   - noLocal: Asks the broker to leave out what this connection publishes; RabbitMQ does not have it.
    ///   - tag: The consumer's name on this channel; chosen if not given.
    ///   - arguments: Checked before anything is sent.
    /// - Throws: ``AMQPError``: `.invalidArgument`; `.notFound`, `.resourceLocked`, `.accessRefused`, which close the
    ///   channel.
    public func consume(
        _ queue: String,
        prefetch: UInt16? = nil,
        noAck: Bool = false,
        exclusive: Bool = false,
        noLocal: Bool = false,
        tag: String? = nil,
        arguments: ConsumerArguments = [:]
    ) async throws(AMQPError) -> AMQPConsumer {
        try ShortString.checkPresent(queue, "queue")
        if let tag { try ShortString.check(tag, "tag") }
        if let prefetch { try arguments.validate(prefetch: prefetch, noAck: noAck) }
        return try await connection.consume(
            on: self,
            queue: queue,
            prefetch: prefetch,
            tag: tag,
            noAck: noAck,
            isExclusive: exclusive,
            noLocal: noLocal,
            arguments: arguments
        )
    }

    /// Fetches one message, or `nil` if none is ready.
    ///
    /// Each call is a round trip, and an empty queue answers at once: a loop of calls is no way to wait for messages.
    /// A consumer is the way to take more than a few. Not for streams.
    public func get(_ queue: String, noAck: Bool = false) async throws(AMQPError) -> AMQPDelivery? {
        try ShortString.checkPresent(queue, "queue")
        let answer = try await connection.call(.basicGet(.init(queue: queue, noAck: noAck)), on: self)
        return answer.delivery
    }

    /// Settles a delivery as done.
    ///
    /// Callable from any thread; returns at once. Acknowledgements leave within a millisecond or two, or as soon as a
    /// quarter of the prefetch has gathered, contiguous ones as a single frame, unless
    /// ``AMQPConnection/Options/coalescesAcknowledgements`` is off; rejections leave at once. A tag that is settled
    /// already is ignored.
    ///
    /// - Throws: ``AMQPError`` `.staleDelivery` for a tag of another channel, or of one that is closed: such a delivery
    ///   has gone back to its queue.
    public func acknowledge(_ tag: DeliveryTag) throws(AMQPError) {
        try settle(tag, as: .acknowledge)
    }

    /// Gives a delivery back to its queue, or drops it: to the dead-letter exchange, if the queue has one.
    ///
    /// - Throws: As ``acknowledge(_:)``.
    public func reject(_ tag: DeliveryTag, requeue: Bool) throws(AMQPError) {
        try settle(tag, as: .reject(requeue: requeue))
    }

    /// The same as ``reject(_:requeue:)`` with RabbitMQ's own method.
    ///
    /// - Throws: As ``acknowledge(_:)``.
    public func nack(_ tag: DeliveryTag, requeue: Bool) throws(AMQPError) {
        try settle(tag, as: .nack(requeue: requeue))
    }

    private func settle(_ tag: DeliveryTag, as settlement: AckCoalescer.Settlement) throws(AMQPError) {
        guard tag.instance == instance, let mustWake = mailbox.settle(tag.number, as: settlement) else {
            throw .stale(tag)
        }
        if mustWake { wake() }
    }
}

extension AMQPConnection {
    func consume(
        on channel: AMQPChannel,
        queue: String,
        prefetch: UInt16?,
        tag: String?,
        noAck: Bool,
        isExclusive: Bool,
        noLocal: Bool,
        arguments: ConsumerArguments
    ) async throws(AMQPError) -> AMQPConsumer {
        let core = try core(of: channel)
        let prefetch = prefetch ?? core.usualPrefetch
        try arguments.validate(prefetch: prefetch, noAck: noAck)
        let arguments = try arguments.fields()
        let tag = tag ?? core.newConsumerTag()
        if let last = core.consumers[tag], last.isAbandoned { try await waitForEnd(of: last, tag) }
        guard core.consumers[tag] == nil else {
            throw AMQPError(.invalidArgument, "channel \(core.number) has a consumer \"\(tag)\" already")
        }
        // Without acknowledgements the broker knows no prefetch.
        let unweighed = noAck ? 0 : Int(prefetch)
        let limits = ConsumerInbox.Limits(
            deliveries: max(options.inboxLimit, unweighed + 1),
            octets: max(1, options.inboxOctets),
            unweighed: unweighed
        )
        let inbox = ConsumerInbox(limits) { [weak self] in
            guard let self else { return }
            loop.execute { self.assumeIsolated { $0.resumeReading() } }
        }
        core.consumers[tag] = ChannelCore.Consumer(
            inbox: inbox,
            needsAcknowledgement: !noAck,
            takesDirectReplies: queue == "amq.rabbitmq.reply-to"
        )
        if !noAck { limitConsumers(to: prefetch, on: core) }
        do throws(AMQPError) {
            let consume = Method.BasicConsume(
                queue: queue,
                consumerTag: tag,
                noLocal: noLocal,
                noAck: noAck,
                isExclusive: isExclusive,
                arguments: arguments
            )
            _ = try await call(.basicConsume(consume), on: core)
        } catch {
            abandon(tag, inbox, on: core, isStarted: error.code != .invalidArgument)
            throw error
        }
        return AMQPConsumer(channel: channel, queue: queue, tag: tag, inbox: inbox)
    }

    /// Waits until the broker has ended a consumer that nobody takes from any more, and its name is free.
    private func waitForEnd(of consumer: ChannelCore.Consumer, _ tag: String) async throws(AMQPError) {
        let waiter = Waiter<Void>()
        let text = "\(stream.peer) did not end the earlier consumer \"\(tag)\" in \(options.callTimeout)"
        let timer = loop.schedule(after: options.callTimeout) { waiter.finish(.failure(AMQPError(.timedOut, text))) }
        defer { loop.cancel(timer) }
        consumer.successors.append(waiter)
        try await waiter.value("the end of an earlier consumer")
    }

    /// Asks the broker to end a consumer.
    func cancel(_ tag: String, _ inbox: ConsumerInbox, on channel: AMQPChannel) async throws(AMQPError) {
        let core = try core(of: channel)
        // The answer stands behind all that has been sent to the consumer.
        inbox.leave()
        _ = try await call(.basicCancel(.init(consumerTag: tag)), on: core)
    }

    /// Ends a consumer that nobody refers to any more.
    func dropped(_ tag: String, _ inbox: ConsumerInbox, on channel: AMQPChannel) {
        guard let core = channels[channel.number], core.instance == channel.instance else { return }
        abandon(tag, inbox, on: core, isStarted: true)
    }

    /// Ends a consumer whose caller has given up waiting for it; what has come for it goes back.
    private func abandon(_ tag: String, _ inbox: ConsumerInbox, on core: ChannelCore, isStarted: Bool) {
        guard let consumer = core.consumers[tag], consumer.inbox === inbox else { return }
        guard isStarted, core.machine.isOpen else {
            core.consumers.removeValue(forKey: tag)
            return
        }
        consumer.isAbandoned = true
        inbox.finish(nil)
        giveBack(inbox.takeAvailable(.max), on: core)
        begin(.basicCancel(.init(consumerTag: tag)), nil, on: core)
    }
}

extension AMQPChannel {
    /// Whom a prefetch limits.
    public enum PrefetchScope: Hashable, Sendable {
        /// Each consumer that is started afterwards and is given no prefetch of its own, by itself.
        case consumer
        /// All consumers of the channel together, those that run included; not for quorum queues and streams.
        case channel
    }

    /// Limits the deliveries that may be unsettled at once.
    ///
    /// - Parameters:
    ///   - prefetch: Messages; zero means no limit.
    ///   - scope: Where both limits are set, both hold. RabbitMQ lifts the channel's for a moment when a consumer with
    ///     another prefetch than the one before is started.
    /// - Throws: ``AMQPError``, if the channel ends or does not answer in time.
    /// - SeeAlso: AMQP 0-9-1 `basic.qos`; RabbitMQ reads `global = false` as "per consumer".
    public func setPrefetch(_ prefetch: UInt16, scope: PrefetchScope = .consumer) async throws(AMQPError) {
        try await connection.setPrefetch(prefetch, scope, on: self)
    }

    /// Turns confirmations on, which the first confirmed publish does by itself.
    ///
    /// - Throws: ``AMQPError``: `.channelMode` on a channel with transactions.
    /// - SeeAlso: RabbitMQ, `confirm.select`.
    public func selectConfirms() async throws(AMQPError) {
        try await connection.selectConfirms(on: self)
    }

    /// Has the broker put publishes and settlements of this channel into effect only with ``commit()``.
    ///
    /// Publish with ``publishUnconfirmed(_:timeout:)``; ``publish(_:timeout:)->()`` fails with `.channelMode`, as a
    /// channel either confirms or is transactional. Each commit waits for the broker's disk, one after the other, so
    /// commit many at once; confirmations give a message the same safety, and nothing stands still for them.
    ///
    /// - Throws: ``AMQPError``: `.channelMode` on a channel that confirms.
    /// - SeeAlso: AMQP 0-9-1 `tx.select`.
    public func selectTransactions() async throws(AMQPError) {
        try await connection.selectTransactions(on: self)
    }

    /// Puts into effect what was published and settled since the last commit, and waits until that is done.
    ///
    /// - Throws: ``AMQPError``: `.channelMode` without ``selectTransactions()``.
    /// - SeeAlso: AMQP 0-9-1 `tx.commit`; RabbitMQ commits what concerns one queue as a whole, not several.
    public func commit() async throws(AMQPError) {
        try await connection.endTransaction(with: .txCommit, on: self)
    }

    /// Forgets what was published and settled since the last commit.
    ///
    /// Deliveries whose settlement is forgotten are on loan again; ``recover()`` or closing the channel gives them
    /// back to their queue.
    ///
    /// - Throws: ``AMQPError``: `.channelMode` without ``selectTransactions()``.
    /// - SeeAlso: AMQP 0-9-1 `tx.rollback`.
    public func rollback() async throws(AMQPError) {
        try await connection.endTransaction(with: .txRollback, on: self)
    }

    /// Gives all unsettled deliveries of the channel back to their queues, to be delivered again to anyone.
    ///
    /// Those that have arrived and were not taken yet are gone from their consumers; settling one afterwards is
    /// ignored.
    ///
    /// - Throws: ``AMQPError``, if the channel ends or does not answer in time.
    /// - SeeAlso: AMQP 0-9-1 `basic.recover`; RabbitMQ has it with `requeue` only.
    public func recover() async throws(AMQPError) {
        try await connection.recover(self)
    }

    /// Asks the broker to stop sending deliveries of this channel, or to go on.
    ///
    /// RabbitMQ does not have the stopping, and closes the connection for it (540): limit the prefetch instead.
    ///
    /// - Throws: ``AMQPError``, if the channel ends or does not answer in time.
    /// - SeeAlso: AMQP 0-9-1 `channel.flow`.
    public func setFlow(isActive: Bool) async throws(AMQPError) {
        _ = try await connection.call(.channelFlow(.init(isActive: isActive)), on: self)
    }

    /// Calls back with mandatory messages that came back and were published with ``publishUnconfirmed(_:timeout:)``.
    ///
    /// Also on a channel that confirms others. A confirmed publish tells its caller by itself. The callback runs as those of
    /// ``AMQPConnection/onClose(_:)`` do; when a thousand messages wait for it the connection stops reading. A later one
    /// replaces it.
    public func onReturn(_ body: @escaping @Sendable (ReturnedMessage, AMQPMessage) -> Void) {
        mailbox.onReturn(body)
    }
}

extension AMQPConnection {
    func setPrefetch(
        _ prefetch: UInt16,
        _ scope: AMQPChannel.PrefetchScope,
        on channel: AMQPChannel
    ) async throws(AMQPError) {
        let core = try core(of: channel)
        switch scope {
        case .channel:
            core.channelPrefetch = prefetch
        case .consumer:
            core.usualPrefetch = prefetch
            core.consumerPrefetch = prefetch
            let limit = Method.basicQos(.init(prefetchSize: 0, prefetchCount: prefetch))
            guard core.channelPrefetch > 0 else {
                _ = try await call(limit, on: core)
                return
            }
            begin(limit, nil, on: core)
        }
        _ = try await call(Self.channelLimit(core), on: core)
    }

    /// Limits the consumers to come, unless they are limited so.
    func limitConsumers(to prefetch: UInt16, on core: ChannelCore) {
        guard core.consumerPrefetch != prefetch else { return }
        core.consumerPrefetch = prefetch
        begin(.basicQos(.init(prefetchSize: 0, prefetchCount: prefetch)), nil, on: core)
        // RabbitMQ has just lifted the channel's own limit along with it.
        if core.channelPrefetch > 0 { begin(Self.channelLimit(core), nil, on: core) }
    }

    private static func channelLimit(_ core: ChannelCore) -> Method {
        .basicQos(.init(prefetchSize: 0, prefetchCount: core.channelPrefetch, isGlobal: true))
    }

    func selectConfirms(on channel: AMQPChannel) async throws(AMQPError) {
        let core = try core(of: channel)
        guard !core.isTransactional else { throw .mode("is transactional, and does not confirm", core.number) }
        guard core.confirms == nil else { return }
        core.confirms = ConfirmTracker()
        _ = try await call(.confirmSelect(.init()), on: core)
    }

    func selectTransactions(on channel: AMQPChannel) async throws(AMQPError) {
        let core = try core(of: channel)
        guard core.confirms == nil else { throw .mode("confirms, and takes no transactions", core.number) }
        guard !core.isTransactional else { return }
        core.isTransactional = true
        // Acknowledging several at once would pass over those that a rollback has put back on loan.
        core.acks.isCoalescing = false
        _ = try await call(.txSelect, on: core)
    }

    func endTransaction(with method: Method, on channel: AMQPChannel) async throws(AMQPError) {
        let core = try core(of: channel)
        guard core.isTransactional else { throw .mode("has no transactions; select them first", core.number) }
        drain(core)
        _ = try await call(method, on: core)
    }

    func recover(_ channel: AMQPChannel) async throws(AMQPError) {
        let core = try core(of: channel)
        drain(core)
        core.recoveries += 1
        _ = try await call(.basicRecover(.init(requeue: true)), on: core)
    }

    /// Whatever came before `recover-ok` is back in its queue, and its tags mean nothing any more.
    func recovered(_ core: ChannelCore) {
        core.recoveries -= 1
        core.acks.forgetAll()
        for consumer in core.consumers.values where consumer.needsAcknowledgement {
            consumer.arrived = DeliveryBuffer()
            consumer.inbox.dropAvailable()
        }
    }
}

extension AMQPError {
    static func mode(_ text: String, _ channel: UInt16) -> AMQPError {
        AMQPError(.channelMode, "channel \(channel) \(text)")
    }
}

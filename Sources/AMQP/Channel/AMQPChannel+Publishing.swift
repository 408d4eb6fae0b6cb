extension AMQPChannel {
    /// Publishes a message and waits until the broker has taken responsibility for it.
    ///
    /// Publishes of many tasks share writes and confirmations. The wait includes back-pressure: a full window, a slow
    /// stream, a broker that blocks publishers. The first call turns confirmations on for the channel.
    ///
    /// - Parameters:
    ///   - message: Where to publish, and what.
    ///   - timeout: `Options.publishTimeout` unless given.
    /// - Throws: ``AMQPError``: `.returned` if the message is mandatory and no queue took it; `.nacked`; `.blocked`;
    ///   `.bodyTooLarge` and `.invalidArgument` before anything is sent; `.timedOut`, `.cancelled` and what closes
    ///   channels, after which ``AMQPError/isOutcomeUnknown`` tells whether the message may have arrived.
    /// - SeeAlso: RabbitMQ, "Consumer Acknowledgements and Publisher Confirms".
    public func publish(_ message: AMQPMessage, timeout: Duration? = nil) async throws(AMQPError) {
        let waiter = try submit(message, timeout: timeout, endsWhenSent: false)
        do throws(AMQPError) {
            try await waiter.value("the confirmation of a publish")
        } catch {
            forget(1, because: error)
            throw error
        }
    }

    /// Publishes a message and waits only until it has been written: whether it arrives, nobody tells.
    public func publishUnconfirmed(_ message: AMQPMessage, timeout: Duration? = nil) async throws(AMQPError) {
        let waiter = try submit(message, timeout: timeout, endsWhenSent: true)
        do throws(AMQPError) {
            try await waiter.value("room for a publish")
        } catch {
            forget(1, because: error)
            throw error
        }
    }

    /// Publishes messages in order and waits for all their confirmations together.
    ///
    /// - Returns: For each message, in order, what ``publish(_:timeout:)->()`` would have returned or thrown.
    public func publish(_ messages: [AMQPMessage], timeout: Duration? = nil) async -> [Result<Void, AMQPError>] {
        guard !messages.isEmpty else { return [] }
        let deadline = ContinuousClock.now + (timeout ?? connection.options.publishTimeout)
        let batch = PublishBatch(messages, deadline: deadline)
        for index in messages.indices {
            if let error = problem(messages[index]) { batch.finish(index, .failure(error)) }
        }
        do throws(AMQPError) {
            if try mailbox.publish(.batch(batch)) { wake() }
        } catch {
            return batch.results(otherwise: error)
        }
        do throws(AMQPError) {
            try await batch.waiter.value("the confirmations of a batch")
            return batch.results(otherwise: AMQPError(.timedOut, "not confirmed", isOutcomeUnknown: true))
        } catch {
            forget(messages.count, because: error)
            return batch.results(otherwise: error)
        }
    }

    /// Has the loop drop messages that nobody waits for any more, which would else keep their place and their memory.
    private func forget(_ count: Int, because error: AMQPError) {
        if error.code == .cancelled, mailbox.cancelled(count) { wake() }
    }

    private func submit(
        _ message: AMQPMessage,
        timeout: Duration?,
        endsWhenSent: Bool
    ) throws(AMQPError) -> Waiter<Void> {
        if let error = problem(message) { throw error }
        let deadline = ContinuousClock.now + (timeout ?? connection.options.publishTimeout)
        let call = PublishCall(message, deadline: deadline, endsWhenSent: endsWhenSent)
        if try mailbox.publish(.one(call)) { wake() }
        return call.waiter
    }

    /// What is wrong with a message, before anything of it is sent.
    private func problem(_ message: AMQPMessage) -> AMQPError? {
        do throws(AMQPError) {
            try ShortString.check(message.exchange, "exchange")
            try ShortString.check(message.routingKey, "routing key")
        } catch {
            return error
        }
        let (count, limit) = (message.body.count, connection.options.maximumPublishSize)
        guard count > limit else { return nil }
        return AMQPError(.bodyTooLarge, "a body of \(count) octets exceeds the limit of \(limit)")
    }
}

internal import Synchronization

extension RecoveringChannel {
    /// Publishes a message and waits until the broker has taken responsibility for it.
    ///
    /// During an outage it waits for the next connection, as `Options.duringOutage` tells. A message that had been sent
    /// when the connection was lost fails, or is sent again.
    ///
    /// - Parameters:
    ///   - message: Where to publish, and what.
    ///   - timeout: For everything together; `Options.connection.publishTimeout` unless given.
    ///   - whenLost: `Options.whenLost` unless given.
    /// - Throws: ``AMQPError``: as ``AMQPChannel/publish(_:timeout:)->()``, and `.recovering` if it cannot wait. With
    ///   ``AMQPError/isOutcomeUnknown`` the message may have arrived all the same.
    public func publish(
        _ message: AMQPMessage,
        timeout: Duration? = nil,
        whenLost: RecoveringConnection.LostPublish? = nil
    ) async throws(AMQPError) {
        let timeout = timeout ?? connection.options.connection.publishTimeout
        var attempt = PublishRecovery(whenLost ?? connection.options.whenLost, deadline: .now + timeout)
        if let channel = gate.current {
            do throws(AMQPError) {
                return try await channel.publish(message, timeout: timeout)
            } catch {
                try attempt.failed(error, message)
                attempt.dead = channel
            }
        }
        try await publish(message, attempt, isConfirmed: true)
    }

    /// Publishes a message and waits only until it has been written: whether it arrives, nobody tells.
    ///
    /// During an outage it waits, as ``publish(_:timeout:whenLost:)->()`` does.
    public func publishUnconfirmed(_ message: AMQPMessage, timeout: Duration? = nil) async throws(AMQPError) {
        let timeout = timeout ?? connection.options.connection.publishTimeout
        let attempt = PublishRecovery(.report, deadline: .now + timeout)
        try await publish(message, attempt, isConfirmed: false)
    }

    private func publish(
        _ message: AMQPMessage,
        _ attempt: PublishRecovery,
        isConfirmed: Bool
    ) async throws(AMQPError) {
        var attempt = attempt
        while true {
            let channel = try await next(attempt, messages: 1, octets: message.body.count)
            attempt.dead = channel
            do throws(AMQPError) {
                if isConfirmed { return try await channel.publish(message, timeout: attempt.remaining) }
                return try await channel.publishUnconfirmed(message, timeout: attempt.remaining)
            } catch {
                try attempt.failed(error, message)
            }
        }
    }

    /// Publishes messages in order and waits for all their confirmations together.
    ///
    /// Those that are sent again after a loss come after the others.
    ///
    /// - Returns: For each message, in order, what ``publish(_:timeout:whenLost:)->()`` would have returned or thrown.
    public func publish(
        _ messages: [AMQPMessage],
        timeout: Duration? = nil,
        whenLost: RecoveringConnection.LostPublish? = nil
    ) async -> [Result<Void, AMQPError>] {
        let deadline = ContinuousClock.now + (timeout ?? connection.options.connection.publishTimeout)
        let first = PublishRecovery(whenLost ?? connection.options.whenLost, deadline: deadline)
        var attempts = Array(repeating: first, count: messages.count)
        var results = [Result<Void, AMQPError>](repeating: .success(()), count: messages.count)
        var left = Array(messages.indices)
        var dead: AMQPChannel?
        while !left.isEmpty {
            let channel: AMQPChannel
            do throws(AMQPError) {
                let octets = left.reduce(0) { $0 + messages[$1].body.count }
                var attempt = first
                attempt.dead = dead
                channel = try await next(attempt, messages: left.count, octets: octets)
            } catch {
                for index in left { results[index] = .failure(attempts[index].judged(error)) }
                return results
            }
            dead = channel
            let batch = left.count == messages.count ? messages : left.map { messages[$0] }
            let outcomes = await channel.publish(batch, timeout: first.remaining)
            var again: [Int] = []
            for (index, outcome) in zip(left, outcomes) {
                guard case .failure(let error) = outcome else { continue }
                do throws(AMQPError) {
                    try attempts[index].failed(error, messages[index])
                    again.append(index)
                } catch {
                    results[index] = .failure(error)
                }
            }
            left = again
        }
        return results
    }

    /// The channel to publish on, now or when there is one.
    private func next(
        _ attempt: PublishRecovery,
        messages: Int,
        octets: Int
    ) async throws(AMQPError) -> AMQPChannel {
        if let channel = gate.current, channel !== attempt.dead { return channel }
        if let error = connection.outage.withLock({ $0.enter(messages: messages, octets: octets) }) {
            throw attempt.judged(error)
        }
        defer { connection.outage.withLock { $0.leave(messages: messages, octets: octets) } }
        do throws(AMQPError) {
            return try await gate.value(besides: attempt.dead, before: attempt.deadline)
        } catch {
            throw attempt.judged(error)
        }
    }
}

/// Judges the failures of one publish: whether it is made again, and whether it may have arrived.
struct PublishRecovery: Sendable {
    let whenLost: RecoveringConnection.LostPublish
    let deadline: ContinuousClock.Instant
    /// The channel that it failed on last.
    var dead: AMQPChannel?
    private var mayHaveArrived = false

    init(_ whenLost: RecoveringConnection.LostPublish, deadline: ContinuousClock.Instant) {
        self.whenLost = whenLost
        self.deadline = deadline
    }

    var remaining: Duration { max(.milliseconds(1), ContinuousClock.now.duration(to: deadline)) }

    /// The failure of a wait for the next channel, during which nothing was sent.
    func judged(_ error: AMQPError) -> AMQPError {
        error.publishing(wasSent: mayHaveArrived)
    }

    /// Returns if it is to be made again.
    ///
    /// - Throws: What the caller is to be told.
    mutating func failed(_ error: AMQPError, _ message: AMQPMessage) throws(AMQPError) {
        if Self.blames(error, message) { throw error.publishing(wasSent: mayHaveArrived) }
        let isAgain = error.isOutcomeUnknown ? whenLost == .republish && error.endsThrough : error.endsUnsent
        mayHaveArrived = mayHaveArrived || error.isOutcomeUnknown
        guard isAgain, ContinuousClock.now < deadline else { throw error.publishing(wasSent: mayHaveArrived) }
    }

    /// Whether the broker closed the channel because of this very message, which then went nowhere.
    private static func blames(_ error: AMQPError, _ message: AMQPMessage) -> Bool {
        guard error.isOutcomeUnknown else { return false }
        return switch error.code {
        case .notFound, .accessRefused: error.message.contains("exchange '\(message.exchange)'")
        case .preconditionFailed: error.reply?.blames(message) ?? false
        default: false
        }
    }
}

extension AMQPError {
    /// Whether the channel ended by itself or through another's fault, so that what had been sent may be sent again.
    fileprivate var endsThrough: Bool {
        switch code {
        // Another publish, which names its exchange, was to blame.
        case .notFound, .accessRefused: replyCode != nil
        // Only if it is told which one: sent again, the guilty one would close one channel after the other.
        case .preconditionFailed: reply?.blamesMessage ?? false
        default: isInterruption
        }
    }

    /// Whether a publish that was not sent may be made on the next channel.
    fileprivate var endsUnsent: Bool {
        switch code {
        case .connectionLost, .connectionClosed, .heartbeatMissed, .protocolViolation, .channelClosed, .closed: true
        // Of the channel, not of this message.
        case .notFound, .accessRefused, .preconditionFailed, .resourceLocked, .bodyTooLarge: replyCode != nil
        default: false
        }
    }
}

internal import AMQP
internal import CeleriacCore
internal import Synchronization

/// A subscription that outlives its connections: after a loss it subscribes again, while those who wait go on waiting.
final class AMQPMessageConsumer: MessageConsumer {
    private enum Phase {
        case subscribed(Subscription)
        case recovering(Task<Void, Never>, end: SharedAttempt<Void>)
        case failed(AMQPError)
        case stopped
    }

    private let queues: [QueueDeclaration]
    private let prefetch: Int
    private let connections: ConnectionKeeper
    private let logger: TaskLogger
    private let phase = Mutex<Phase?>(nil)

    init(queues: [QueueDeclaration], prefetch: Int, connections: ConnectionKeeper, logger: TaskLogger) {
        self.queues = queues
        self.prefetch = prefetch
        self.connections = connections
        self.logger = logger
    }

    /// Subscribes for the first time; unlike later losses, a failure now is the caller's to see.
    func start(before deadline: ContinuousClock.Instant) async throws(AMQPError) {
        let subscription = try await subscribe(before: deadline)
        phase.withLock { $0 = .subscribed(subscription) }
    }

    func next() async throws(CeleriacError) -> Delivery? {
        while true {
            switch phase.withLock({ $0 }) {
            case .subscribed(let subscription):
                do throws(AMQPError) {
                    if let delivery = try await subscription.next() { return delivery }
                    recover(from: subscription, because: nil)
                } catch {
                    if error.code == .cancelled { throw CeleriacError(error, attempting: "wait for a message") }
                    recover(from: subscription, because: error)
                }
            case .recovering(_, let end):
                do throws(AMQPError) {
                    try await end.outcome().get()
                } catch {
                    throw CeleriacError(error, attempting: "wait for a message")
                }
            case .failed(let error): throw CeleriacError(error, attempting: "consume \(names)")
            case .stopped, nil: return nil
            }
        }
    }

    func stop() async {
        let before = phase.withLock { phase in
            defer { phase = .stopped }
            return phase
        }
        switch before {
        case .subscribed(let subscription): await subscription.stop()
        case .recovering(let task, _):
            task.cancel()
            await task.value
        case .failed, .stopped, nil: break
        }
    }

    /// Whether nothing comes any more.
    var hasEnded: Bool {
        switch phase.withLock({ $0 }) {
        case .subscribed, .recovering, nil: false
        case .failed, .stopped: true
        }
    }

    /// Whether it is subscribing again, for tests.
    var isRecovering: Bool {
        if case .recovering = phase.withLock({ $0 }) { true } else { false }
    }

    private var names: String { queues.map(\.name.rawValue).joined(separator: ", ") }

    private func subscribe(before deadline: ContinuousClock.Instant) async throws(AMQPError) -> Subscription {
        let connection = try await connections.connection(before: deadline)
        for queue in queues {
            _ = try await connection.declareOrAdopt(queue.name.rawValue, arguments: queue.arguments)
            try await bindToDelays(queue.name, on: connection)
        }
        let channel = try await connection.openChannel()
        var consumers: [(QueueName, AMQPConsumer)] = []
        do throws(AMQPError) {
            for (index, queue) in queues.enumerated() {
                let share = prefetch / queues.count + (index < prefetch % queues.count ? 1 : 0)
                let count = UInt16(clamping: max(1, share))  // zero would mean no limit
                consumers.append((queue.name, try await channel.consume(queue.name.rawValue, prefetch: count)))
            }
        } catch {
            await channel.close()
            throw error
        }
        return Subscription(channel: channel, consumers: consumers, logger: logger)
    }

    /// A queue that was deleted and declared again has lost its binding, which its producers believe to exist: without
    /// it, what they delay would be dropped when it is due.
    private func bindToDelays(_ queue: QueueName, on connection: AMQPConnection) async throws(AMQPError) {
        do throws(AMQPError) {
            try await DelayLadder.bind(queue.rawValue, on: connection)
        } catch {
            guard error.isRefusal else { throw error }
            logger.warning(
                "queue cannot be bound for delayed messages",
                metadata: [("queue", queue.rawValue), ("error", error.description)]
            )
        }
    }

    /// Starts to subscribe again, once for all the lanes that notice.
    private func recover(from lost: Subscription, because error: AMQPError?) {
        let isFirst = phase.withLock { phase in
            guard case .subscribed(let current) = phase, current === lost else { return false }
            let end = SharedAttempt<Void>()
            // Ends with a subscription, a refusal, or `stop()`, which waits for it.
            let task = Task {
                await subscribeAgain(after: lost, because: error)
                end.finish(.success(()))
            }
            phase = .recovering(task, end: end)
            return true
        }
        guard isFirst else { return }
        logger.log(
            level: Self.level(of: error),
            "subscription lost; subscribing again",
            metadata: [("queues", names), ("error", error?.description ?? "ended")]
        )
    }

    private static func level(of loss: AMQPError?) -> LogLevel {
        // A queue that was deleted took its messages along.
        if loss?.code == .consumerCancelled { return .error }
        return isToldOtherwise(loss) ? .debug : .warning
    }

    /// Whether the connection is what was lost, of which its keeper tells once for all that it carried.
    private static func isToldOtherwise(_ error: AMQPError?) -> Bool { error?.isLossOfConnection ?? false }

    private func subscribeAgain(after lost: Subscription, because loss: AMQPError?) async {
        // With several queues, the others' consumers live on when the broker cancels one: their messages go back.
        await lost.stop()
        var generator = SystemRandomNumberGenerator()
        var attempt = 0
        var isKnown = false
        while !Task.isCancelled {
            do throws(AMQPError) {
                let subscription = try await subscribe(before: .now + .seconds(600))
                let isWanted = phase.withLock { phase in
                    guard case .recovering = phase else { return false }
                    phase = .subscribed(subscription)
                    return true
                }
                guard isWanted else { return await subscription.stop() }
                let level = Self.isToldOtherwise(loss) && !isKnown ? LogLevel.debug : .notice
                return logger.log(level: level, "consuming again", metadata: [("queues", names)])
            } catch {
                if error.isPermanent(hasLoggedIn: false) || error.code == .closed {
                    return phase.withLock { phase in
                        if case .recovering = phase { phase = error.code == .closed ? .stopped : .failed(error) }
                    }
                }
                if error.code != .cancelled {
                    // Once for each recovery, however long it takes; and the connection's own end is told already.
                    let isNews = !isKnown && !Self.isToldOtherwise(error)
                    isKnown = isKnown || isNews
                    logger.log(
                        level: isNews ? .warning : .debug,
                        "cannot subscribe; trying again",
                        metadata: [("queues", names), ("error", error.description)]
                    )
                }
            }
            try? await Task.sleep(for: ReconnectPolicy().delay(attempt: attempt, using: &generator))
            attempt += 1
        }
    }
}

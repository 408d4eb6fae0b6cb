internal import AMQP
public import CeleriacCore
internal import Synchronization

/// A broker that speaks AMQP 0-9-1 to RabbitMQ.
///
/// Two connections: one publishes, one consumes, so that a broker which blocks publishers for lack of memory still gets
/// its acknowledgements. Each is opened when first needed and again after a loss.
public final class AMQPBroker: Broker {
    /// What is known to exist, as long as one connection lives.
    struct Declared {
        var queues: Set<QueueName> = []
        var delayedQueues: Set<QueueName> = []
        var hasLadder = false
    }

    private struct State {
        var declared = Declared()
        var epoch: ObjectIdentifier?
        var publishChannel: AMQPChannel?
        var toolChannel: AMQPChannel?
        var consumers: [AMQPMessageConsumer] = []
        var isClosed = false
    }

    /// The broker's address without the password.
    public let address: String
    let consuming: ConnectionKeeper
    let logger: TaskLogger
    private let publishing: ConnectionKeeper
    private let state = Mutex(State())

    /// A broker at a URL; connects when first used.
    ///
    /// - Parameter url: `amqp://user:password@host:port/vhost`.
    /// - Throws: ``CeleriacError`` `.configuration` for a URL that cannot be read, `.unsupported` for `amqps://`.
    public init(
        _ url: ServerURL,
        clientName: String,
        maximumBodySize: Int = 16 << 20,
        logger: TaskLogger = .silent
    ) throws(CeleriacError) {
        let uri: AMQPURI
        do {
            uri = try AMQPURI(url.secret)
        } catch {
            throw CeleriacError(error, attempting: "use the broker URL \(url)")
        }
        let logger = logger.labelled("celeriac.amqp")
        self.logger = logger
        address = "\(uri)"
        func keeper(_ role: String) -> ConnectionKeeper {
            var options = AMQPConnection.Options()
            options.name = "\(clientName) (\(role))"
            options.maximumPublishSize = maximumBodySize
            return ConnectionKeeper(uri: uri, options: options, policy: ReconnectPolicy(), logger: logger)
        }
        publishing = keeper("publishing")
        consuming = keeper("consuming")
    }

    /// Connects now.
    public func open(within timeout: Duration) async throws(CeleriacError) {
        do {
            _ = try await publishing.connection(before: .now + timeout)
        } catch {
            throw CeleriacError(error, attempting: "connect to \(address)")
        }
    }

    // MARK: Declaring

    /// Creates a queue, or adopts the one of that name as it stands.
    public func declare(_ queue: QueueDeclaration) async throws(CeleriacError) -> String? {
        do {
            let connection = try await publishing.connection(before: .now + .seconds(30))
            let difference = try await connection.declareOrAdopt(queue.name.rawValue, arguments: queue.arguments)
            remember(on: connection) { $0.queues.insert(queue.name) }
            return difference
        } catch {
            throw CeleriacError(error, attempting: "declare queue \(queue.name)")
        }
    }

    private func remember(on connection: AMQPConnection, _ change: (inout Declared) -> Void) {
        state.withLock { state in
            Self.enter(connection, &state)
            change(&state.declared)
        }
    }

    /// What was declared over an earlier connection may be gone with the server's data.
    private static func enter(_ connection: AMQPConnection, _ state: inout State) {
        guard state.epoch != ObjectIdentifier(connection) else { return }
        state.epoch = ObjectIdentifier(connection)
        state.declared = Declared()
        state.publishChannel = nil
    }

    // MARK: Publishing

    /// Hands a message over; returns once it is confirmed.
    public func publish(
        _ message: Message,
        to route: Route,
        delay: Duration?,
        within timeout: Duration
    ) async throws(CeleriacError) {
        let deadline = ContinuousClock.now + timeout
        var outgoing = AMQPMessage(message, exchange: route.exchange, routingKey: route.routingKey)
        let seconds = delay.map { $0.components.seconds } ?? 0
        if seconds > 0 {
            guard seconds < 1 << DelayLadder.levels else {
                throw CeleriacError(.configuration, "a delay of \(seconds) s is longer than \(DelayLadder.longestDelay)")
            }
            outgoing.exchange = DelayLadder.entrance
            outgoing.routingKey = DelayLadder.routingKey(seconds: seconds, queue: route.routingKey)
        }
        var isIndeterminate = false
        var wasReturned = false
        while true {
            do throws(AMQPError) {
                let connection = try await publishing.connection(before: deadline)
                try await prepare(route, isDelayed: seconds > 0, on: connection)
                let channel = try await publishChannel(on: connection)
                let remaining = ContinuousClock.now.duration(to: deadline)
                return try await channel.publish(outgoing, timeout: max(.milliseconds(1), remaining))
            } catch {
                isIndeterminate = isIndeterminate || error.isOutcomeUnknown
                let isOver = ContinuousClock.now >= deadline || state.withLock { $0.isClosed }
                // A queue that was deleted since it was declared is declared once more.
                let mayBeDeclaredAgain = error.code == .returned && route.queue != nil && !wasReturned
                guard !isOver, error.isLoss || mayBeDeclaredAgain else {
                    throw CeleriacError(
                        error,
                        attempting: "publish to \(route.exchange.isEmpty ? "queue" : route.exchange) \(route.routingKey)",
                        isIndeterminate: isIndeterminate
                    )
                }
                if mayBeDeclaredAgain {
                    wasReturned = true
                    state.withLock { $0.declared = Declared() }
                }
                if isIndeterminate { outgoing.properties.headers?["redelivered-by-producer"] = true }
            }
        }
    }

    private func prepare(_ route: Route, isDelayed: Bool, on connection: AMQPConnection) async throws(AMQPError) {
        let (hasQueue, hasLadder, hasDelay) = state.withLock { state in
            Self.enter(connection, &state)
            let declared = state.declared
            let name = QueueName(route.routingKey)
            return (
                route.queue.map { declared.queues.contains($0.name) } ?? true,
                declared.hasLadder,
                declared.delayedQueues.contains(name)
            )
        }
        if !hasQueue, let queue = route.queue {
            if let difference = try await connection.declareOrAdopt(queue.name.rawValue, arguments: queue.arguments) {
                logger.warning(
                    "queue exists with other properties; using it as it stands",
                    metadata: [("queue", queue.name.rawValue), ("difference", difference)]
                )
            }
            remember(on: connection) { $0.queues.insert(queue.name) }
        }
        guard isDelayed else { return }
        if !hasLadder {
            try await DelayLadder.declare(on: connection)
            remember(on: connection) { $0.hasLadder = true }
        }
        if !hasDelay {
            try await DelayLadder.bind(route.routingKey, on: connection)
            remember(on: connection) { $0.delayedQueues.insert(QueueName(route.routingKey)) }
        }
    }

    private func publishChannel(on connection: AMQPConnection) async throws(AMQPError) -> AMQPChannel {
        if let channel = state.withLock({ state in
            Self.enter(connection, &state)
            return state.publishChannel
        }), channel.closeReason == nil {
            return channel
        }
        let opened = try await connection.openChannel()
        // Of several opened at once the first stays.
        let channel = state.withLock { state in
            Self.enter(connection, &state)
            if let channel = state.publishChannel, channel.closeReason == nil { return channel }
            state.publishChannel = opened
            return opened
        }
        if channel !== opened { await opened.close() }
        return channel
    }

    // MARK: Consuming

    /// Starts to consume queues, declaring them first.
    ///
    /// RabbitMQ counts prefetch by consumer, so it is shared out evenly between the queues, at least one for each.
    public func consume(
        _ queues: [QueueDeclaration],
        prefetch: Int
    ) async throws(CeleriacError) -> any MessageConsumer {
        guard !queues.isEmpty else { throw CeleriacError(.configuration, "a consumer needs at least one queue") }
        let consumer = AMQPMessageConsumer(
            queues: queues,
            prefetch: prefetch,
            connections: consuming,
            logger: logger
        )
        do {
            try await consumer.start(before: .now + .seconds(30))
        } catch {
            throw CeleriacError(error, attempting: "consume \(queues.map(\.name.rawValue).joined(separator: ", "))")
        }
        state.withLock { $0.consumers.append(consumer) }
        return consumer
    }

    /// Takes one message without subscribing.
    public func get(_ queue: QueueName) async throws(CeleriacError) -> Delivery? {
        do {
            let channel = try await toolChannel()
            guard let delivery = try await channel.get(queue.rawValue) else { return nil }
            return Delivery(delivery, from: queue, source: ChannelSource(channel))
        } catch {
            throw CeleriacError(error, attempting: "get a message from queue \(queue)")
        }
    }

    /// A channel that stays open for the deliveries of `get`.
    private func toolChannel() async throws(AMQPError) -> AMQPChannel {
        if let channel = state.withLock({ $0.toolChannel }), channel.closeReason == nil { return channel }
        let connection = try await consuming.connection(before: .now + .seconds(30))
        let channel = try await connection.openChannel()
        state.withLock { $0.toolChannel = channel }
        return channel
    }

    // MARK: Looking and clearing

    /// Messages ready in a queue; `nil` if there is no such queue.
    public func depth(of queue: QueueName) async throws(CeleriacError) -> Int? {
        do {
            let connection = try await publishing.connection(before: .now + .seconds(30))
            return try await connection.withSetupChannel { channel throws(AMQPError) in
                try await channel.declareQueue(queue.rawValue, passive: true).messageCount
            }
        } catch {
            if error.code == .notFound { return nil }
            throw CeleriacError(error, attempting: "count the messages of queue \(queue)")
        }
    }

    /// Drops all ready messages of a queue.
    @discardableResult
    public func purge(_ queue: QueueName) async throws(CeleriacError) -> Int {
        do {
            let connection = try await publishing.connection(before: .now + .seconds(30))
            return try await connection.withSetupChannel { channel throws(AMQPError) in
                try await channel.purgeQueue(queue.rawValue)
            }
        } catch {
            throw CeleriacError(error, attempting: "purge queue \(queue)")
        }
    }

    /// Sends what is buffered and disconnects.
    public func close(grace: Duration) async {
        let consumers = state.withLock { state in
            state.isClosed = true
            defer { state.consumers = [] }
            return state.consumers
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [publishing, consuming] in
                for consumer in consumers { await consumer.stop() }
                await consuming.close()
                await publishing.close()
            }
            group.addTask { try? await Task.sleep(for: grace) }
            await group.next()
            group.cancelAll()  // a close that is cancelled cuts its connection
        }
    }
}

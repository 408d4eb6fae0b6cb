internal import AMQP
public import CeleriacCore
internal import Synchronization

/// A broker that speaks AMQP 0-9-1 to RabbitMQ.
///
/// Two connections: one publishes, one consumes, so that a broker which blocks publishers for lack of memory still gets
/// its acknowledgements. Each is opened when first needed and again after a loss.
public final class AMQPBroker: Broker {
    /// What is known to exist, as long as one connection lives.
    struct Declared: Sendable {
        var queues: Set<QueueName> = []
        var delayedQueues: Set<QueueName> = []
        var hasLadder = false

        /// Whether a publish to the route needs nothing declared any more.
        func covers(_ route: Route, isDelayed: Bool) -> Bool {
            if let queue = route.queue, !queues.contains(queue.name) { return false }
            return !isDelayed || (hasLadder && delayedQueues.contains(QueueName(route.routingKey)))
        }
    }

    /// What serves publishes over one connection.
    private struct Publishing: Sendable {
        var declared = Declared()
        var channel: PublishChannel?
        /// The channel before, on which publishes may still be unconfirmed.
        var retired: (channel: PublishChannel, at: ContinuousClock.Instant)?

        var openChannel: PublishChannel? { channel?.physical.closeReason == nil ? channel : nil }
    }

    /// What one setup is for: all who want the same share one.
    private struct SetupKey: Hashable, Sendable {
        let connection: ObjectIdentifier
        let queue: QueueName?
        let routingKey: String
        let isDelayed: Bool
    }

    private struct State: Sendable {
        var publishing = PerConnection<AMQPConnection, Publishing>(Publishing())
        var toolChannel: AMQPChannel?
        var setups: [SetupKey: (attempt: SharedAttempt<PublishChannel>, task: Task<Void, Never>)] = [:]
        var consumers: [AMQPMessageConsumer] = []
        var isClosed = false
    }

    /// The broker's address without the password.
    public let address: String
    let consuming: ConnectionKeeper
    let logger: TaskLogger
    let publishing: ConnectionKeeper
    private let state = Mutex(State())

    /// A broker at a URL; connects when first used.
    ///
    /// - Parameter url: `amqp://user:password@host:port/vhost`, or `amqps://` for TLS, with the query that `AMQPURI`
    ///   reads. Several, separated by `;`, name the hosts of a cluster: they are tried in an order that chance decides,
    ///   the next one after each failure.
    /// - Throws: ``CeleriacError`` `.configuration` for a URL that cannot be read.
    public init(
        _ url: ServerURL,
        clientName: String,
        maximumBodySize: Int = 16 << 20,
        logger: TaskLogger = .silent
    ) throws(CeleriacError) {
        let uris: [AMQPURI]
        do throws(AMQPError) {
            uris = try Self.uris(url)
        } catch {
            throw CeleriacError(error, attempting: "use the broker URL \(url)")
        }
        let logger = logger.labelled("celeriac.amqp")
        self.logger = logger
        address = uris.map(\.description).joined(separator: ";")
        func keeper(_ role: String) -> ConnectionKeeper {
            var options = AMQPConnection.Options()
            options.name = "\(clientName) (\(role))"
            // Whatever can be received can be sent, else a message too large to run could not be dead-lettered either;
            // the size of new calls is the application's to check.
            options.maximumBodySize = max(options.maximumBodySize, maximumBodySize)
            options.maximumPublishSize = options.maximumBodySize
            return ConnectionKeeper(uris: uris, options: options, policy: ReconnectPolicy(), logger: logger)
        }
        publishing = keeper("publishing")
        consuming = keeper("consuming")
    }

    private static func uris(_ url: ServerURL) throws(AMQPError) -> [AMQPURI] {
        var uris: [AMQPURI] = []
        var text = url.secret[...]
        // A semicolon that no scheme follows belongs to a password.
        while let end = ["amqp://", "amqps://"].compactMap({ text.firstRange(of: ";\($0)")?.lowerBound }).min() {
            uris.append(try AMQPURI(String(text[..<end])))
            text = text[text.index(after: end)...]
        }
        if text.last == ";" { text.removeLast() }
        uris.append(try AMQPURI(String(text)))
        return uris
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

    /// What was declared over an earlier connection may be gone with the server's data.
    private func remember(on connection: AMQPConnection, _ change: (inout Declared) -> Void) {
        withPublishing(over: connection) { change(&$0.declared) }
    }

    /// Looks at what there is for a connection, or changes it; of one that is over nothing is known or kept.
    private func withPublishing<Value: Sendable>(
        over connection: AMQPConnection,
        _ body: (inout Publishing) -> Value
    ) -> Value {
        state.withLock { state in
            state.publishing.with(connection, isOver: { $0.closeReason != nil }, body)
        }
    }

    /// The channel that publishes share, for tests.
    var sharedChannel: PublishChannel? { state.withLock { $0.publishing.value.channel } }

    // MARK: Publishing

    /// Hands a message over; returns once it is confirmed.
    ///
    /// A delay longer than the delay queues can hold, some eight and a half years, is cut to that.
    public func publish(
        _ message: Message,
        to route: Route,
        delay: Duration?,
        within timeout: Duration
    ) async throws(CeleriacError) {
        let deadline = ContinuousClock.now + timeout
        var outgoing = AMQPMessage(message, exchange: route.exchange, routingKey: route.routingKey)
        // Whoever receives it early compares its eta and puts it back; refused, it could never be put back at all.
        let seconds = delay.map { min($0, DelayLadder.longestDelay).components.seconds } ?? 0
        if seconds > 0 {
            outgoing.exchange = DelayLadder.entrance
            outgoing.routingKey = DelayLadder.routingKey(seconds: seconds, queue: route.routingKey)
        }
        var attempt = PublishAttempt()
        while true {
            var used: AMQPConnection?
            var shared: PublishChannel?
            do throws(AMQPError) {
                let connection = try await publishing.connection(before: deadline)
                used = connection
                let channel = try await channel(for: route, isDelayed: seconds > 0, on: connection, before: deadline)
                shared = channel
                let remaining = max(.milliseconds(1), ContinuousClock.now.duration(to: deadline))
                guard attempt.isAlone else { return try await channel.publish(outgoing, timeout: remaining) }
                return try await connection.withSetupChannel { channel throws(AMQPError) in
                    try await channel.publish(outgoing, timeout: remaining)
                }
            } catch let failure {
                let error = used.map { failure.explained(by: $0) } ?? failure
                if !attempt.isAlone, let shared { learn(error, from: shared) }
                let isOver = ContinuousClock.now >= deadline || state.withLock { $0.isClosed }
                let step = attempt.failed(error, wasConnected: used != nil, declaresQueue: route.queue != nil)
                guard !isOver, step != .giveUp else {
                    throw CeleriacError(
                        error,
                        attempting:
                            "publish to \(route.exchange.isEmpty ? "queue" : route.exchange) \(route.routingKey)",
                        isIndeterminate: attempt.isIndeterminate
                    )
                }
                if attempt.mayHaveArrived { outgoing.properties.headers?[Message.repeatedHeader] = true }
                switch step {
                case .declareAgain: state.withLock { $0.publishing.value.declared = Declared() }
                case .repeatAfter(let pause):
                    // Cancelled, it ends at once with the next wait.
                    try? await Task.sleep(until: min(deadline, .now + pause), clock: .continuous)
                case .repeatAlone, .giveUp: break
                }
            }
        }
    }

    /// The shared channel, with everything declared that a publish to the route needs.
    private func channel(
        for route: Route,
        isDelayed: Bool,
        on connection: AMQPConnection,
        before deadline: ContinuousClock.Instant
    ) async throws(AMQPError) -> PublishChannel {
        if let ready = withPublishing(
            over: connection,
            { $0.declared.covers(route, isDelayed: isDelayed) ? $0.openChannel : nil }
        ) {
            return ready
        }
        let key = SetupKey(
            connection: ObjectIdentifier(connection),
            queue: route.queue?.name,
            routingKey: route.routingKey,
            isDelayed: isDelayed
        )
        let setup = state.withLock { state in
            if let running = state.setups[key] { return running.attempt }
            let attempt = SharedAttempt<PublishChannel>()
            // Ends with the broker's answers or with the connection; `close` waits for it.
            let task = Task { await setUp(key, route, connection, attempt) }
            state.setups[key] = (attempt, task)
            return attempt
        }
        return try await setup.value(before: deadline)
    }

    private func setUp(
        _ key: SetupKey,
        _ route: Route,
        _ connection: AMQPConnection,
        _ attempt: SharedAttempt<PublishChannel>
    ) async {
        let outcome: Result<PublishChannel, AMQPError>
        do throws(AMQPError) {
            try await prepare(route, isDelayed: key.isDelayed, on: connection)
            outcome = .success(try await publishChannel(on: connection))
        } catch {
            outcome = .failure(error)
        }
        state.withLock { $0.setups[key] = nil }
        attempt.finish(outcome)
    }

    private func prepare(_ route: Route, isDelayed: Bool, on connection: AMQPConnection) async throws(AMQPError) {
        let declared = withPublishing(over: connection) { $0.declared }
        if let queue = route.queue, !declared.queues.contains(queue.name) {
            if let difference = try await connection.declareOrAdopt(queue.name.rawValue, arguments: queue.arguments) {
                logger.warning(
                    "queue exists with other properties; using it as it stands",
                    metadata: [("queue", queue.name.rawValue), ("difference", difference)]
                )
            }
            remember(on: connection) { $0.queues.insert(queue.name) }
        }
        guard isDelayed else { return }
        if !declared.hasLadder {
            try await DelayLadder.declare(on: connection)
            remember(on: connection) { $0.hasLadder = true }
        }
        if !declared.delayedQueues.contains(QueueName(route.routingKey)) {
            try await DelayLadder.bind(route.routingKey, on: connection)
            remember(on: connection) { $0.delayedQueues.insert(QueueName(route.routingKey)) }
        }
    }

    private func publishChannel(on connection: AMQPConnection) async throws(AMQPError) -> PublishChannel {
        if let channel = withPublishing(over: connection, { $0.openChannel }) { return channel }
        let opened = PublishChannel(try await connection.openChannel())
        // Of several opened at once the first stays.
        let channel = withPublishing(over: connection) { publishing in
            if let channel = publishing.openChannel { return channel }
            publishing.channel = opened
            return opened
        }
        if channel !== opened { await opened.physical.close() }
        return channel
    }

    /// Draws conclusions for the channel from what became of a publish on it.
    private func learn(_ error: AMQPError, from channel: PublishChannel) {
        if error.code == .nacked { retire(channel) }
        if error.isRefusal, channel.mustTellRefusal() {
            // Which of the publishes is to blame shows when they are repeated one by one.
            logger.warning("the broker closed the channel of publishes", metadata: [("error", error.description)])
        }
    }

    /// Has later publishes use another channel.
    ///
    /// A channel of RabbitMQ that first published to a quorum queue while the node of its leader was gone refuses all
    /// messages for that queue until the node is back, whoever leads since; another channel does not. A queue that is
    /// full refuses as well, so this happens once a second at most, and not while somebody waits for a confirmation on
    /// the channel before, which closes then.
    private func retire(_ channel: PublishChannel) {
        let now = ContinuousClock.now
        let predecessor: PublishChannel? = state.withLock { state in
            guard state.publishing.value.channel === channel else { return nil }
            let last = state.publishing.value.retired
            if let last, last.at.duration(to: now) < .seconds(1) || last.channel.isAwaited { return nil }
            state.publishing.value.channel = nil
            state.publishing.value.retired = (channel, now)
            return last?.channel
        }
        predecessor?.physical.closeLater()
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
        state.withLock { state in
            state.consumers.removeAll { $0.hasEnded }
            state.consumers.append(consumer)
        }
        return consumer
    }

    /// How many consumers are kept, for tests.
    var consumerCount: Int { state.withLock { $0.consumers.count } }

    /// Takes one message without subscribing.
    public func get(_ queue: QueueName) async throws(CeleriacError) -> Delivery? {
        do {
            let channel = try await toolChannel()
            guard let delivery = try await channel.get(queue.rawValue) else { return nil }
            // The source never takes back what it holds itself: the channel stays open for the next.
            let source = ChannelSource(channel, logger: logger)
            source.lend()
            return Delivery(delivery, from: queue, source: source)
        } catch {
            throw CeleriacError(error, attempting: "get a message from queue \(queue)")
        }
    }

    /// A channel that stays open for the deliveries of `get`.
    private func toolChannel() async throws(AMQPError) -> AMQPChannel {
        if let channel = state.withLock({ $0.toolChannel }), channel.closeReason == nil { return channel }
        let connection = try await consuming.connection(before: .now + .seconds(30))
        let opened = try await connection.openChannel()
        // Of several opened at once the first stays.
        let channel = state.withLock { state in
            if let channel = state.toolChannel, channel.closeReason == nil { return channel }
            state.toolChannel = opened
            return opened
        }
        if channel !== opened { await opened.close() }
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

    /// Disconnects once what was sent is confirmed.
    public func close(grace: Duration) async {
        let deadline = ContinuousClock.now + grace
        let (consumers, setups) = state.withLock { state in
            state.isClosed = true
            defer { state.consumers = [] }
            return (state.consumers, Array(state.setups.values))
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [publishing, consuming] in
                for consumer in consumers { await consumer.stop() }
                await consuming.close(within: .zero)
                await publishing.close(within: ContinuousClock.now.duration(to: deadline))
                for setup in setups { await setup.task.value }
            }
            group.addTask { try? await Task.sleep(until: deadline, clock: .continuous) }
            await group.next()
            group.cancelAll()  // a close that is cancelled cuts its connection
        }
    }
}

internal import Synchronization

/// A connection that outlives its connections.
///
/// When the broker goes away, it connects again, to the next host of a list, and brings back channels, exchanges,
/// queues, bindings and consumers. Publishes wait meanwhile, consumers' sequences go on.
///
/// ```swift
/// let connection = try await RecoveringConnection.connect(to: [AMQPURI("amqp://one"), AMQPURI("amqp://two")])
/// let channel = try await connection.openChannel()
/// let queue = try await channel.declareQueue("invoices")
/// for try await delivery in try await channel.consume(queue.name) {
///     try await file(delivery.body)
///     do { try channel.acknowledge(delivery.tag) } catch where error.code == .staleDelivery { continue }
/// }
/// await connection.close()
/// ```
///
/// What it cannot know it does not hide: a publish that was sent and not confirmed fails with
/// ``AMQPError/isOutcomeUnknown``, unless it is to be sent again; a delivery of a lost connection goes back to its
/// queue, and settling it fails with `.staleDelivery`.
///
/// It must be closed with ``close(within:)``: merely dropping the last reference leaves it open.
public final class RecoveringConnection: Sendable {
    struct Registry: Sendable {
        var machine: RecoveryStateMachine
        var channels: [RecoveryStateMachine.ID: RecoveringChannel] = [:]
        var consumers: [RecoveryStateMachine.ID: ConsumerSubscription] = [:]
        var failures: [RestoreFailure] = []
        var running: Task<Void, Never>?
        var closeDeadline: ContinuousClock.Instant?
        /// What to log in with, once it was renewed.
        var secret: String?
    }

    /// For what is said to the broker at the end, after the time for settlements and confirmations.
    static let goodbye = Duration.seconds(1)

    /// Failures remembered at most.
    static let rememberedFailures = 100

    let uris: [AMQPURI]
    let options: Options
    let registry: Mutex<Registry>
    let gate: Gate<AMQPConnection>
    /// Opened with the first connection on which everything is back.
    let opened: Waiter<Void>
    let board: StateBoard
    let wakeUp = WakeUp()
    let outage: Mutex<OutageBudget>

    init(to uris: [AMQPURI], options: Options, seed: UInt64) {
        self.uris = uris
        self.options = options
        var settings = RecoveryStateMachine.Settings()
        settings.policy = options.reconnect
        settings.hosts = uris.count
        settings.consumerAttempts = max(1, options.consumerAttempts)
        settings.seed = seed
        registry = Mutex(Registry(machine: RecoveryStateMachine(settings)))
        gate = Gate(nil, "connection to \(uris.map(\.description).joined(separator: ", "))")
        opened = Waiter()
        board = StateBoard(.connecting)
        outage = Mutex(OutageBudget(options.duringOutage))
    }

    /// Connects to the first host that answers.
    ///
    /// - Parameters:
    ///   - uris: At least one; tried in an order that chance decides once.
    ///   - options: Its policy tells whether the first connection, too, is tried again and again.
    /// - Throws: ``AMQPError``: what went wrong with the last host; `.invalidArgument` without a URI. Cancelling closes
    ///   what has come about so far.
    public static func connect(
        to uris: [AMQPURI],
        options: Options = Options()
    ) async throws(AMQPError) -> RecoveringConnection {
        guard !uris.isEmpty else { throw AMQPError(.invalidArgument, "a connection needs the URI of a broker") }
        let connection = RecoveringConnection(to: uris, options: options, seed: .random(in: 0 ... .max))
        connection.start()
        do throws(AMQPError) {
            try await connection.opened.value("the first connection")
        } catch {
            await connection.close(within: .zero)
            throw error
        }
        return connection
    }

    /// Begins to connect, for ever or until the policy gives up, and does not wait for it.
    ///
    /// - Parameter uris: At least one.
    package static func connecting(to uris: [AMQPURI], options: Options) -> RecoveringConnection {
        precondition(!uris.isEmpty, "a connection needs the URI of a broker")
        let connection = RecoveringConnection(to: uris, options: options, seed: .random(in: 0 ... .max))
        connection.start()
        return connection
    }

    private func start() {
        // Ends when the state machine is closed; `close` sees to that, and waits for it.
        let task = Task { await run() }
        registry.withLock { $0.running = task }
    }

    // MARK: State

    /// What it does now.
    public var state: State { board.present }

    /// Its states from now on.
    public var states: ConnectionStates { ConnectionStates(board: board) }

    /// What the broker did not take back, the latest hundred.
    public var restoreFailures: [RestoreFailure] { registry.withLock { $0.failures } }

    /// The present name of a queue that the server named, by a name that it had on any earlier connection.
    ///
    /// Operations and consumers of this connection translate such names by themselves; messages published to them by
    /// name do not.
    public func currentName(ofQueue name: String) -> String {
        registry.withLock { $0.machine.topology.currentName(name) }
    }

    /// The connection, if there is one on which everything is back.
    package var live: AMQPConnection? {
        guard let connection = gate.current, connection.closeReason == nil else { return nil }
        return connection
    }

    /// Whether no further connection comes.
    package var isClosed: Bool { registry.withLock { $0.machine.isClosed } }

    /// The connection that there is now, or the next one.
    ///
    /// - Throws: ``AMQPError``: why it is closed, `.timedOut`, `.cancelled`.
    package func connection(before deadline: ContinuousClock.Instant) async throws(AMQPError) -> AMQPConnection {
        var dead: AMQPConnection?
        while true {
            let connection = try await gate.value(besides: dead, before: deadline)
            if connection.closeReason == nil { return connection }
            dead = connection
        }
    }

    // MARK: Channels

    /// Opens a channel.
    ///
    /// - Throws: ``AMQPError``: `.timedOut` if there is no connection for `Options.connection.callTimeout`;
    ///   `.channelLimit`; why the connection is closed.
    public func openChannel() async throws(AMQPError) -> RecoveringChannel {
        let deadline = ContinuousClock.now + options.connection.callTimeout
        while true {
            let connection = try await connection(before: deadline)
            let epoch = registry.withLock { $0.machine.epoch }
            do throws(AMQPError) {
                let physical = try await connection.openChannel()
                return try await register(physical, epoch: epoch)
            } catch {
                guard error.isInterruption, ContinuousClock.now < deadline else { throw error }
            }
        }
    }

    /// Has a channel of the present connection outlive it.
    ///
    /// - Throws: ``AMQPError``: why the connection is closed, if it has been meanwhile.
    func register(_ physical: AMQPChannel, epoch: UInt64) async throws(AMQPError) -> RecoveringChannel {
        let registered: RecoveringChannel? = registry.withLock { registry in
            let channel = RecoveringChannel(self, id: registry.machine.newID(), physical)
            guard registry.machine.addChannel(channel.id, instance: physical.instance, epoch: epoch) else { return nil }
            registry.channels[channel.id] = channel
            return channel
        }
        guard let channel = registered else {
            await physical.close()
            throw gate.closeReason ?? AMQPError(.closed, "the connection was closed while a channel was being opened")
        }
        observe(physical, of: channel)
        wakeUp.wake()
        return channel
    }

    /// Opens a channel for the duration of a closure, and closes it at the end, also when the closure throws.
    public func withChannel<R>(_ body: (RecoveringChannel) async throws -> R) async throws -> R {
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

    // MARK: Closing

    /// Ends gracefully: consumers are cancelled, deliveries that nobody has taken go back to their queues; those that
    /// were taken may still be settled, publishes that were sent may still be confirmed; then the connection is closed.
    ///
    /// During an outage it ends at once: publishes that wait fail with `.closed`. Cancelling shortens the wait for
    /// settlements and confirmations, not the closing. A broker that answers nothing any more is left a second after
    /// the time is over, whatever it still owes.
    ///
    /// - Parameter timeout: For settlements and confirmations; `Options.closeTimeout` unless given. Of two calls the
    ///   shorter time counts.
    public func close(within timeout: Duration? = nil) async {
        let deadline = ContinuousClock.now + (timeout ?? options.closeTimeout)
        let (running, isIdle) = change { registry in
            registry.closeDeadline = min(deadline, registry.closeDeadline ?? deadline)
            // Judged before the closing begins, which shuts the gate for all others.
            let isIdle = !registry.machine.isOpen && !registry.machine.isClosed
            registry.machine.closeRequested()
            return (registry.running, isIdle)
        }
        if isIdle { running?.cancel() }
        // Whatever it waits for then, such as the answer of a broker that is frozen, it waits no longer.
        let alarm = Alarm(at: deadline + min(Self.goodbye, options.connection.closeTimeout)) { running?.cancel() }
        defer { alarm.cancel() }
        await withTaskCancellationHandler {
            await running?.value
        } onCancel: {
            running?.cancel()
        }
    }
}

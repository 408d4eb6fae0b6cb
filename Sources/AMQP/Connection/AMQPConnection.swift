internal import Synchronization
package import Transport

/// A connection to an AMQP 0-9-1 broker, over which channels run.
///
/// It lives on an event loop; its protocol decisions and its writes happen there, in order. Nothing is recovered
/// behind the caller's back: when the connection ends, everything on it fails, ``onClose(_:)`` and
/// ``waitUntilClosed()`` tell why, and a new one is needed.
///
/// ```swift
/// let connection = try await AMQPConnection.connect(to: AMQPURI("amqp://localhost"))
/// try await connection.withChannel { channel in
///     let queue = try await channel.declareQueue("invoices", durable: true)
///     try await channel.publish(AMQPMessage(routingKey: queue.name, body: Array("hello".utf8)))
/// }
/// await connection.close()
/// ```
///
/// An open connection must be closed: merely dropping the last reference to it leaves it open.
public actor AMQPConnection {
    struct Shared {
        var closed: AMQPError?
        var serverProperties: FieldTable = [:]
        var closeCallbacks: [@Sendable (AMQPError) -> Void] = []
        var closeWaiters: [Waiter<AMQPError>] = []
        var blockedReason: String?
        var blockedCallbacks: [@Sendable (String?) -> Void] = []
    }

    nonisolated let loop: EventLoop
    nonisolated let stream: ByteStream
    nonisolated let options: Options
    nonisolated let shared = Mutex(Shared())
    nonisolated let callbacks = CallbackQueue()

    var machine: ConnectionStateMachine
    /// Before tuning a server's frames are small; the room is for long server properties.
    var decoder = FrameDecoder(maximumFrameSize: 131_072)
    var channels: [UInt16: ChannelCore] = [:]
    var channelMax: UInt16 = 0
    var lastChannel: UInt16 = 0
    /// Of all channels that were ever open.
    var highestChannel: UInt16 = 0
    var blockedReason: String?
    var heartbeat: Heartbeat?
    var heartbeatTimer: TimerID?
    var hasSent = false
    var pausedInboxes = 0
    /// Storage that is used again and again.
    var run = DeliveryRun()
    var consumersWithArrivals: [(ChannelCore, ChannelCore.Consumer)] = []
    var channelsWithConfirmations: [ChannelCore] = []
    /// How many channels are in the middle of a body.
    var unsentBodies = 0
    /// The channel that had the last turn to publish.
    var lastTurn: UInt16 = 0
    var unreadAnswers = 0
    var opening: Waiter<Void>?
    /// Those who wait for update-secret-ok, in the order of their requests.
    var secretUpdates: [Waiter<Void>] = []
    var hasEnded = false

    static let instances = Atomic<UInt64>(0)
    static let unreadAnswersLimit = 10_000

    /// The event loop that the connection is confined to.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    package init(stream: ByteStream, login: ConnectionStateMachine.Login, options: Options) {
        self.stream = stream
        self.options = options
        loop = stream.loop
        machine = ConnectionStateMachine(login: login, peer: stream.peer)
    }

    // MARK: Opening and closing

    /// Connects, logs in and agrees on the limits.
    ///
    /// - Throws: ``AMQPError``: `.unreachable`, `.timedOut`, `.tlsFailed`, `.accessRefused`, `.mechanismNotOffered`,
    ///   `.virtualHostRefused`, `.foreignProtocol` and others. Cancelling closes what has come about so far.
    public static func connect(
        to uri: AMQPURI,
        options: Options = Options()
    ) async throws(AMQPError) -> AMQPConnection {
        let timeout = uri.connectTimeout ?? options.connectTimeout
        let deadline = ContinuousClock.now + timeout
        let stream: ByteStream
        do throws(TransportError) {
            stream = try await ByteStream.connect(
                to: uri.endpoint,
                timeout: timeout,
                tls: uri.tls,
                options: options.socket
            )
        } catch {
            throw AMQPError(connecting: error)
        }
        let connection = AMQPConnection(stream: stream, login: options.login(uri), options: options)
        try await connection.open(deadline: deadline)
        return connection
    }

    package func open(deadline: ContinuousClock.Instant) async throws(AMQPError) {
        let waiter = Waiter<Void>()
        opening = waiter
        let timeout = AMQPError(.timedOut, "\(stream.peer) did not finish the handshake in time")
        let timer = loop.schedule(at: deadline) { waiter.finish(.failure(timeout)) }
        stream.start(self)
        perform(machine.connected())
        defer {
            loop.cancel(timer)
            opening = nil
        }
        do throws(AMQPError) {
            try await waiter.value("the handshake")
        } catch {
            end(error)
            stream.abort(TransportError(.closed, "gave up the handshake with \(stream.peer)"))
            throw error
        }
    }

    /// Says goodbye: settlements already asked for are sent, then the connection is closed.
    ///
    /// Everything still running on the connection fails with `.closed`. Takes at most `Options.closeTimeout`; when
    /// the server does not answer by then, the connection is cut. Cancelling ends the wait, not the closing.
    public func close() async {
        guard !hasEnded else { return }
        for core in channels.values {
            drain(core)
            completeBody(core)
        }
        let waiter = Waiter<AMQPError>()
        notifyClosed(waiter)
        perform(machine.closeRequested())
        // Nothing but the answer matters now, and it stands behind what a full inbox did not want.
        if !hasEnded { stream.setReading(true) }
        let timer = loop.schedule(after: options.closeTimeout) {
            waiter.finish(.failure(AMQPError(.timedOut, "no answer to close")))
        }
        defer { loop.cancel(timer) }
        do throws(AMQPError) {
            _ = try await waiter.value("the goodbye")
        } catch {
            end(AMQPError(.closed, "the connection to \(stream.peer) was closed by this side"))
            if error.code == .cancelled {
                // What was queued before, settlements above all, still leaves; only the answer is not waited for.
                stream.close(grace: options.closeTimeout)
            } else {
                stream.abort(TransportError(.closed, "\(stream.peer) did not answer the goodbye"))
            }
        }
    }

    // MARK: State, from any thread

    /// The peer's address.
    public nonisolated var peer: String { stream.peer }

    /// What the server told of itself: `product`, `version`, `capabilities` and more.
    public nonisolated var serverProperties: FieldTable { shared.withLock { $0.serverProperties } }

    /// Whether the server says that it has an extension, such as `consumer_priorities`.
    public nonisolated func supports(_ capability: String) -> Bool {
        serverProperties["capabilities"]?.table?[capability]?.boolean == true
    }

    /// Why the connection ended, once it has.
    public nonisolated var closeReason: AMQPError? { shared.withLock { $0.closed } }

    /// Why the broker blocks publishers, such as `low on memory`, while it does.
    public nonisolated var currentBlockedReason: String? { shared.withLock { $0.blockedReason } }

    /// Waits for the end of the connection and tells its reason; `.cancelled` when the waiting task is cancelled.
    public nonisolated func waitUntilClosed() async -> AMQPError {
        let waiter = Waiter<AMQPError>()
        notifyClosed(waiter)
        do throws(AMQPError) {
            return try await waiter.value("the end of the connection")
        } catch {
            shared.withLock { $0.closeWaiters.removeAll { $0 === waiter } }
            return error
        }
    }

    /// Calls back once when the connection ends, or now if it has.
    ///
    /// Callbacks of a connection run one after the other on a thread that they have for themselves: one that blocks holds
    /// up further ones, and not the connection.
    public nonisolated func onClose(_ body: @escaping @Sendable (AMQPError) -> Void) {
        observeEnd { [callbacks] error in callbacks.run { body(error) } }
    }

    /// Calls back once when the connection ends, on the loop, or at once if it has; the callback must not block.
    package nonisolated func observeEnd(_ body: @escaping @Sendable (AMQPError) -> Void) {
        let closed = shared.withLock { shared in
            if shared.closed == nil { shared.closeCallbacks.append(body) }
            return shared.closed
        }
        if let closed { body(closed) }
    }

    /// Calls back with a reason when the broker blocks publishers, and with `nil` when it goes on.
    ///
    /// Runs as ``onClose(_:)`` does; when a thousand calls wait for it the connection stops reading. Publishes wait
    /// meanwhile by themselves, up to their deadline.
    public nonisolated func onBlocked(_ body: @escaping @Sendable (String?) -> Void) {
        observeBlocking { [weak self] reason in
            self?.assumeIsolated { $0.callBack { body(reason) } }
        }
    }

    /// The same, on the loop; the callback must not block.
    package nonisolated func observeBlocking(_ body: @escaping @Sendable (String?) -> Void) {
        shared.withLock { $0.blockedCallbacks.append(body) }
    }

    private nonisolated func notifyClosed(_ waiter: Waiter<AMQPError>) {
        let closed = shared.withLock { shared in
            if shared.closed == nil { shared.closeWaiters.append(waiter) }
            return shared.closed
        }
        if let closed { waiter.finish(.success(closed)) }
    }

    // MARK: Decisions put into effect

    func perform(_ action: ConnectionStateMachine.Action) {
        switch action {
        case .none: break
        case .sendProtocolHeader: stream.write(FrameEncoder.protocolHeader)
        case .send(let method): send(method, on: 0)
        case .tuned(let tuning, let methods):
            decoder.maximumFrameSize = tuning.frameMax
            channelMax = tuning.channelMax
            for method in methods { send(method, on: 0) }
            startHeartbeats(.seconds(Int64(tuning.heartbeat)))
        case .opened:
            shared.withLock { $0.serverProperties = machine.serverProperties }
            opening?.finish(.success(()))
        case .secretUpdated:
            if !secretUpdates.isEmpty { secretUpdates.removeFirst().finish(.success(())) }
        case .blocked(let reason): setBlocked(reason)
        case .unblocked:
            setBlocked(nil)
            pumpAll()
        case .fail(let error, let method):
            if let method { send(method, on: 0) }
            end(error)
            stream.close(grace: .seconds(1))
        }
    }

    /// Sends a method of the conversation itself; without it there is none, so one that cannot be encoded, such as an
    /// opening with an endless virtual host, ends the connection.
    func send(_ method: Method, on channel: UInt16) {
        // §1.4.2.8: nothing follows a close but the answer to the other side's.
        guard channel == 0 || !machine.isClosing else { return }
        do throws(FrameError) {
            try trySend(method, on: channel)
        } catch {
            end(AMQPError(.invalidArgument, "\(method.name) cannot be encoded: \(error)", underlying: error))
            stream.abort(TransportError(.closed, "gave up the conversation with \(stream.peer)"))
        }
    }

    func trySend(_ method: Method, on channel: UInt16) throws(FrameError) {
        hasSent = true
        // §4.2.6: nothing may come between the frames of one content on its channel.
        if unsentBodies > 0, let core = channels[channel], core.unsent != nil {
            return try encode(method, on: channel, into: &core.deferred)
        }
        var failure: FrameError?
        stream.write { output in
            do throws(FrameError) { try encode(method, on: channel, into: &output) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    private func encode(_ method: Method, on channel: UInt16, into output: inout [UInt8]) throws(FrameError) {
        let start = output.count
        let limit = decoder.maximumFrameSize
        do throws(FrameError) {
            try FrameEncoder.method(method, channel: channel, into: &output)
            let size = output.count - start
            guard size <= limit else { throw .headersTooLarge(octets: size, limit: limit) }
        } catch {
            output.removeSubrange(start...)
            throw error
        }
    }

    private func setBlocked(_ reason: String?) {
        blockedReason = reason
        // A broker that blocks reads nothing: its kernel takes no more, and ours would give the connection up.
        if let timeout = options.socket.userTimeout { stream.setUserTimeout(reason == nil ? timeout : .zero) }
        let callbacks = shared.withLock { shared in
            shared.blockedReason = reason
            return shared.blockedCallbacks
        }
        for callback in callbacks { callback(reason) }
    }

    /// Fails everything on the connection, once.
    func end(_ error: AMQPError) {
        guard !hasEnded else { return }
        hasEnded = true
        if let heartbeatTimer { loop.cancel(heartbeatTimer) }
        heartbeatTimer = nil
        for core in channels.values { perform(core.machine.disconnected(error), on: core) }
        opening?.finish(.failure(error))
        for waiter in secretUpdates { waiter.finish(.failure(error)) }
        secretUpdates = []
        let (callbacks, waiters) = shared.withLock { shared in
            shared.closed = error
            defer { (shared.closeCallbacks, shared.closeWaiters, shared.blockedCallbacks) = ([], [], []) }
            return (shared.closeCallbacks, shared.closeWaiters)
        }
        for waiter in waiters { waiter.finish(.success(error)) }
        for callback in callbacks { callback(error) }
    }

    // MARK: Heartbeats

    /// Begins to watch the server.
    ///
    /// The kernel is not asked to watch as well (`TCP_USER_TIMEOUT`). A peer that is gone sends no heartbeats, and is
    /// noticed by that; one that merely takes nothing for a while lives. RabbitMQ stops reading from publishers under its
    /// flow control, which nothing announces, and goes on with its heartbeats; the kernel counts such a time, a window of
    /// zero, like one without any answer.
    private func startHeartbeats(_ interval: Duration) {
        guard interval > .zero else { return }
        let heartbeat = Heartbeat(interval: interval, now: .now)
        self.heartbeat = heartbeat
        scheduleTick(heartbeat)
    }

    private func scheduleTick(_ heartbeat: Heartbeat) {
        heartbeatTimer = loop.schedule(at: heartbeat.nextTick(after: .now)) { [weak self] in
            self?.assumeIsolated { $0.tick() }
        }
    }

    /// Looks for signs of life while reading is paused for a slow consumer.
    ///
    /// The slow consumer must not end the connection, and the connection must not outlive its server for the consumer's
    /// sake. What arrives is a sign of life before it is read, also what a server's kernel had left when it froze. When
    /// nothing does, the kernel here may be full: some is read ahead, for as long as there is room for it; from then on
    /// nothing can be known, and the server is trusted.
    private func listen(_ heartbeat: inout Heartbeat, now: ContinuousClock.Instant) {
        guard !heartbeat.looked(arrived: stream.arrivedOctets, now: now), !stream.readAhead() else { return }
        heartbeat.received(now: now)
    }

    private func tick() {
        guard !hasEnded, var heartbeat else { return }
        let now = ContinuousClock.now
        if hasSent { heartbeat.sent(now: now) }
        hasSent = false
        if pausedInboxes > 0 { listen(&heartbeat, now: now) }
        guard !hasEnded else { return }
        let action = heartbeat.tick(now: now)
        self.heartbeat = heartbeat
        switch action {
        case .none: break
        case .send: stream.write { FrameEncoder.heartbeat(into: &$0) }
        case .dead:
            let text = "\(stream.peer) was silent for two heartbeat intervals of \(heartbeat.interval)"
            _ = machine.disconnected(AMQPError(.heartbeatMissed, text))
            end(AMQPError(.heartbeatMissed, text))
            stream.abort(TransportError(.timedOut, text))
            return
        }
        scheduleTick(heartbeat)
    }
}

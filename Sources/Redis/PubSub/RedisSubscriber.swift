internal import Synchronization
package import Transport

/// Listens to channels: any number of subscriptions on one connection of their own.
///
/// The connection is opened by the first subscription and opened again when it is lost; each subscription is then told
/// ``RedisSubscription/Event/resubscribed``, after the server has confirmed it again. What is read from the server after
/// that, or after ``subscribe(to:buffer:timeout:)`` has returned, has no gap to the messages that follow.
public actor RedisSubscriber: LoopActor {
    nonisolated let loop: EventLoop
    /// What the subscriber was made with.
    public nonisolated let configuration: RedisConfiguration
    /// The subscriber runs on its connection's event loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    private let link: Reconnector
    private let lastID = Atomic<SubscriptionTable.ID>(0)
    private var table = SubscriptionTable()
    private var mailboxes: [SubscriptionTable.ID: Mailbox] = [:]
    private var joining: [SubscriptionTable.ID: (request: PendingRequest, timer: TimerID)] = [:]
    private var pingTimer: TimerID?
    private var hasHeard = false

    /// Makes a subscriber; it connects with the first subscription.
    public init(_ configuration: RedisConfiguration) {
        self.init(configuration, on: .shared)
    }

    package init(_ configuration: RedisConfiguration, on loop: EventLoop) {
        self.configuration = configuration
        self.loop = loop
        link = Reconnector(configuration, on: loop)
    }

    /// Begins to listen; returns when the server has confirmed it.
    ///
    /// - Parameters:
    ///   - buffer: Events kept while nobody takes them; then the oldest are dropped.
    ///   - timeout: For the confirmation, connecting included; the configuration's when absent.
    /// - Throws: ``RedisError``. Cancelling ends the wait and the subscription.
    public nonisolated func subscribe(
        to channel: String,
        buffer: Int = 64,
        timeout: Duration? = nil
    ) async throws(RedisError) -> RedisSubscription {
        let mailbox = Mailbox(lastID.add(1, ordering: .relaxed).newValue, capacity: buffer)
        return try await subscribe(to: channel, mailbox, timeout: timeout)
    }

    /// Begins to listen with a closure in place of a buffer, for those who listen to many channels at once.
    ///
    /// - Parameter onEvent: Called on the event loop, with nothing at the subscription's end; must be quick.
    /// - Throws: ``RedisError``. Cancelling ends the wait and the subscription.
    package nonisolated func subscribe(
        to channel: String,
        timeout: Duration,
        onEvent: @escaping @Sendable (RedisSubscription.Event?) -> Void
    ) async throws(RedisError) -> RedisSubscription {
        let mailbox = Mailbox(lastID.add(1, ordering: .relaxed).newValue, capacity: 1, sink: onEvent)
        return try await subscribe(to: channel, mailbox, timeout: timeout)
    }

    private nonisolated func subscribe(
        to channel: String,
        _ mailbox: Mailbox,
        timeout: Duration?
    ) async throws(RedisError) -> RedisSubscription {
        let request = PendingRequest(
            [],
            expected: 1,
            summary: "SUBSCRIBE \(channel)",
            deadline: .now + (timeout ?? configuration.commandTimeout),
            retry: .idempotent
        )
        // Made first: when the wait fails, dropping it is what leaves the channel.
        let subscription = RedisSubscription(channel, mailbox, self)
        _ = try await perform(request) { $0.join(mailbox, channel, $1) }
        return subscription
    }

    /// Subscriptions there are, and channels that the server is to listen to for them.
    package var load: (subscriptions: Int, channels: Int) { (mailboxes.count, table.channelCount) }

    /// The sentinels have made another server the master.
    package nonisolated func leaveMaster(for endpoint: Endpoint) {
        loop.execute { [weak self] in
            guard let self else { return }
            self.assumeIsolated { $0.link.masterMoved(to: endpoint) }
        }
    }

    /// Ends the connection and all subscriptions.
    public func close() async {
        let ended = link.close()
        disarmPing()
        for mailbox in mailboxes.values { mailbox.end(Self.closed) }
        for (request, timer) in joining.values {
            loop.cancel(timer)
            request.settle(.failure(Self.closed))
        }
        mailboxes = [:]
        joining = [:]
        table = SubscriptionTable()
        await ended()
    }

    private static let closed = RedisError(.closed, "the subscriber was closed")

    // MARK: On the loop

    private func join(_ mailbox: Mailbox, _ channel: String, _ request: PendingRequest) {
        guard !link.isClosed else { return request.settle(.failure(Self.closed)) }
        if let refusal = link.currentRefusal { return request.settle(.failure(refusal)) }
        guard table.outstandingCount < configuration.maximumWaiting else {
            return request.fail(.overloaded, "\(configuration.maximumWaiting) subscriptions wait for an answer")
        }
        mailboxes[mailbox.id] = mailbox
        switch table.join(mailbox.id, channel) {
        case .active: return request.settle(.success(.null))
        case .waits: break
        case .send(let command): write([command])
        }
        let id = mailbox.id
        let timer = loop.schedule(at: request.deadline) { [weak self] in
            guard let self else { return }
            self.assumeIsolated { $0.joinTimedOut(id) }
        }
        joining[id] = (request, timer)
        link.start(for: self)
    }

    private func joinTimedOut(_ id: SubscriptionTable.ID) {
        // Its handle, dropped when the wait throws, leaves the channel.
        let request = joining.removeValue(forKey: id)?.request
        request?.timeOut(wasSent: link.connection != nil, at: configuration.url.description, cause: link.lastFailure)
    }

    func leave(_ mailbox: Mailbox, _ channel: String) {
        guard mailboxes.removeValue(forKey: mailbox.id) != nil else { return }
        if let (_, timer) = joining.removeValue(forKey: mailbox.id) { loop.cancel(timer) }
        if let command = table.leave(mailbox.id, channel) { write([command]) }
    }

    private func settleJoining(_ ids: [SubscriptionTable.ID], _ outcome: PendingRequest.Outcome) {
        for id in ids {
            guard let (request, timer) = joining.removeValue(forKey: id) else { continue }
            loop.cancel(timer)
            request.settle(outcome)
        }
    }

    private func write(_ commands: [SubscriptionTable.Command]) {
        guard let connection = link.connection else { return }
        let bytes = RedisCommand.encoded(commands.map(\.redisCommand))
        connection.assumeIsolated { $0.write(bytes) }
    }

    private func received(_ value: RESPValue, on connection: RedisConnection) {
        guard connection === link.connection else { return }
        hasHeard = true
        switch table.received(value) {
        case .none: break
        case .message(let ids, let payload):
            for id in ids { mailboxes[id]?.put(.message(payload)) }
        case .confirmed(let new, let resumed):
            settleJoining(new, .success(.null))
            for id in resumed { mailboxes[id]?.put(.resubscribed) }
        case .refused(let ids, let text):
            let error = RedisError(reply: text)
            settleJoining(ids, .failure(error))
            for id in ids { mailboxes.removeValue(forKey: id)?.end(error) }
        case .violation(let reason):
            connection.assumeIsolated { $0.abort(.protocolViolation, "\(configuration.url) sent \(reason)") }
        }
    }

    // MARK: Connection

    private func adopt(_ connection: RedisConnection) -> Bool {
        guard connection.assumeIsolated({ $0.adopt(by: self, listening: true) }) else { return false }
        write(table.connected())
        armPing()
        return true
    }

    private func connectionEnded(_ connection: RedisConnection, _ reason: RedisError) {
        guard link.lost(connection, reason) else { return }
        disarmPing()
        table.disconnected()
        link.resume()
    }

    /// Asks after each silent interval, and gives the connection up after a second one: a subscriber writes so seldom
    /// that it would otherwise not notice a dead peer.
    private func armPing(asked: Bool = false) {
        hasHeard = false
        pingTimer = loop.schedule(after: configuration.pingInterval) { [weak self] in
            guard let self else { return }
            self.assumeIsolated { $0.pingDue(asked: asked) }
        }
    }

    private func disarmPing() {
        if let pingTimer { loop.cancel(pingTimer) }
        pingTimer = nil
    }

    private func pingDue(asked: Bool) {
        guard let connection = link.connection else { return }
        if hasHeard { return armPing() }
        guard !asked else {
            return connection.assumeIsolated { $0.abort(.timedOut, "\(configuration.url) does not answer PING") }
        }
        write([table.ping()])
        armPing(asked: true)
    }

    private func attemptFailedPermanently(_ error: RedisError) {
        let ids = Array(joining.keys)
        settleJoining(ids, .failure(error))
    }

    private var isWanted: Bool { !table.isEmpty }
}

extension RedisSubscriber: ReconnectorOwner {
    nonisolated var wantsConnection: Bool { assumeIsolated { $0.isWanted } }

    nonisolated func connected(_ connection: RedisConnection) -> Bool {
        assumeIsolated { $0.adopt(connection) }
    }

    nonisolated func attemptFailed(_ error: RedisError, isPermanent: Bool) {
        if isPermanent { assumeIsolated { $0.attemptFailedPermanently(error) } }
    }

    nonisolated func ended(
        _ connection: RedisConnection,
        unsent: [PendingRequest],
        sent: [PendingRequest],
        reason: RedisError
    ) {
        assumeIsolated { $0.connectionEnded(connection, reason) }
    }

    nonisolated func refused(_ connection: RedisConnection, request: PendingRequest, verdict: AnswerVerdict) -> Bool {
        false
    }

    nonisolated func pushed(_ value: RESPValue, on connection: RedisConnection) {
        assumeIsolated { $0.received(value, on: connection) }
    }
}

extension SubscriptionTable.Command {
    fileprivate var redisCommand: RedisCommand {
        switch self {
        case .subscribe(let channel): RedisCommand("SUBSCRIBE", channel)
        case .unsubscribe(let channel): RedisCommand("UNSUBSCRIBE", channel)
        case .ping: RedisCommand("PING")
        }
    }
}

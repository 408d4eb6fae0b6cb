/// Decides how a logical connection survives its connections: when and where to connect, what to bring back in which
/// order, when to give up.
///
/// Events come in by methods named for them; ``next(now:)`` tells the one thing to do now. What is to be brought back
/// is compared with what is there, so that no event, whenever it comes, leaves a channel or a consumer behind. The end
/// is always one of two: everything is back, or the connection is closed with a reason.
package struct RecoveryStateMachine: Sendable {
    package typealias Instant = ContinuousClock.Instant
    /// Names a logical channel or consumer.
    package typealias ID = UInt64

    package enum Action: Equatable, Sendable {
        case connect(host: Int)
        case restore(RecoverableEntity, TopologyOperation)
        case openChannel(ID)
        /// Asks whether the queue of a consumer is there, so that a consume that fails does not close its channel.
        case probe(consumer: ID, queue: String)
        case consume(ID, channel: ID, queue: String)
        case endConsumer(ID, AMQPError)
        case endChannel(ID, AMQPError)
        /// All that can be back is back.
        case opened
        case wait(until: Instant?)
        /// The caller wants the connection closed.
        case shutDown
        case finish(AMQPError)
    }

    package struct Settings: Sendable {
        package var policy = ReconnectPolicy()
        package var hosts = 1
        package var consumerAttempts = 10
        package var seed: UInt64 = 0

        package init() {}
    }

    enum Link: Sendable {
        case down
        case connecting
        case up(isAnnounced: Bool)
        case closing
        case closed(AMQPError)
    }

    struct Pending: Sendable {
        var entity: RecoverableEntity
        var backoff = Backoff()
    }

    struct Channel: Sendable {
        var instance: UInt64?
        var backoff = Backoff()
    }

    struct Consumer: Sendable {
        let channel: ID
        var queue: String
        let tag: String
        let endsWhenCancelled: Bool
        var isLive: Bool
        /// Whether its queue may be missing.
        var isSuspect = false
        /// How often in a row its start saw the broker end the connection for an error, over all connections.
        var strikes = 0
        /// When, within the last minute, it was sent a message that this side does not take.
        var refusals: [Instant] = []
        var backoff = Backoff()
    }

    /// How often in a row something may be in the making when the broker ends the connection for an error, before it
    /// is taken for the cause: once may be for anybody's mistake.
    static let strikeLimit = 3

    let settings: Settings
    var link = Link.down
    var generator: SeededGenerator
    var hosts: HostRotation
    var connecting = Backoff()
    var reason: AMQPError?
    /// When, within the last minute, a connection ended for an error in what either side sent.
    var connectionErrors: [Instant] = []
    var hasLoggedIn = false
    var hasOpened = false
    var blockedReason: String?
    /// Counts the connections.
    package internal(set) var epoch: UInt64 = 0
    package internal(set) var topology = RecordedTopology()
    /// What is to be declared, the next one last.
    var pending: [Pending] = []
    /// Whether something among them waits for its next try, and holds back what depends on it.
    var hasDeferred = false
    var channels: [ID: Channel] = [:]
    var consumers: [ID: Consumer] = [:]
    /// Queues that the caller is deleting: their consumers are not to be resumed.
    var deleting: [String: Int] = [:]
    /// How often in a row the restoring of an entity saw the broker end the connection for an error.
    var strikes: [RecoverableEntity: Int] = [:]
    var endings: [Action] = []
    private var lastID: ID = 0

    package init(_ settings: Settings) {
        self.settings = settings
        generator = SeededGenerator(seed: settings.seed)
        hosts = HostRotation(count: max(1, settings.hosts), using: &generator)
    }

    package mutating func newID() -> ID {
        lastID += 1
        return lastID
    }

    package var isUp: Bool {
        if case .up = link { true } else { false }
    }

    /// Whether there is a connection on which everything is back.
    package var isOpen: Bool {
        if case .up(isAnnounced: true) = link { true } else { false }
    }

    package var isClosed: Bool {
        switch link {
        case .closing, .closed: true
        case .down, .connecting, .up: false
        }
    }

    /// What an observer is told.
    package var state: RecoveringConnection.State {
        switch link {
        case .closed(let error): .closed(error)
        case .up(isAnnounced: true): blockedReason.map { .blocked(reason: $0) } ?? .open
        case .closing: hasOpened ? .open : .connecting
        case .down, .connecting, .up(isAnnounced: false):
            if let reason {
                .recovering(attempt: connecting.failures + 1, reason: reason, nextTry: connecting.notBefore)
            } else {
                .connecting
            }
        }
    }

    // MARK: The connection

    package mutating func connected(now: Instant) {
        guard case .connecting = link else { return }
        link = .up(isAnnounced: false)
        epoch += 1
        hasLoggedIn = true
        blockedReason = nil
        hosts.connected()
        connecting.succeeded(now: now)
        pending = topology.entities.reversed().map { Pending(entity: $0) }
        hasDeferred = false
        for id in channels.keys { channels[id] = Channel() }
        for id in consumers.keys {
            consumers[id]?.isLive = false
            consumers[id]?.isSuspect = false
            consumers[id]?.backoff = Backoff()
        }
    }

    package mutating func connectFailed(_ error: AMQPError, now: Instant) {
        guard case .connecting = link else { return }
        link = .down
        let isPermanent = error.isPermanent(hasLoggedIn: hasLoggedIn)
        if isPermanent, !hosts.refused(error) { return close(error) }
        wait(because: error, now: now)
        // Not asked to go on, the first connection gets one try for each host.
        if !hasLoggedIn, !settings.policy.retriesFirstConnect, connecting.failures >= hosts.count { close(error) }
    }

    /// The connection of an epoch has ended.
    package mutating func lost(_ error: AMQPError, epoch: UInt64, now: Instant) {
        guard isUp, epoch == self.epoch else { return }
        link = .down
        for id in channels.keys { channels[id]?.instance = nil }
        for id in consumers.keys { consumers[id]?.isLive = false }
        if error.isConnectionError, let repeated = repeats(error, now) { return close(repeated) }
        wait(because: error, now: now)
    }

    /// Counts an error that ended an open connection; what to give up with, if there were too many of them.
    private mutating func repeats(_ error: AMQPError, _ now: Instant) -> AMQPError? {
        guard let limit = settings.policy.maximumConnectionErrors else { return nil }
        connectionErrors.removeAll { $0.duration(to: now) >= .seconds(60) }
        connectionErrors.append(now)
        guard connectionErrors.count > limit else { return nil }
        let text = "\(connectionErrors.count) connections ended within a minute for errors in what was sent or received"
        return AMQPError(
            .tooManyErrors,
            "\(text), which connecting again does not mend; the last one: \(error.message)",
            replyCode: error.replyCode,
            underlying: error,
            reply: error.reply
        )
    }

    private mutating func wait(because error: AMQPError, now: Instant) {
        reason = error
        connecting.failed(now: now, settings.policy, ways: hosts.count, using: &generator)
        if connecting.isExhausted(now: now, settings.policy) { return close(error) }
        hosts.advance()
    }

    package mutating func blocked(_ reason: String?, epoch: UInt64) {
        if epoch == self.epoch { blockedReason = reason }
    }

    package mutating func closeRequested() {
        if !isClosed { link = .closing }
    }

    /// The connection is of no use any more, or has been closed as asked.
    package mutating func close(_ error: AMQPError) {
        if case .closed = link { return }
        link = .closed(error)
    }

    // MARK: Channels

    /// A channel came about on the connection of an epoch; one of an earlier connection is opened again.
    ///
    /// - Returns: False if it comes too late: nobody would ever open it again, nor end it.
    @discardableResult
    package mutating func addChannel(_ id: ID, instance: UInt64, epoch: UInt64) -> Bool {
        guard !isClosed else { return false }
        channels[id] = Channel(instance: isUp && epoch == self.epoch ? instance : nil)
        return true
    }

    package mutating func channelOpened(_ id: ID, instance: UInt64, epoch: UInt64, now: Instant) {
        guard isUp, epoch == self.epoch, channels[id] != nil else { return }
        channels[id]?.instance = instance
        channels[id]?.backoff.succeeded(now: now)
    }

    package mutating func channelOpenFailed(_ id: ID, _ error: AMQPError, epoch: UInt64, now: Instant) {
        if error.endsConnection { return lost(error, epoch: epoch, now: now) }
        guard isUp, epoch == self.epoch, var channel = channels[id] else { return }
        channel.backoff.failed(now: now, settings.policy, using: &generator)
        channels[id] = channel
        if channel.backoff.failures >= settings.consumerAttempts {
            endings.append(.endChannel(id, error))
            removeChannel(id)
        }
    }

    /// An open channel has ended; the consumers on it are to be resumed.
    ///
    /// One that ends soon after it was opened is opened again after a pause: else a consumer whose deliveries end its
    /// channel each time would keep the broker busy with nothing.
    package mutating func channelClosed(_ id: ID, instance: UInt64, now: Instant) {
        guard var channel = channels[id], channel.instance == instance else { return }
        channel.instance = nil
        channel.backoff.ended(now: now, settings.policy, using: &generator)
        channels[id] = channel
        for (consumer, record) in consumers where record.channel == id { consumers[consumer]?.isLive = false }
    }

    package mutating func removeChannel(_ id: ID) {
        channels[id] = nil
        for (consumer, record) in consumers where record.channel == id { removeConsumer(consumer) }
    }

    // MARK: Consumers

    /// A consumer was started on a channel.
    ///
    /// - Returns: False if its channel has been closed for good meanwhile: nobody would ever resume it, nor end it.
    @discardableResult
    package mutating func addConsumer(
        _ id: ID,
        channel: ID,
        instance: UInt64,
        queue: String,
        tag: String,
        endsWhenCancelled: Bool
    ) -> Bool {
        guard !isClosed, let present = channels[channel] else { return false }
        // Started on a channel that is gone meanwhile, it is started again.
        let isLive = present.instance == instance
        consumers[id] = Consumer(
            channel: channel,
            queue: topology.currentName(queue),
            tag: tag,
            endsWhenCancelled: endsWhenCancelled,
            isLive: isLive
        )
        return true
    }

    package mutating func consumed(_ id: ID, instance: UInt64, now: Instant) {
        guard let consumer = consumers[id], channels[consumer.channel]?.instance == instance else { return }
        consumers[id]?.isLive = true
        consumers[id]?.isSuspect = false
        consumers[id]?.strikes = 0
        consumers[id]?.backoff.succeeded(now: now)
    }

    /// The queue of a suspect is there.
    package mutating func probed(_ id: ID) {
        consumers[id]?.isSuspect = false
    }

    package mutating func consumeFailed(_ id: ID, _ error: AMQPError, epoch: UInt64, now: Instant) {
        if error.endsConnection {
            if error.isConnectionError, var consumer = consumers[id] {
                consumer.strikes += 1
                consumers[id] = consumer
                // One that ends the connection each time would have it recovered for ever.
                if consumer.strikes >= min(Self.strikeLimit, settings.consumerAttempts) { end(id, error) }
            }
            return lost(error, epoch: epoch, now: now)
        }
        guard isUp, epoch == self.epoch else { return }
        retry(id, error, now: now)
    }

    /// The broker cancelled a consumer, as it does when its queue goes away.
    package mutating func consumerCancelled(_ id: ID, instance: UInt64, _ error: AMQPError, now: Instant) {
        guard let consumer = consumers[id], consumer.isLive, channels[consumer.channel]?.instance == instance else {
            return
        }
        if consumer.endsWhenCancelled || deleting[consumer.queue] != nil { return end(id, error) }
        retry(id, error, now: now)
    }

    /// A consumer was sent a message that this side does not take, and that will come again.
    package mutating func messageRefused(by id: ID, _ error: AMQPError, now: Instant) {
        guard var consumer = consumers[id] else { return }
        consumer.refusals.removeAll { $0.duration(to: now) >= .seconds(60) }
        consumer.refusals.append(now)
        consumers[id] = consumer
        if consumer.refusals.count >= settings.consumerAttempts { return end(id, error) }
        retry(id, error, now: now)
    }

    package mutating func removeConsumer(_ id: ID) {
        guard let consumer = consumers.removeValue(forKey: id) else { return }
        if !consumers.values.contains(where: { $0.queue == consumer.queue }) {
            topology.lastConsumerLeft(consumer.queue)
        }
    }

    private mutating func retry(_ id: ID, _ error: AMQPError, now: Instant) {
        guard var consumer = consumers[id] else { return }
        consumer.isLive = false
        consumer.backoff.failed(now: now, settings.policy, using: &generator)
        guard consumer.backoff.failures < settings.consumerAttempts else { return end(id, error) }
        consumer.isSuspect = true
        consumers[id] = consumer
        // The queue may be gone, and its bindings with it. One that is there must not be declared for nothing: had the
        // broker named it, the consumer would have another queue from then on.
        guard error.code == .notFound || error.code == .consumerCancelled else { return }
        for entity in topology.entities(of: consumer.queue) { enqueue(entity, notBefore: consumer.backoff.notBefore) }
    }

    /// Has an entity declared after those that wait already.
    mutating func enqueue(_ entity: RecoverableEntity, notBefore: Instant? = nil) {
        guard !pending.contains(where: { $0.entity == entity }) else { return }
        var entry = Pending(entity: entity)
        entry.backoff.postpone(until: notBefore)
        if notBefore != nil { hasDeferred = true }
        pending.insert(entry, at: 0)
    }

    private mutating func end(_ id: ID, _ error: AMQPError) {
        endings.append(.endConsumer(id, error))
        removeConsumer(id)
    }
}

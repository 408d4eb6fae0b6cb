internal import Synchronization
internal import Transport

/// Calls servers through queues, and matches their replies to the calls.
///
/// ```swift
/// let price = try await connection.withRPCClient { prices in
///     try await prices.call("prices", Array("apple".utf8), timeout: .seconds(2)).body
/// }
/// ```
///
/// Any number of tasks may call at once; replies may come in any order. Replies that come too late, and messages that
/// answer no call, are dropped and counted.
public final class RPCClient: Sendable {
    private struct Pending: Sendable {
        /// For calls that begin while there is no room.
        var turn: Waiter<Void>?
        let reply: Waiter<RPCReply>
    }

    private struct State: Sendable {
        var table: RPCCallTable
        var pending: [RPCCallTable.CallID: Pending] = [:]
        /// When the deadlines are looked at next.
        var sweepAt: ContinuousClock.Instant?

        mutating func turns() -> [Waiter<Void>] {
            var turns: [Waiter<Void>] = []
            while let call = table.nextToSend() {
                if let turn = pending[call]?.turn { turns.append(turn) }
            }
            return turns
        }
    }

    private let channel: AMQPChannel
    private let options: Options
    private let replyTo: String
    private let state: Mutex<State>

    private init(channel: AMQPChannel, replyTo: String, options: Options) {
        self.channel = channel
        self.replyTo = replyTo
        self.options = options
        let prefix = String(UInt64.random(in: 0 ... .max), radix: 36) + "-"
        state = Mutex(State(table: RPCCallTable(prefix: prefix, limit: options.maximumOutstanding)))
    }

    /// What it has on its hands, and what it has dropped so far.
    public var statistics: Statistics {
        state.withLock {
            Statistics(
                outstanding: $0.table.outstandingCount,
                waiting: $0.table.waitingCount,
                lateReplies: $0.table.lateReplies,
                unknownReplies: $0.table.unknownReplies
            )
        }
    }

    // MARK: Calling

    /// Calls the server of a queue.
    ///
    /// The same as ``call(_:timeout:)`` with a message for that queue.
    public func call(_ queue: String, _ body: [UInt8], timeout: Duration? = nil) async throws(AMQPError) -> RPCReply {
        try await call(AMQPMessage(routingKey: queue, body: body), timeout: timeout)
    }

    /// Sends a request and waits for its reply.
    ///
    /// The request is published with confirmation, and mandatory if its message is, as it is unless said otherwise:
    /// then a queue that does not exist is an error at once rather than a wait until the deadline. The client sets
    /// correlation id and reply address.
    ///
    /// - Parameters:
    ///   - request: Where to send the request, and what.
    ///   - timeout: `Options.timeout` unless given; the wait for room counts.
    /// - Throws: ``AMQPError``: `.remoteFailure` if the server's handler failed, and
    ///   ``AMQPError/rpcFailure`` is what it said; `.returned` if no queue took the request; `.timedOut`; `.cancelled`;
    ///   `.closed` after the client's scope; what ends channels and connections; what publishing throws.
    ///   ``AMQPError/isOutcomeUnknown`` tells whether the request may have been carried out. Cancelling ends the wait,
    ///   not the server's work.
    public func call(_ request: AMQPMessage, timeout: Duration? = nil) async throws(AMQPError) -> RPCReply {
        let timeout = timeout ?? options.timeout
        let deadline = ContinuousClock.now + timeout
        let (call, correlationID, pending) = try begin(deadline: deadline)
        if let turn = pending.turn {
            do throws(AMQPError) {
                try await turn.value("room for a call")
            } catch {
                abandon(call)
                throw error.publishing(wasSent: false)
            }
        }
        do throws(AMQPError) {
            let left = max(.zero, deadline - .now)
            try await channel.publish(addressed(request, correlationID, expiringIn: left), timeout: left)
        } catch {
            abandon(call)
            // The confirmation may fail to come although the reply has.
            if error.isOutcomeUnknown, pending.reply.isFinished, let reply = try? await pending.reply.value("a reply") {
                return reply
            }
            throw error
        }
        do throws(AMQPError) {
            return try await pending.reply.value("the reply to a call")
        } catch {
            abandon(call)
            throw error
        }
    }

    private func addressed(
        _ request: AMQPMessage,
        _ correlationID: String,
        expiringIn left: Duration
    ) -> AMQPMessage {
        var request = request
        request.properties.correlationID = correlationID
        request.properties.replyTo = replyTo
        if options.expiresRequests, request.properties.expiration == nil {
            // The broker's limit is that of an unsigned 32-bit number.
            let milliseconds = min(max(1, left / .milliseconds(1)), 4_294_967_295)
            request.properties.expiration = String(UInt32(milliseconds))
        }
        return request
    }

    private func begin(
        deadline: ContinuousClock.Instant
    ) throws(AMQPError) -> (call: RPCCallTable.CallID, correlationID: String, pending: Pending) {
        let (begun, mustArm) = try state.withLock { (state) throws(AMQPError) in
            let (call, maySend) = try state.table.begin(deadline: deadline)
            let pending = Pending(turn: maySend ? nil : Waiter(), reply: Waiter())
            state.pending[call] = pending
            let mustArm = state.sweepAt.map { deadline < $0 } ?? true
            if mustArm { state.sweepAt = deadline }
            return ((call, state.table.correlationID(of: call), pending), mustArm)
        }
        if mustArm { armSweep(at: deadline) }
        return begun
    }

    private func abandon(_ call: RPCCallTable.CallID) {
        let turns = state.withLock { state in
            state.pending.removeValue(forKey: call)
            state.table.abandoned(call)
            return state.turns()
        }
        for turn in turns { turn.finish(.success(())) }
    }

    // MARK: Deadlines

    /// One timer, at the earliest deadline; one that it overtakes finds nothing to do.
    private func armSweep(at deadline: ContinuousClock.Instant) {
        let loop = channel.connection.loop
        loop.execute { [weak self] in
            _ = loop.schedule(at: deadline) { [weak self] in self?.sweep(deadline) }
        }
    }

    private func sweep(_ deadline: ContinuousClock.Instant) {
        let (ended, turns, next) = state.withLock { state in
            let ended = state.table.tick(now: .now).map { ($0, state.pending.removeValue(forKey: $0.call)) }
            let turns = state.turns()
            var next: ContinuousClock.Instant?
            if state.sweepAt == deadline {
                next = state.table.nextDeadline
                state.sweepAt = next
            }
            return (ended, turns, next)
        }
        if let next { armSweep(at: next) }
        for (ended, pending) in ended {
            let text =
                ended.wasSent ? "no reply came in time" : "too many calls were outstanding; this one was not sent"
            pending.map { finish($0, AMQPError(.timedOut, text, isOutcomeUnknown: ended.wasSent), ended) }
        }
        for turn in turns { turn.finish(.success(())) }
    }

    private func finish(_ pending: Pending, _ error: AMQPError, _ ended: RPCCallTable.Ended) {
        if !ended.wasSent { pending.turn?.finish(.failure(error)) }
        pending.reply.finish(.failure(error))
    }

    // MARK: Receiving

    /// Prepares a channel, which the client then has to itself.
    static func open(
        on channel: AMQPChannel,
        options: Options
    ) async throws(AMQPError) -> (client: RPCClient, replies: AMQPConsumer) {
        let replyTo: String
        switch options.replyAddress {
        // RabbitMQ's pseudo-queue: consumed without acknowledgement, on the channel that publishes the requests.
        case .direct: replyTo = "amq.rabbitmq.reply-to"
        // Deleted with its consumer, so that it does not outlive the client on a connection that goes on.
        case .exclusiveQueue:
            replyTo = try await channel.declareQueue(durable: false, exclusive: true, autoDelete: true).name
        }
        // A reply lost with the channel could not be matched to a call any more, so nothing is to be acknowledged.
        let replies = try await channel.consume(replyTo, noAck: true)
        return (RPCClient(channel: channel, replyTo: replyTo, options: options), replies)
    }

    /// Takes replies until they end; then all calls have ended, too.
    func receive(_ replies: AMQPConsumer) async {
        let reason: AMQPError
        do throws(AMQPError) {
            while let delivery = try await replies.next() { received(delivery) }
            reason = AMQPError(.closed, "the channel of the calls was closed by this side")
        } catch {
            reason = error.code == .cancelled ? AMQPError(.closed, "the scope of the client has ended") : error
        }
        close(reason)
    }

    private func received(_ delivery: AMQPDelivery) {
        let (reply, turns) = state.withLock { state -> (Waiter<RPCReply>?, [Waiter<Void>]) in
            guard case .answers(let call) = state.table.replied(delivery.properties.correlationID) else {
                return (nil, [])
            }
            return (state.pending.removeValue(forKey: call)?.reply, state.turns())
        }
        if let failure = RPCFailure(delivery.properties.headers) {
            let error = AMQPError(.remoteFailure, "the server of the call failed: \(failure)", underlying: failure)
            reply?.finish(.failure(error))
        } else {
            reply?.finish(.success(RPCReply(delivery.body, properties: delivery.properties)))
        }
        for turn in turns { turn.finish(.success(())) }
    }

    private func close(_ reason: AMQPError) {
        let ended = state.withLock { state in
            state.table.close(reason).map { ($0, state.pending.removeValue(forKey: $0.call)) }
        }
        for (ended, pending) in ended {
            pending.map { finish($0, reason.publishing(wasSent: ended.wasSent), ended) }
        }
    }
}

internal import AMQP
internal import CeleriacCore
internal import Synchronization

/// Keeps one connection: opens it when first needed and, from then on, again after each loss.
final class ConnectionKeeper: Sendable {
    private struct State {
        var kept: (connection: RecoveringConnection, logging: Task<Void, Never>)?
        var isClosed = false
        /// Why, and until when, no other connection is begun.
        var rest: (error: AMQPError, until: ContinuousClock.Instant)?

        /// Begins the rest, once, after a connection that ended for too many errors.
        mutating func noteEnd(_ connection: RecoveringConnection) {
            guard rest == nil, kept?.connection === connection, case .closed(let error) = connection.state,
                error.code == .tooManyErrors
            else { return }
            rest = (error, .now + ConnectionKeeper.rest)
        }
    }

    /// How long it gives up after too many errors: a worker ends by then, and a program that only publishes tries anew.
    private static let rest = Duration.seconds(60)

    private let uris: [AMQPURI]
    private let options: RecoveringConnection.Options
    private let logger: TaskLogger
    private let state = Mutex(State())

    init(uris: [AMQPURI], options: AMQPConnection.Options, policy: ReconnectPolicy, logger: TaskLogger) {
        self.uris = uris
        self.logger = logger
        var recovering = RecoveringConnection.Options()
        recovering.connection = options
        recovering.reconnect = policy
        recovering.reconnect.retriesFirstConnect = true
        self.options = recovering
    }

    /// The live connection, or the next one.
    ///
    /// - Throws: ``AMQPError``: a permanent refusal at once; otherwise at the deadline what went wrong last.
    func connection(before deadline: ContinuousClock.Instant) async throws(AMQPError) -> AMQPConnection {
        if let live = state.withLock({ $0.kept?.connection.live }) { return live }
        let connection = try start()
        do throws(AMQPError) {
            return try await connection.connection(before: deadline)
        } catch {
            guard error.code == .timedOut else { throw error }
            throw AMQPError(.unreachable, error.message)
        }
    }

    /// The connection over all its recoveries, for those who declare and consume through it; begins to connect if need be.
    ///
    /// - Throws: ``AMQPError`` `.closed`.
    func recovering() throws(AMQPError) -> RecoveringConnection { try start() }

    /// Whether there is a connection now.
    var isConnected: Bool { state.withLock { $0.kept?.connection.live } != nil }

    /// Until when no other connection is begun, for tests.
    var restsUntil: ContinuousClock.Instant? { state.withLock { $0.rest?.until } }

    /// Ends the connection and every attempt for another one.
    ///
    /// - Parameter grace: For publishes that were sent to be confirmed; cancelling cuts it short.
    func close(within grace: Duration) async {
        let kept = state.withLock { state in
            state.isClosed = true
            return state.kept
        }
        await kept?.connection.close(within: grace)
        await kept?.logging.value
    }

    private func start() throws(AMQPError) -> RecoveringConnection {
        let result: Result<RecoveringConnection, AMQPError> = state.withLock { state in
            guard !state.isClosed else {
                return .failure(AMQPError(.closed, "the broker was closed by this process"))
            }
            if let kept = state.kept {
                guard kept.connection.isClosed else { return .success(kept.connection) }
                // Whoever tells of states may not have come to this one yet.
                state.noteEnd(kept.connection)
            }
            if let rest = state.rest {
                guard rest.until <= .now else { return .failure(rest.error) }
                state.rest = nil
            }
            // After a refusal the next caller tries once more all the same: the cause may have been mended.
            let connection = RecoveringConnection.connecting(to: uris, options: options)
            // Ends with its connection, as `close` has it do and waits for.
            let logging = Task { [weak self, logger] in
                await Self.log(connection.states, to: logger)
                self?.state.withLock { $0.noteEnd(connection) }
            }
            state.kept = (connection, logging)
            return .success(connection)
        }
        return try result.get()
    }

    private static func log(_ states: ConnectionStates, to logger: TaskLogger) async {
        var isKnown = false
        var hasBeenOpen = false
        for await state in states {
            switch state {
            case .open:
                if isKnown { logger.notice(hasBeenOpen ? "connected to the broker again" : "connected to the broker") }
                (isKnown, hasBeenOpen) = (false, true)
            // Once for each outage.
            case .recovering(_, let error, _) where !isKnown:
                isKnown = true
                let text =
                    hasBeenOpen ? "connection to the broker lost" : "cannot connect to the broker; trying again"
                logger.warning(text, metadata: [("error", error.description)])
            case .blocked(let reason):
                logger.warning("the broker takes no messages for now", metadata: [("reason", reason)])
            case .connecting, .recovering, .closed: break
            }
        }
    }
}

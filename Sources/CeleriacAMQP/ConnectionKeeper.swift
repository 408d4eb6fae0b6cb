internal import AMQP
internal import CeleriacCore
internal import Synchronization

/// Keeps one connection: opens it when first needed and again after a loss, for all who wait for it at once.
final class ConnectionKeeper: Sendable {
    private enum Phase {
        case idle
        case connecting(Task<Void, Never>)
        case connected(AMQPConnection)
        /// Trying again cannot help; the next caller tries once more all the same, the cause may have been mended.
        case refused(AMQPError)
        case closed
    }

    private struct State {
        var phase = Phase.idle
        var lastError: AMQPError?
        var nextWaiter = 0
        var waiters: [Int: CheckedContinuation<Result<AMQPConnection, AMQPError>, Never>] = [:]
    }

    private let uri: AMQPURI
    private let options: AMQPConnection.Options
    private let policy: ReconnectPolicy
    private let logger: TaskLogger
    private let state = Mutex(State())

    init(uri: AMQPURI, options: AMQPConnection.Options, policy: ReconnectPolicy, logger: TaskLogger) {
        self.uri = uri
        self.options = options
        self.policy = policy
        self.logger = logger
    }

    /// The live connection, or the next one.
    ///
    /// - Throws: ``AMQPError``: a permanent refusal at once; otherwise at the deadline what went wrong last.
    func connection(before deadline: ContinuousClock.Instant) async throws(AMQPError) -> AMQPConnection {
        if case .connected(let connection) = state.withLock({ $0.phase }), connection.closeReason == nil {
            return connection
        }
        let number = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        let timer = Task {
            try? await Task.sleep(until: deadline, clock: .continuous)
            if !Task.isCancelled { expire(number) }
        }
        defer { timer.cancel() }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in enter(number, continuation) }
        } onCancel: {
            resume(number, .failure(AMQPError(.cancelled, "waiting for \(uri) was cancelled")))
        }
        return try result.get()
    }

    /// Ends the connection and every attempt for another one.
    func close() async {
        let (phase, waiters) = state.withLock { state in
            let phase = state.phase
            state.phase = .closed
            defer { state.waiters = [:] }
            return (phase, Array(state.waiters.values))
        }
        for waiter in waiters { waiter.resume(returning: .failure(Self.closed)) }
        switch phase {
        case .connecting(let task):
            task.cancel()
            await task.value
        case .connected(let connection): await connection.close()
        case .idle, .refused, .closed: break
        }
    }

    private static let closed = AMQPError(.closed, "the broker was closed by this process")

    private func enter(_ number: Int, _ continuation: CheckedContinuation<Result<AMQPConnection, AMQPError>, Never>) {
        let immediate: Result<AMQPConnection, AMQPError>? = state.withLock { state in
            if Task.isCancelled { return .failure(AMQPError(.cancelled, "waiting for \(uri) was cancelled")) }
            switch state.phase {
            case .closed: return .failure(Self.closed)
            case .connected(let connection) where connection.closeReason == nil: return .success(connection)
            case .connecting: break
            case .idle, .refused, .connected:
                // Ends with a connection, a refusal, or `close()`, which waits for it.
                state.phase = .connecting(Task { await connect() })
            }
            state.waiters[number] = continuation
            return nil
        }
        if let immediate { continuation.resume(returning: immediate) }
    }

    private func connect() async {
        var generator = SystemRandomNumberGenerator()
        var attempt = 0
        while !Task.isCancelled {
            do throws(AMQPError) {
                let connection = try await AMQPConnection.connect(to: uri, options: options)
                return await connected(connection)
            } catch {
                if error.isPermanent { return refused(error) }
                if state.withLock({ state in
                    defer { state.lastError = error }
                    return state.lastError == nil
                }) {
                    logger.warning("cannot connect to the broker; trying again", metadata: [("error", error.description)])
                }
            }
            try? await Task.sleep(for: policy.delay(attempt: attempt, using: &generator))
            attempt += 1
        }
    }

    private func connected(_ connection: AMQPConnection) async {
        let waiters: [CheckedContinuation<Result<AMQPConnection, AMQPError>, Never>]? = state.withLock { state in
            if case .closed = state.phase { return nil }
            state.phase = .connected(connection)
            state.lastError = nil
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        guard let waiters else { return await connection.close() }
        connection.onClose { [logger] error in
            if error.code != .closed {
                logger.warning("connection to the broker lost", metadata: [("error", error.description)])
            }
        }
        for waiter in waiters { waiter.resume(returning: .success(connection)) }
    }

    private func refused(_ error: AMQPError) {
        let waiters = state.withLock { state in
            if case .connecting = state.phase { state.phase = .refused(error) }
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: .failure(error)) }
    }

    private func expire(_ number: Int) {
        let cause = state.withLock { $0.lastError.map { ": \($0.message)" } ?? "" }
        resume(number, .failure(AMQPError(.unreachable, "no connection to \(uri) in time\(cause)")))
    }

    private func resume(_ number: Int, _ result: Result<AMQPConnection, AMQPError>) {
        let waiter = state.withLock { $0.waiters.removeValue(forKey: number) }
        waiter?.resume(returning: result)
    }
}

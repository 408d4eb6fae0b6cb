internal import Transport

/// Whom a reconnector serves.
///
/// Called on the event loop.
protocol ReconnectorOwner: RedisConnectionOwner {
    /// Whether somebody waits for a connection; an unwanted one is not attempted.
    var wantsConnection: Bool { get }
    /// A connection is there; the owner adopts it, or returns false when it has ended already.
    func connected(_ connection: RedisConnection) -> Bool
    /// An attempt failed; with a permanent error, whoever waits is to be told.
    func attemptFailed(_ error: RedisError, isPermanent: Bool)
}

/// Keeps one connection open for as long as its owner wants one.
///
/// Each failure is followed by a growing wait. A connection that does not live longer than the longest wait counts as a
/// failure too, so that a server which accepts and drops is not stormed.
///
// Soundness of @unchecked Sendable: everything mutable is used on the event loop only.
final class Reconnector: @unchecked Sendable {
    private enum State {
        case idle
        case connecting(Task<Void, Never>)
        case backingOff(TimerID)
        case connected(RedisConnection)
        case closed
    }

    private let configuration: RedisConfiguration
    private let loop: EventLoop
    private weak var owner: (any ReconnectorOwner)?
    private var state = State.idle
    private var failedAttempts = 0
    private var connectedAt: ContinuousClock.Instant?
    private var notBefore: ContinuousClock.Instant?
    private var refusal: RedisError?
    private var search: SentinelSearch?
    /// Why there is no connection.
    private(set) var lastFailure: RedisError?

    init(_ configuration: RedisConfiguration, on loop: EventLoop) {
        self.configuration = configuration
        self.loop = loop
        search = configuration.url.sentinels.map { SentinelSearch($0.endpoints) }
    }

    deinit {
        guard case .connected(let connection) = state else { return }
        loop.execute { connection.assumeIsolated { $0.abort(.closed, "the client was dropped") } }
    }

    var connection: RedisConnection? {
        if case .connected(let connection) = state { connection } else { nil }
    }

    var isClosed: Bool {
        if case .closed = state { true } else { false }
    }

    /// Why no attempt is made for now, when the server has refused the credentials.
    var currentRefusal: RedisError? {
        guard let refusal, let notBefore, notBefore > .now else { return nil }
        return refusal
    }

    /// Sees to it that there will be a connection.
    func start(for owner: any ReconnectorOwner) {
        guard case .idle = state else { return }
        self.owner = owner
        let delay = notBefore.map { ContinuousClock.now.duration(to: $0) } ?? .zero
        guard delay > .zero else { return connect() }
        state = .backingOff(loop.schedule(after: delay) { [weak self] in self?.backoffEnded() })
    }

    private func backoffEnded() {
        guard case .backingOff = state else { return }
        // Nobody waits: an idle client leaves a dead server alone, and the next command tries again.
        if owner?.wantsConnection == true { connect() } else { state = .idle }
    }

    private func connect() {
        // The task is owned by the state, ends within the connect timeout, and `close` cancels and awaits it.
        state = .connecting(
            Task { [configuration, loop, search, weak self] in
                var search = search
                let result: Result<RedisConnection, RedisError>
                do throws(RedisError) {
                    result = .success(try await RedisConnection.connect(configuration, search: &search, on: loop))
                } catch {
                    result = .failure(error)
                }
                let learnt = search
                await withCheckedContinuation { continuation in
                    loop.execute { [weak self] in
                        if let self { self.attempted(result, learnt) } else { Self.drop(result) }
                        continuation.resume()
                    }
                }
            }
        )
    }

    private static func drop(_ result: Result<RedisConnection, RedisError>) {
        guard case .success(let connection) = result else { return }
        connection.assumeIsolated { $0.abort(.closed, "nobody wants the connection any more") }
    }

    private func attempted(_ result: Result<RedisConnection, RedisError>, _ search: SentinelSearch?) {
        self.search = search
        guard case .connecting = state, let owner else { return Self.drop(result) }
        switch result {
        case .success(let connection):
            state = .connected(connection)
            connectedAt = .now
            lastFailure = nil
            refusal = nil
            notBefore = nil
            if !owner.connected(connection) {
                _ = lost(connection, RedisError(.connectionLost, "\(configuration.url) hung up after the greeting"))
                resume()
            }
        case .failure(let error):
            let isPermanent = error.isPermanent
            failedAttempts += 1
            lastFailure = error
            refusal = isPermanent ? error : nil
            // Wrong credentials do not become right by trying often.
            let cap = configuration.backoff.cap
            notBefore = .now + (isPermanent ? cap : configuration.backoff.delay(attempt: failedAttempts))
            state = .idle
            owner.attemptFailed(error, isPermanent: isPermanent)
            resume()
        }
    }

    /// Goes on when somebody still wants a connection.
    func resume() {
        if let owner, owner.wantsConnection { start(for: owner) }
    }

    /// The connection has ended or is no good any more.
    ///
    /// - Returns: Whether it was the current one. ``resume()`` goes on.
    func lost(_ connection: RedisConnection, _ reason: RedisError) -> Bool {
        guard case .connected(let current) = state, current === connection else { return false }
        state = .idle
        lastFailure = reason
        let lifetime = connectedAt.map { $0.duration(to: .now) } ?? .zero
        failedAttempts = lifetime > configuration.backoff.cap ? 0 : failedAttempts + 1
        notBefore = .now + configuration.backoff.delay(attempt: failedAttempts)
        return true
    }

    /// The sentinels have made another server the master: a connection to the former one is given up, a wait for the next
    /// attempt cut short.
    func masterMoved(to endpoint: Endpoint) {
        switch state {
        case .connected(let connection) where connection.configuration.url.endpoint != endpoint:
            connection.assumeIsolated { $0.abort(.connectionLost, "the sentinels have made \(endpoint) the master") }
        case .backingOff(let timer):
            loop.cancel(timer)
            notBefore = nil
            backoffEnded()
        case .connected, .idle, .connecting, .closed: break
        }
    }

    /// Ends for good; returns what remains to be awaited.
    func close() -> @Sendable () async -> Void {
        let previous = state
        state = .closed
        switch previous {
        case .idle, .closed: return {}
        case .connecting(let attempt):
            attempt.cancel()
            return { await attempt.value }
        case .backingOff(let timer):
            loop.cancel(timer)
            return {}
        case .connected(let connection): return { await connection.close() }
        }
    }
}

extension RedisError {
    /// Whether connecting again with the same configuration would end the same way.
    var isPermanent: Bool {
        switch code {
        case .authentication, .notPermitted, .invalidDatabase, .invalidClientName, .clusterNotSupported: true
        default: false
        }
    }
}

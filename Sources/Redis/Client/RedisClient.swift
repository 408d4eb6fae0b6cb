package import Transport

/// A client of one Redis server: connects when first used, and again whenever the connection is lost.
///
/// Share one client among all tasks: their commands travel on one connection and share its writes. A command issued
/// while there is no connection waits for one until its deadline. A command that was on its way when the connection
/// was lost fails with `.outcomeUnknown`, or is sent again when it was marked `retry: .idempotent`. A command that the
/// server has refused without running it, because it is loading, busy or no longer the master, is sent again within its
/// deadline whatever its mark. Blocking commands such as `BLPOP` and connection state such as `SELECT` or `WATCH` do not
/// belong on a shared connection.
///
/// ```swift
/// let redis = RedisClient(RedisConfiguration(try RedisURL("redis://localhost/0")))
/// try await redis.send(RedisCommand("SET", "greeting", "hello", "EX", 60))
/// let text = try await redis.send(RedisCommand("GET", "greeting"), retry: .idempotent).string
/// ```
public actor RedisClient: RequestSink {
    nonisolated let loop: EventLoop
    /// What the client was made with.
    public nonisolated let configuration: RedisConfiguration
    /// The client runs on its connection's event loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    let link: Reconnector
    var waiting: RequestQueue<PendingRequest>
    /// Requests that a server has refused for now, each with the timer after which it is sent again.
    var refusedRequests: [ObjectIdentifier: (request: PendingRequest, timer: TimerID)] = [:]
    private var timer: TimerID?
    private var timerDeadline: ContinuousClock.Instant?

    /// Makes a client; it connects when the first command is sent.
    public init(_ configuration: RedisConfiguration) {
        self.init(configuration, on: .shared)
    }

    package init(_ configuration: RedisConfiguration, on loop: EventLoop) {
        self.configuration = configuration
        self.loop = loop
        link = Reconnector(configuration, on: loop)
        waiting = RequestQueue(
            maximumSent: .init(requests: 0),
            maximumWaiting: configuration.waitingBound,
            grace: configuration.suspectGrace
        )
    }

    // MARK: Commands

    /// Sends one command and waits for its reply.
    ///
    /// - Parameters:
    ///   - timeout: For everything, reconnecting included; the configuration's when absent.
    ///   - retry: Whether the command may be repeated when its outcome is unknown.
    /// - Throws: ``RedisError``, also for an error reply. Cancelling ends the wait only; the command may still run.
    @discardableResult
    public nonisolated func send(
        _ command: RedisCommand,
        timeout: Duration? = nil,
        retry: RedisRetry = .never
    ) async throws(RedisError) -> RESPValue {
        try await perform(command, deadline: deadline(timeout), retry: retry)
    }

    /// Sends commands in one piece, with nothing of this client between them, and waits for all replies.
    ///
    /// Error replies are values among them.
    public nonisolated func pipeline(
        _ commands: [RedisCommand],
        timeout: Duration? = nil,
        retry: RedisRetry = .never
    ) async throws(RedisError) -> [RESPValue] {
        try await perform(commands, deadline: deadline(timeout), retry: retry)
    }

    /// Runs commands between `MULTI` and `EXEC`, and returns their replies.
    ///
    /// - Throws: ``RedisError``, code `.transactionAborted`, when none of them ran.
    public nonisolated func transaction(
        _ commands: [RedisCommand],
        timeout: Duration? = nil,
        retry: RedisRetry = .never
    ) async throws(RedisError) -> [RESPValue] {
        try await performTransaction(commands, deadline: deadline(timeout), retry: retry)
    }

    /// Runs a script on the server, by its digest where the server has it.
    ///
    /// - Throws: ``RedisError``. A server that has forgotten the script is given it again, once.
    @discardableResult
    public nonisolated func evaluate(
        _ script: RedisScript,
        keys: [String] = [],
        arguments: RedisArguments = [],
        timeout: Duration? = nil,
        retry: RedisRetry = .never
    ) async throws(RedisError) -> RESPValue {
        var words = RedisArguments(arguments: 0, octets: 0)
        for key in keys { words.append(key) }
        words.append(contentsOf: arguments)
        return try await evaluate(script, keyCount: keys.count, words: words, timeout: timeout, retry: retry)
    }

    /// Runs a script whose keys and arguments stand in one list, for those who run the same script all the time.
    ///
    /// - Parameter words: The keys, then the arguments.
    package nonisolated func evaluate(
        _ script: RedisScript,
        keyCount: Int,
        words: RedisArguments,
        timeout: Duration? = nil,
        retry: RedisRetry = .never
    ) async throws(RedisError) -> RESPValue {
        let deadline = deadline(timeout)
        if script.digest == nil {
            let loaded = try await perform(script.loadCommand, deadline: deadline, retry: .idempotent)
            guard let digest = loaded.string else { throw RedisError(.unexpectedReply, "SCRIPT LOAD gave no digest") }
            script.learn(digest)
        }
        func request(_ name: String, _ text: String) -> PendingRequest {
            let bytes = RedisCommand.encodedScript(name, text, keyCount: keyCount, words: words)
            return PendingRequest(bytes, expected: 1, summary: name, deadline: deadline, retry: retry)
        }
        do {
            return try await performSingle(request("EVALSHA", script.digest ?? ""))
        } catch {
            guard error.code == .noScript else { throw error }
            // EVAL also stores the script, so the next call finds it again.
            return try await performSingle(request("EVAL", script.source))
        }
    }

    /// Ends the connection; commands that wait, and later ones, fail with `.closed`.
    ///
    /// What was already sent is given until its deadline to be answered.
    public func close() async {
        let ended = link.close()
        let repeated = endRefused()
        for request in waiting.end().unsent + repeated {
            request.fail(.closed, "\(request.summary): the client was closed")
        }
        if let timer { loop.cancel(timer) }
        await ended()
    }

    /// The sentinels have made another server the master.
    package nonisolated func leaveMaster(for endpoint: Endpoint) {
        loop.execute { [weak self] in
            guard let self else { return }
            self.assumeIsolated { $0.link.masterMoved(to: endpoint) }
        }
    }

    private nonisolated func deadline(_ timeout: Duration?) -> ContinuousClock.Instant {
        .now + (timeout ?? configuration.commandTimeout)
    }

    // MARK: On the loop

    func accept(_ request: PendingRequest) {
        if let connection = link.connection { return connection.assumeIsolated { $0.accept(request) } }
        guard !link.isClosed else { return request.fail(.closed, "\(request.summary): the client was closed") }
        if let refusal = link.currentRefusal { return request.settle(.failure(refusal)) }
        enqueue(request)
        link.start(for: self)
    }

    func enqueue(_ request: PendingRequest) {
        guard !request.isSettled else { return }
        guard
            waiting.submit(
                request,
                expecting: request.expected,
                octets: request.bytes.count,
                deadline: request.deadline
            )
        else { return request.fail(.overloaded, "\(waiting.waitingCount) requests wait for \(configuration.url)") }
        armTimer()
    }

    private func armTimer() {
        guard let deadline = waiting.nextDeadline else { return }
        if let timerDeadline, timerDeadline <= deadline { return }
        if let timer { loop.cancel(timer) }
        timerDeadline = deadline
        timer = loop.schedule(at: deadline) { [weak self] in
            guard let self else { return }
            self.assumeIsolated { $0.tick() }
        }
    }

    private func tick() {
        timer = nil
        timerDeadline = nil
        for request in waiting.tick(now: .now).unsent {
            request.timeOut(wasSent: false, at: configuration.url.description, cause: link.lastFailure)
        }
        armTimer()
    }
}

package import Transport

/// Who is told of a connection's end and of what it did not ask for.
///
/// Called on the event loop.
protocol RedisConnectionOwner: AnyObject, Sendable {
    /// The connection has ended with these requests open; the owner settles them.
    func ended(_ connection: RedisConnection, unsent: [PendingRequest], sent: [PendingRequest], reason: RedisError)
    /// A request's answer has error replies on which a client acts; true when the owner keeps the request.
    func refused(_ connection: RedisConnection, request: PendingRequest, verdict: AnswerVerdict) -> Bool
    /// A reply came on a connection that listens to channels.
    func pushed(_ value: RESPValue, on connection: RedisConnection)
}

/// One connection to a Redis server, authenticated and with its database selected.
///
/// Commands of concurrent callers share writes and are answered in order. When the connection ends it stays ended:
/// ``RedisClient`` is the one that reconnects. It stays open until the server or ``close()`` ends it.
public actor RedisConnection: RequestSink {
    nonisolated let loop: EventLoop
    nonisolated let configuration: RedisConfiguration
    /// The connection runs on its event loop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    private let stream: ByteStream
    private let parser: RESPParser
    private var queue: RequestQueue<PendingRequest>
    private var timer: TimerID?
    private var timerDeadline: ContinuousClock.Instant?
    private weak var owner: (any RedisConnectionOwner)?
    private var isListening = false
    private var isRetired = false
    private var endReason: RedisError?
    private var endWaiters: [CheckedContinuation<Void, Never>] = []

    private init(_ stream: ByteStream, _ parser: sending RESPParser, _ configuration: RedisConfiguration) {
        self.stream = stream
        self.parser = parser
        self.configuration = configuration
        loop = stream.loop
        queue = RequestQueue(
            maximumSent: configuration.inFlightBound,
            maximumWaiting: configuration.waitingBound,
            grace: configuration.suspectGrace
        )
    }

    /// Connects, authenticates and selects the database.
    ///
    /// With sentinels in the URL, to the master that they name at this moment.
    ///
    /// - Throws: ``RedisError``: `.cannotConnect`, `.tlsFailed`, `.authentication`, `.loading` and others. Cancelling closes a
    ///   half-open connection.
    public static func connect(_ configuration: RedisConfiguration) async throws(RedisError) -> RedisConnection {
        try await connect(configuration, on: .shared)
    }

    package static func connect(
        _ configuration: RedisConfiguration,
        on loop: EventLoop
    ) async throws(RedisError) -> RedisConnection {
        var search = configuration.url.sentinels.map { SentinelSearch($0.endpoints) }
        return try await connect(configuration, search: &search, on: loop)
    }

    /// Connects to the endpoint of the URL itself.
    static func open(
        _ configuration: RedisConfiguration,
        on loop: EventLoop
    ) async throws(RedisError) -> RedisConnection {
        let deadline = ContinuousClock.now + configuration.connectTimeout
        let place = configuration.url.description
        let stream: ByteStream
        do {
            stream = try await ByteStream.connect(
                to: configuration.url.endpoint,
                on: loop,
                timeout: configuration.connectTimeout,
                tls: configuration.url.tls,
                options: configuration.socket
            )
        } catch {
            let code: RedisError.Code =
                switch error.code {
                case .cancelled: .cancelled
                case .tlsFailed: .tlsFailed
                default: .cannotConnect
                }
            throw RedisError(code, "connect to \(place)", underlying: error)
        }
        let parser: RESPParser
        do {
            parser = try RESPParser(limits: configuration.parserLimits)
        } catch {
            await abandon(stream)
            throw RedisError(.outOfMemoryLocally, "connect to \(place)", underlying: error)
        }
        let connection = RedisConnection(stream, parser, configuration)
        await connection.start()
        do {
            try await connection.introduce(deadline: deadline)
        } catch {
            await connection.abort(.closed, "the greeting failed")
            throw error
        }
        return connection
    }

    private static func abandon(_ stream: ByteStream) async {
        stream.loop.execute { stream.abort(TransportError(.closed, "abandoned")) }
    }

    private func start() {
        stream.setUserTimeout(configuration.unacknowledgedTimeout)
        stream.start(self)
    }

    private nonisolated func introduce(deadline: ContinuousClock.Instant) async throws(RedisError) {
        let url = configuration.url
        var commands: [RedisCommand] = []
        if let password = url.password {
            commands.append(url.user.map { RedisCommand("AUTH", $0, password) } ?? RedisCommand("AUTH", password))
        }
        if url.database != 0 { commands.append(RedisCommand("SELECT", url.database)) }
        if let name = configuration.clientName { commands.append(RedisCommand("CLIENT", "SETNAME", name)) }
        // A server that is loading, or demands a password, says so here rather than to the first command.
        commands.append(RedisCommand("PING"))
        let replies = try await perform(commands, deadline: deadline, retry: .never)
        for (command, reply) in zip(commands, replies) {
            guard case .error(let text) = reply else { continue }
            if let error = Self.greetingError(command.name, text, at: url.description) { throw error }
        }
    }

    /// What a refused command of the greeting means; nothing when it does not matter.
    package static func greetingError(_ command: String, _ text: String, at place: String) -> RedisError? {
        let reply = ErrorReply(text)
        // A user may be denied the commands that only this client cares about.
        if reply.code == .notPermitted, command == "PING" || command == "CLIENT" { return nil }
        guard reply.code == .command else {
            return RedisError(reply.code, "\(place) answered \(command): \(reply.message)")
        }
        switch command {
        case "AUTH":
            // "unknown command" repeats the arguments, which here are the credentials.
            return RedisError(.authentication, "\(place) answered AUTH: \(text.prefix { $0 != "," })")
        case "SELECT":
            return RedisError(.invalidDatabase, "\(place) answered SELECT: \(text) (see databases in redis.conf)")
        case "CLIENT":
            return RedisError(.invalidClientName, "\(place) answered CLIENT SETNAME: \(text)")
        default: return RedisError(.command, "\(place) answered \(command): \(text)")
        }
    }

    // MARK: Commands

    /// Sends one command and waits for its reply.
    ///
    /// - Parameter timeout: Instead of the configuration's.
    /// - Throws: ``RedisError``, also for an error reply. Cancelling ends the wait only; the command may still run.
    public nonisolated func send(
        _ command: RedisCommand,
        timeout: Duration? = nil
    ) async throws(RedisError) -> RESPValue {
        try await perform(command, deadline: deadline(timeout), retry: .never)
    }

    /// Sends commands in one piece and waits for all replies; error replies are values among them.
    public nonisolated func pipeline(
        _ commands: [RedisCommand],
        timeout: Duration? = nil
    ) async throws(RedisError) -> [RESPValue] {
        try await perform(commands, deadline: deadline(timeout), retry: .never)
    }

    /// Runs commands between `MULTI` and `EXEC`, and returns their replies.
    ///
    /// - Throws: ``RedisError``, code `.transactionAborted`, when none of them ran.
    public nonisolated func transaction(
        _ commands: [RedisCommand],
        timeout: Duration? = nil
    ) async throws(RedisError) -> [RESPValue] {
        try await performTransaction(commands, deadline: deadline(timeout), retry: .never)
    }

    private nonisolated func deadline(_ timeout: Duration?) -> ContinuousClock.Instant {
        .now + (timeout ?? configuration.commandTimeout)
    }

    func accept(_ request: PendingRequest) {
        if let endReason {
            return request.fail(.connectionLost, "\(request.summary): the connection has ended", cause: endReason)
        }
        guard !isRetired else { return request.fail(.closed, "\(request.summary): the connection was closed") }
        guard
            queue.submit(
                request,
                expecting: request.expected,
                octets: request.bytes.count,
                deadline: request.deadline
            )
        else { return request.fail(.overloaded, "\(queue.waitingCount) requests wait for \(stream.peer)") }
        sendWaiting()
        armTimer()
    }

    private func sendWaiting() {
        guard !isRetired else { return }
        while stream.isWritable, let request = queue.nextToSend(where: { !$0.isSettled }) {
            stream.write(request.bytes)
        }
    }

    // MARK: Time

    private func armTimer() {
        guard let deadline = queue.nextDeadline else { return }
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
        let due = queue.tick(now: .now)
        for request in due.unsent { request.timeOut(wasSent: false, at: stream.peer) }
        for request in due.sent { request.timeOut(wasSent: true, at: stream.peer) }
        if due.isDead {
            // A peer believed dead is left at once: a polite goodbye would wait on it again.
            abort(.timedOut, "\(stream.peer) has answered nothing since a command timed out")
        } else {
            armTimer()
        }
    }

    // MARK: Ownership

    func adopt(by owner: any RedisConnectionOwner, listening: Bool = false) -> Bool {
        guard endReason == nil else { return false }
        self.owner = owner
        isListening = listening
        return true
    }

    /// Writes commands whose answers come to the owner.
    func write(_ bytes: [UInt8]) { stream.write(bytes) }

    /// Takes back what was not sent, and ends when the rest has been answered.
    func retire() -> [PendingRequest] {
        isRetired = true
        let unsent = queue.endWaiting()
        if queue.isEmpty { stream.close(grace: .seconds(1)) }
        return unsent
    }

    func abort(_ code: RedisError.Code, _ message: String) {
        end(RedisError(code, message))
        stream.abort(TransportError(.closed, message))
    }

    /// Ends when what was sent has been answered or has timed out; what was not sent fails with `.closed`.
    public func close() async {
        for request in retire() { request.fail(.closed, "\(request.summary) was not sent: the connection was closed") }
        guard endReason == nil else { return }
        await withCheckedContinuation { endWaiters.append($0) }
    }

    private func end(_ reason: RedisError) {
        guard endReason == nil else { return }
        endReason = reason
        if let timer { loop.cancel(timer) }
        timer = nil
        for waiter in endWaiters { waiter.resume() }
        endWaiters = []
        let (unsent, sent) = queue.end()
        if let owner { return owner.ended(self, unsent: unsent, sent: sent, reason: reason) }
        for request in unsent { request.fail(.connectionLost, "\(request.summary) was not sent", cause: reason) }
        for request in sent {
            request.fail(.connectionLost, "\(request.summary) was sent", cause: reason, mayHaveExecuted: true)
        }
    }

    private func handle(_ reply: RESPValue) {
        if isListening {
            owner?.pushed(reply, on: self)
            return
        }
        switch queue.received(reply) {
        case .complete(let request, let value):
            let verdict = request.verdict(on: value)
            if verdict != .deliver, owner?.refused(self, request: request, verdict: verdict) == true { return }
            request.settle(.success(value))
        case .partial, .discarded: break
        case .unsolicited:
            // A server that turns a client away, because there are too many, says so before it is asked.
            if case .error(let text) = reply { return abort(.cannotConnect, "\(stream.peer) hung up: \(text)") }
            abort(.protocolViolation, "\(stream.peer) sent a reply that nothing had asked for")
        }
    }

    private func parse(_ bytes: UnsafeRawBufferPointer) {
        parser.parse(bytes) { value in
            if endReason == nil { handle(value) }
        } failed: { error in
            abort(.protocolViolation, "\(stream.peer) sent what is not RESP: \(error)")
        }
        guard endReason == nil else { return }
        sendWaiting()
        if isRetired, queue.isEmpty { stream.close(grace: .seconds(1)) }
    }

    private func streamEnded(_ reason: TransportError) {
        end(RedisError(reason.code == .closed ? .closed : .connectionLost, "\(configuration.url)", underlying: reason))
    }
}

extension RedisConnection: ByteStreamHandler {
    package nonisolated func received(_ bytes: UnsafeRawBufferPointer) -> Int {
        // Sound: the closure runs at once on this very thread, within the call for which the pointer is valid.
        nonisolated(unsafe) let input = bytes
        assumeIsolated { $0.parse(input) }
        return bytes.count
    }

    package nonisolated func writabilityChanged(_ isWritable: Bool) {
        guard isWritable else { return }
        assumeIsolated { $0.sendWaiting() }
    }

    package nonisolated func closed(_ reason: TransportError) {
        assumeIsolated { $0.streamEnded(reason) }
    }
}

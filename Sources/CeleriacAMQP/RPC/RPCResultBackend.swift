internal import AMQP
public import CeleriacCore
internal import Synchronization

/// Results as messages to the caller, compatible with Celery's `rpc://` backend: no store, only the broker.
///
/// A worker sends each record to the queue that the call names; a caller has one such queue for its process. So only
/// the process that made a call learns of its result, and forgets it when it ends. Records that have come are kept in
/// memory, within bounds.
public final class RPCResultBackend: ResultBackend {
    typealias Opening = SharedAttempt<Void>

    enum Receiving {
        case no
        /// The task opens the queue.
        case soon(Opening, Task<Void, Never>)
        /// The task takes what comes.
        case yes(Task<Void, Never>)
        case closed
    }

    struct State {
        var expected: ExpectedReplies
        var receiving = Receiving.no
    }

    /// Calls that are remembered while they are not answered, and answered calls.
    public static let maximumCalls = 100_000
    /// Octets of results that are kept in memory; beyond, the oldest are dropped.
    public static let maximumOctets = 64 << 20

    /// `rpc://`.
    public let address = "rpc://"
    private let broker: AMQPBroker
    private let options: RPCResultOptions
    private let ttl: Duration
    private let logger: TaskLogger
    let records: MemoryResultBackend
    let state: Mutex<State>
    /// The reply address of this process' calls.
    private let queue = TaskID.random().rawValue

    /// Results by message through a broker, whose connections it shares.
    ///
    /// - Parameters:
    ///   - url: `rpc://`. With `?persistent=true` results that wait for an absent caller survive a restart of the broker;
    ///     `expires` is how many seconds a caller may be away before its queue is deleted, an hour unless given.
    ///   - ttl: How long a result is kept that does not say it, as those of Python; zero is for ever, within the bounds.
    /// - Throws: ``CeleriacError`` `.configuration` for a URL that cannot be read.
    public convenience init(
        _ url: ServerURL = "rpc://",
        through broker: AMQPBroker,
        ttl: Duration = .seconds(86_400),
        time: any TimeSource = SystemTimeSource(),
        logger: TaskLogger = .silent
    ) throws(CeleriacError) {
        try self.init(
            url,
            through: broker,
            ttl: ttl,
            time: time,
            logger: logger,
            maximumCalls: Self.maximumCalls,
            maximumOctets: Self.maximumOctets
        )
    }

    package init(
        _ url: ServerURL,
        through broker: AMQPBroker,
        ttl: Duration,
        time: any TimeSource,
        logger: TaskLogger,
        maximumCalls: Int,
        maximumOctets: Int
    ) throws(CeleriacError) {
        options = try RPCResultOptions(url)
        self.broker = broker
        self.ttl = ttl
        self.logger = logger.labelled("celeriac.rpc")
        records = MemoryResultBackend(maximumOctets: maximumOctets, time: time)
        state = Mutex(State(expected: ExpectedReplies(limit: maximumCalls)))
    }

    /// None: a result goes to its caller alone.
    public var abilities: ResultAbilities { [] }

    /// Connects the broker.
    public func open(within timeout: Duration) async throws(CeleriacError) {
        try await broker.open(within: timeout)
    }

    // MARK: Sending

    /// Sends a record to the caller; one that names no reply queue wants none.
    ///
    /// - Returns: Whether a queue took it: a caller that has gone misses nothing.
    @discardableResult
    public func store(
        _ record: TaskRecord,
        ttl: Duration,
        within timeout: Duration
    ) async throws(CeleriacError) -> Bool {
        guard let reply = record.reply else { return false }
        let message = Message(reply, carrying: record, ttl: ttl, isPersistent: options.isPersistent)
        do throws(CeleriacError) {
            try await broker.publish(
                message,
                to: Route(exchange: "", routingKey: reply.queue),
                delay: nil,
                within: timeout
            )
            return true
        } catch {
            guard error.code == .unroutable else { throw error }
            logger.debug("the caller is gone; its result is dropped", metadata: [("id", record.task.rawValue)])
            return false
        }
    }

    // MARK: Receiving

    /// Sees to it that the process' reply queue exists and is consumed, and remembers the call.
    public func expect(_ task: TaskID, within timeout: Duration) async throws(CeleriacError) -> String? {
        try await receive(within: timeout)
        let evicted = state.withLock { $0.expected.expect(task) }
        if let evicted {
            logger.debug("too many calls without result; the oldest is forgotten", metadata: [("id", evicted.rawValue)])
            try await records.forget(evicted)
        }
        return queue
    }

    private func receive(within timeout: Duration) async throws(CeleriacError) {
        let opening = try state.withLock { state throws(CeleriacError) -> Opening? in
            switch state.receiving {
            case .yes: return nil
            case .soon(let opening, _): return opening
            case .closed: throw Self.closed
            case .no:
                let opening = Opening()
                // Ends with the consumer; `close` cancels and awaits it.
                let task = Task { await run(opening) }
                state.receiving = .soon(opening, task)
                return opening
            }
        }
        guard let opening else { return }
        do throws(AMQPError) {
            try await opening.value(before: .now + timeout)
        } catch {
            throw CeleriacError(error, attempting: "prepare the reply queue")
        }
    }

    /// Opens the queue and takes what comes, again and again until `close`.
    ///
    /// Only of the first attempt somebody waits for the outcome: if that fails, the next call tries anew.
    private func run(_ opening: Opening) async {
        var generator = SystemRandomNumberGenerator()
        var failures = 0
        while !Task.isCancelled {
            do throws(AMQPError) {
                let replies = try await open()
                failures = 0
                state.withLock { state in
                    if case .soon(_, let task) = state.receiving { state.receiving = .yes(task) }
                }
                opening.finish(.success(()))
                guard let reason = await replies.receive({ await take($0) }) else {
                    if broker.consuming.isConnected { await Self.close(replies) }
                    return
                }
                logger.warning("results do not arrive; opening the reply queue again", metadata: Self.reason(reason))
                await replies.leave()
            } catch {
                let isOpen = state.withLock { if case .yes = $0.receiving { true } else { false } }
                guard isOpen, error.code != .closed else {
                    ended()
                    return opening.finish(.failure(error))
                }
                logger.debug("cannot open the reply queue; trying again", metadata: Self.reason(error))
            }
            // Cancelled, the loop ends.
            try? await Task.sleep(for: ReconnectPolicy().delay(attempt: failures, using: &generator))
            failures += 1
        }
    }

    private static func reason(_ error: AMQPError) -> [(String, String)] { [("error", error.description)] }

    private func open() async throws(AMQPError) -> ReplyQueue {
        let connection = try broker.consuming.recovering()
        // Those who wait have deadlines of their own, the next one finds what has come of it.
        _ = try await connection.connection(before: .now + .seconds(600))
        return try await ReplyQueue.open(queue, expires: options.queueExpires, on: connection)
    }

    /// In a task of its own, as this one may be cancelled, which must not leave the queue behind.
    private static func close(_ replies: ReplyQueue) async {
        await Task {
            await withTaskGroup(of: Void.self) { race in
                race.addTask { await replies.close() }
                race.addTask { try? await Task.sleep(for: .seconds(2)) }
                await race.next()
                race.cancelAll()
            }
        }.value
    }

    /// The next call opens the queue anew.
    private func ended() {
        state.withLock { state in
            switch state.receiving {
            case .soon, .yes: state.receiving = .no
            case .no, .closed: break
            }
        }
    }

    private func take(_ delivery: AMQPDelivery) async {
        let message = Message(delivery.properties, body: delivery.body)
        do throws(CeleriacError) {
            let record = try TaskRecord(reply: message)
            guard state.withLock({ $0.expected.standing(of: record.task) }) != .unknown else {
                return logger.debug("a result that nobody awaits", metadata: [("id", record.task.rawValue)])
            }
            // Kept before it counts as ended: of a call that has ended and is not found, the record is gone.
            try await keep(record, ttl: message.expiration ?? ttl)
            let (isWanted, evicted) = state.withLock {
                $0.expected.arrived(record.task, isFinal: record.state.isFinal)
            }
            if !isWanted { try await records.forget(record.task) }  // forgotten in between
            if let evicted { try await records.forget(evicted) }
        } catch {
            logger.warning("a result cannot be kept", metadata: [("error", error.description)])
        }
    }

    private func keep(_ record: TaskRecord, ttl: Duration) async throws(CeleriacError) {
        while true {
            do throws(CeleriacError) {
                let forEver = Duration.seconds(10 * 365 * 86_400)
                _ = try await records.store(record, ttl: ttl > .zero ? ttl : forEver, within: .zero)
                return
            } catch {
                guard error.code == .refused, let oldest = state.withLock({ $0.expected.evict() }) else { throw error }
                try await records.forget(oldest)
            }
        }
    }

    static var closed: CeleriacError { CeleriacError(.closed, "results by message were closed") }

    /// Deletes the reply queue and forgets all results; waits in progress end with `.closed`.
    public func close() async {
        let receiving = state.withLock { state in
            defer { state.receiving = .closed }
            return state.receiving
        }
        switch receiving {
        case .soon(_, let task), .yes(let task):
            task.cancel()
            await task.value
        case .no, .closed: break
        }
        await records.close()
    }
}

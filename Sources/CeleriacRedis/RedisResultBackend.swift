internal import CeleriacCore
internal import Redis

/// Results under Celery's keys, as Celery's documents (wire document §3): a Python process reads them and is woken by them.
final class RedisResultBackend: ResultBackend {
    private let link: RedisLink

    init(_ link: RedisLink) {
        self.link = link
    }

    var address: String { link.address }

    private static func key(of task: TaskID) -> String { "celery-task-meta-\(task)" }

    /// Stores and announces in one step.
    ///
    /// A stored success stays as it is, and a stored end gives way to another end only:
    /// the retry of a task may have failed for good before the first run's `RETRY` arrives.
    ///
    /// A document begins with its status, so the check needs no JSON: Python writes a space after the colon, others may not.
    private static let storeScript = RedisScript(
        """
        local stored = redis.call('GET', KEYS[1])
        local state = stored and string.match(stored, '^{"status": ?"(%u+)"')
        if state == 'SUCCESS' or (ARGV[3] == '0' and (state == 'FAILURE' or state == 'REVOKED')) then
            return 0
        end
        if ARGV[2] == '0' then
            redis.call('SET', KEYS[1], ARGV[1])
        else
            redis.call('PSETEX', KEYS[1], ARGV[2], ARGV[1])
        end
        redis.call('PUBLISH', KEYS[1], ARGV[1])
        return 1
        """
    )

    func open(within timeout: Duration) async throws(CeleriacError) {
        _ = try await link.send(RedisCommand("PING"), within: timeout, attempting: "connect to Redis at \(address)")
    }

    func store(_ record: TaskRecord, ttl: Duration, within timeout: Duration) async throws(CeleriacError) -> Bool {
        let milliseconds = ttl > .zero ? Int(clamping: ttl.inMilliseconds) : 0  // zero: for ever, as in Celery
        let reply = try await link.evaluate(
            Self.storeScript,
            keys: [Self.key(of: record.task)],
            arguments: [record.document, milliseconds, record.state.isFinal ? 1 : 0],
            within: timeout,
            attempting: "store the result of task \(record.task)"
        )
        return reply.integer == 1
    }

    func record(of task: TaskID) async throws(CeleriacError) -> TaskRecord? {
        try await record(of: task, within: nil)
    }

    private func record(of task: TaskID, within timeout: Duration?) async throws(CeleriacError) -> TaskRecord? {
        let command = RedisCommand("GET", Self.key(of: task))
        let reply = try await link.send(command, within: timeout, attempting: "read the result of task \(task)")
        return try reply.bytes.map { document throws(CeleriacError) in try TaskRecord(document: document) }
    }

    func outcome(of task: TaskID, within timeout: Duration) async throws(CeleriacError) -> TaskRecord {
        let deadline = ContinuousClock.now + timeout
        let subscription: RedisSubscription
        do {
            subscription = try await link.subscriber.subscribe(to: Self.key(of: task), buffer: 16, timeout: timeout)
        } catch {
            throw CeleriacError(error, attempting: "wait for task \(task)")
        }
        defer { subscription.cancel() }

        // Looked at only now that nothing published from here on is missed, and again whenever that cannot be said.
        if let record = try await finalRecord(of: task, before: deadline) { return record }
        while true {
            let remaining = ContinuousClock.now.duration(to: deadline)
            guard remaining > .zero else { break }
            let event: RedisSubscription.Event?
            do {
                event = try await subscription.next(within: remaining)
            } catch {
                throw CeleriacError(error, attempting: "wait for task \(task)")
            }
            switch event {
            case .message(let document):
                let record = try TaskRecord(document: document)
                if record.state.isFinal { return record }
            case .resubscribed, .dropped:
                if let record = try await finalRecord(of: task, before: deadline) { return record }
            case nil: break
            }
        }
        throw CeleriacError(.timedOut, "task \(task) has not ended within \(timeout)")
    }

    private func finalRecord(
        of task: TaskID,
        before deadline: ContinuousClock.Instant
    ) async throws(CeleriacError) -> TaskRecord? {
        let remaining = max(.milliseconds(1), ContinuousClock.now.duration(to: deadline))
        guard let record = try await record(of: task, within: remaining), record.state.isFinal else { return nil }
        return record
    }

    func forget(_ task: TaskID) async throws(CeleriacError) {
        _ = try await link.send(RedisCommand("DEL", Self.key(of: task)), attempting: "forget task \(task)")
    }

    func close() async {
        await link.subscriber.close()
        await link.client.close()
    }
}

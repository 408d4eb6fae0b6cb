internal import CeleriacCore
internal import Redis

/// Results under Celery's keys, as Celery's documents (wire document §3): a Python process reads them and is woken by them.
final class RedisResultBackend: ResultBackend {
    let link: RedisLink
    let poller: RecordPoller
    private let compression: ResultCompression

    init(_ link: RedisLink, compression: ResultCompression, polling: PollSchedule.Settings = .init()) {
        self.link = link
        self.compression = compression
        poller = RecordPoller(link, polling)
    }

    var address: String { link.address }

    private static let prefix = "celery-task-meta-"

    static func key(of task: TaskID) -> String { prefix + task.rawValue }

    /// Where the run is noted that wrote the record, unless it was the first; in the record's slot on a cluster.
    private static func attemptKey(of task: TaskID) -> String { "{celery-task-meta-\(task)}.attempt" }

    /// Stores and announces in one step.
    ///
    /// A stored success stays as it is, a stored end gives way to another end only, and nothing gives way to an earlier
    /// run: the retry of a task may have failed for good before the first run's `RETRY` arrives.
    ///
    /// The run has a key of its own, as Celery's document has no place for it. A first run that meets no such key, which is
    /// nearly every one, writes none. A Python worker overwrites the record and leaves the key, so that its record counts
    /// as one of the newest run known. A key whose record is gone counts for nothing.
    ///
    /// A document begins with its status, so the check needs no JSON: Python writes a space after the colon, others may not.
    /// Into a compressed one the script cannot look: it gives it back with its digest, and is told the status by the next
    /// call.
    static let storeScript = RedisScript(
        """
        local held = redis.call('MGET', KEYS[1], KEYS[2])
        local stored, newest = held[1], held[2]
        if stored then
            if (tonumber(newest or 0) or 0) > tonumber(ARGV[4]) then
                return 0
            end
            local state
            if string.sub(stored, 1, 19) == '\\0celery-compressed\\0' then
                local digest = redis.sha1hex(stored)
                if digest ~= ARGV[6] then
                    return {digest, stored}
                end
                state = ARGV[7]
            else
                state = string.match(stored, '^{"status": ?"(%u+)"')
            end
            if state == 'SUCCESS' then
                return 0
            end
            if ARGV[3] == '0' and (state == 'FAILURE' or state == 'REVOKED') then
                return 0
            end
        end
        local function set(key, value)
            if ARGV[2] == '0' then
                redis.call('SET', key, value)
            else
                redis.call('PSETEX', key, ARGV[2], value)
            end
        end
        set(KEYS[1], ARGV[1])
        if ARGV[5] ~= '0' then
            set(KEYS[2], ARGV[5])
        elseif newest then
            redis.call('DEL', KEYS[2])
        end
        redis.call('PUBLISH', KEYS[1], ARGV[1])
        return 1
        """
    )

    /// A compressed record that the script has given back: its digest, and its state.
    struct Seen {
        var digest = ""
        var state = ""
    }

    /// What ``storeScript`` is given: two keys, then the arguments.
    static func storing(
        _ record: TaskRecord,
        as document: [UInt8],
        ttl: Duration,
        after seen: Seen = Seen()
    ) -> RedisArguments {
        var words = RedisArguments(arguments: 9, octets: document.count + 224)
        words.append(RecordKey(task: record.task, isAttempt: false))
        words.append(RecordKey(task: record.task, isAttempt: true))
        words.append(document)
        words.append(ttl > .zero ? Int(clamping: ttl.inMilliseconds) : 0)  // zero: for ever, as in Celery
        words.append(record.state.isFinal ? 1 : 0)
        words.append(Int(record.attempt.rawValue))
        words.append(Int(record.fence.rawValue))
        words.append(seen.digest)
        words.append(seen.state)
        return words
    }

    /// A key, written without making a text of it first.
    private struct RecordKey: RedisArgument {
        let task: TaskID
        let isAttempt: Bool

        func append(to bytes: inout [UInt8]) {
            if isAttempt { bytes.append(UInt8(ascii: "{")) }
            bytes.append(contentsOf: RedisResultBackend.prefix.utf8)
            bytes.append(contentsOf: task.rawValue.utf8)
            if isAttempt { bytes.append(contentsOf: "}.attempt".utf8) }
        }
    }

    func open(within timeout: Duration) async throws(CeleriacError) {
        _ = try await link.send(RedisCommand("PING"), within: timeout, attempting: "connect to Redis at \(address)")
    }

    /// A compressed record may be replaced by another between two looks; so often in a row it is not.
    private static let looks = 8

    func store(_ record: TaskRecord, ttl: Duration, within timeout: Duration) async throws(CeleriacError) -> Bool {
        let deadline = ContinuousClock.now + timeout
        let document = StoredDocument.sealed(record.document, compression)
        var seen = Seen()
        for _ in 0..<Self.looks {
            let reply: RESPValue
            do {
                reply = try await link.client.evaluate(
                    Self.storeScript,
                    keyCount: 2,
                    words: Self.storing(record, as: document, ttl: ttl, after: seen),
                    timeout: max(.milliseconds(1), ContinuousClock.now.duration(to: deadline)),
                    retry: .idempotent
                )
            } catch {
                throw CeleriacError(error, attempting: "store the result of task \(record.task)")
            }
            guard let held = reply.array else { return reply.integer == 1 }
            guard held.count == 2, let digest = held[0].string, let former = held[1].bytes else { break }
            // What cannot be read stands in nobody's way, as with any other text.
            seen = Seen(digest: digest, state: (try? TaskRecord(stored: former))?.state.rawValue ?? "")
        }
        throw CeleriacError(.unavailable, "the record of task \(record.task) changes faster than it can be looked at")
    }

    func record(of task: TaskID) async throws(CeleriacError) -> TaskRecord? {
        try await record(of: task, within: nil)
    }

    private func record(of task: TaskID, within timeout: Duration?) async throws(CeleriacError) -> TaskRecord? {
        let command = RedisCommand("GET", Self.key(of: task))
        let reply = try await link.send(command, within: timeout, attempting: "read the result of task \(task)")
        return try reply.bytes.map { document throws(CeleriacError) in try TaskRecord(stored: document) }
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
        let watch = poller.watch(task) { [weak subscription] mayBeFinal in
            if mayBeFinal { subscription?.tell(.resubscribed) }
        }
        defer { withExtendedLifetime(watch) {} }
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
                let record = try TaskRecord(stored: document)
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
        let command = RedisCommand("DEL", Self.key(of: task), Self.attemptKey(of: task))
        _ = try await link.send(command, attempting: "forget task \(task)")
    }

    func close() async {
        await poller.close()
        await link.close()
    }
}

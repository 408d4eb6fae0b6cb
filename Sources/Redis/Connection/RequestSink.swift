internal import Transport

/// An actor whose executor is an event loop.
protocol LoopActor: Actor {
    nonisolated var loop: EventLoop { get }
}

/// What takes requests on an event loop: a connection, or the client in front of it.
protocol RequestSink: LoopActor {
    func accept(_ request: PendingRequest)
}

extension LoopActor {
    /// Hands a request over and waits for its outcome.
    ///
    /// The caller's task is resumed straight from the loop, without passing through the actor again. Cancelling ends
    /// the wait; the request keeps its place in line, so that its answer reaches nobody else.
    nonisolated func perform(
        _ request: PendingRequest,
        by accept: @escaping @Sendable (isolated Self, PendingRequest) -> Void
    ) async throws(RedisError) -> RESPValue {
        let outcome = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                onLoop {
                    guard request.attach(continuation) else { return }
                    self.assumeIsolated { accept($0, request) }
                }
            }
        } onCancel: {
            loop.execute { request.fail(.cancelled, "the wait for \(request.summary) was cancelled") }
        }
        return try outcome.get()
    }

    /// Runs now when the caller is on the loop, else in its next turn.
    private nonisolated func onLoop(_ body: @escaping @Sendable () -> Void) {
        loop.isOnLoop ? body() : loop.execute(body)
    }
}

extension RequestSink {
    /// Sends one command.
    nonisolated func perform(
        _ command: RedisCommand,
        deadline: ContinuousClock.Instant,
        retry: RedisRetry
    ) async throws(RedisError) -> RESPValue {
        try await performSingle(
            PendingRequest(
                RedisCommand.encoded(CollectionOfOne(command)),
                expected: 1,
                summary: command.name,
                deadline: deadline,
                retry: retry
            )
        )
    }

    /// Sends a request of one command; an error reply is an error.
    nonisolated func performSingle(_ request: PendingRequest) async throws(RedisError) -> RESPValue {
        let reply = try await perform(request) { $0.accept($1) }
        if case .error(let text) = reply { throw RedisError(reply: text) }
        return reply
    }

    /// Sends commands back to back; error replies stay values.
    nonisolated func perform(
        _ commands: [RedisCommand],
        isTransaction: Bool = false,
        deadline: ContinuousClock.Instant,
        retry: RedisRetry
    ) async throws(RedisError) -> [RESPValue] {
        guard let first = commands.first else { return [] }
        let summary = "a pipeline of \(commands.count) beginning with \(first.name)"
        let request = PendingRequest(
            RedisCommand.encoded(commands),
            expected: commands.count,
            isTransaction: isTransaction,
            summary: summary,
            deadline: deadline,
            retry: retry
        )
        let reply = try await perform(request) { $0.accept($1) }
        guard commands.count > 1 else { return [reply] }
        guard case .array(let replies) = reply else { throw RedisError(.unexpectedReply, "\(summary): no list") }
        return replies
    }

    /// Runs commands as a transaction and returns their replies.
    nonisolated func performTransaction(
        _ commands: [RedisCommand],
        deadline: ContinuousClock.Instant,
        retry: RedisRetry
    ) async throws(RedisError) -> [RESPValue] {
        guard !commands.isEmpty else { return [] }
        let all = [RedisCommand("MULTI")] + commands + [RedisCommand("EXEC")]
        let replies = try await perform(all, isTransaction: true, deadline: deadline, retry: retry)
        switch replies.last {
        case .array(let results): return results
        case .null: throw RedisError(.transactionAborted, "a watched key has changed")
        case .error(let text):
            // The reply to EXEC says only that it was aborted; the refusal came when the command was queued.
            let reasons = replies.dropLast().compactMap { if case .error(let reason) = $0 { reason } else { nil } }
            guard replies.first == .simple("OK") || reasons.count == replies.count - 1 else {
                let refusal = "MULTI was refused, and what followed may have run outside of a transaction"
                throw RedisError(.outcomeUnknown, "\(refusal): \(reasons.first ?? text)", mayHaveExecuted: true)
            }
            throw RedisError(RedisError(reply: text).code, reasons.first.map { "\(text) \($0)" } ?? text)
        default: throw RedisError(.unexpectedReply, "EXEC was answered with neither a list nor null")
        }
    }
}

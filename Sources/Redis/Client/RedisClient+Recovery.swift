internal import Transport

extension RedisClient {
    private func adopt(_ connection: RedisConnection) -> Bool {
        guard connection.assumeIsolated({ $0.adopt(by: self) }) else { return false }
        for request in waiting.end().unsent where !request.isSettled { accept(request) }
        return true
    }

    private func failWaiting(_ error: RedisError) {
        for request in waiting.end().unsent { request.settle(.failure(error)) }
    }

    private func connectionEnded(
        _ connection: RedisConnection,
        unsent: [PendingRequest],
        sent: [PendingRequest],
        reason: RedisError
    ) {
        // In line first, so that the order among them stays.
        _ = link.lost(connection, reason)
        for request in sent {
            if request.retry == .idempotent {
                resubmit(request)
            } else {
                let message = "\(request.summary) was sent, and the connection was lost before the answer"
                request.fail(.outcomeUnknown, message, cause: reason, mayHaveExecuted: true)
            }
        }
        for request in unsent { resubmit(request) }
        link.resume()
    }

    /// Puts a request that may run (again) back in line.
    private func resubmit(_ request: PendingRequest) {
        guard !request.isSettled else { return }
        if link.isClosed || link.connection != nil { accept(request) } else { enqueue(request) }
    }

    private func refused(_ connection: RedisConnection, _ request: PendingRequest, _ verdict: AnswerVerdict) -> Bool {
        guard !link.isClosed else { return false }
        switch verdict {
        case .deliver: return false
        case .deliverAndReconnect(let reason):
            reconnect(connection, keeping: [], reason)
            return false
        case .reconnectAndRepeat(let reason):
            reconnect(connection, keeping: [request], reason)
            return true
        case .repeatHere: return repeatLater(request)
        }
    }

    private func reconnect(_ connection: RedisConnection, keeping refused: [PendingRequest], _ reply: String) {
        var requests = refused
        if link.lost(connection, RedisError(reply: reply)) {
            // Others may be answered properly still, such as reads on a replica: the connection ends after them.
            requests += connection.assumeIsolated { $0.retire() }
        }
        for request in requests { resubmit(request) }
        link.resume()
    }

    /// Sends a request again after a wait; false when that would be too late, or too many wait already.
    private func repeatLater(_ request: PendingRequest) -> Bool {
        guard !request.isSettled, refusedRequests.count < configuration.maximumWaiting else { return false }
        request.refusals += 1
        let time = ContinuousClock.now + configuration.backoff.delay(attempt: request.refusals)
        guard time < request.deadline else { return false }
        let id = ObjectIdentifier(request)
        let timer = loop.schedule(at: time) { [weak self] in
            guard let self else { return request.fail(.closed, "\(request.summary): the client was dropped") }
            self.assumeIsolated { client in
                client.refusedRequests[id] = nil
                if !request.isSettled { client.accept(request) }
            }
        }
        refusedRequests[id] = (request, timer)
        return true
    }

    func endRefused() -> [PendingRequest] {
        defer { refusedRequests = [:] }
        for (_, timer) in refusedRequests.values { loop.cancel(timer) }
        return refusedRequests.values.map(\.request)
    }
}

extension RedisClient: ReconnectorOwner {
    nonisolated var wantsConnection: Bool {
        assumeIsolated { !$0.waiting.isEmpty }
    }

    nonisolated func connected(_ connection: RedisConnection) -> Bool {
        assumeIsolated { $0.adopt(connection) }
    }

    nonisolated func attemptFailed(_ error: RedisError, isPermanent: Bool) {
        if isPermanent { assumeIsolated { $0.failWaiting(error) } }
    }

    nonisolated func ended(
        _ connection: RedisConnection,
        unsent: [PendingRequest],
        sent: [PendingRequest],
        reason: RedisError
    ) {
        assumeIsolated { $0.connectionEnded(connection, unsent: unsent, sent: sent, reason: reason) }
    }

    nonisolated func refused(_ connection: RedisConnection, request: PendingRequest, verdict: AnswerVerdict) -> Bool {
        assumeIsolated { $0.refused(connection, request, verdict) }
    }

    nonisolated func pushed(_ value: RESPValue, on connection: RedisConnection) {}
}

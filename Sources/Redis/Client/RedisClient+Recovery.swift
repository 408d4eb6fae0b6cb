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

    private func reconnect(_ connection: RedisConnection, keeping request: PendingRequest, reply: String) -> Bool {
        guard !link.isClosed else { return false }
        var requests = [request]
        if link.lost(connection, RedisError(reply: reply)) {
            // Others may be answered properly still, such as reads on a replica: the connection ends after them.
            requests += connection.assumeIsolated { $0.retire() }
        }
        for request in requests { resubmit(request) }
        link.resume()
        return true
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

    nonisolated func mustReconnect(_ connection: RedisConnection, request: PendingRequest, reply: String) -> Bool {
        assumeIsolated { $0.reconnect(connection, keeping: request, reply: reply) }
    }

    nonisolated func pushed(_ value: RESPValue, on connection: RedisConnection) {}
}

extension AMQPConnection {
    /// Gives the broker a new secret for this connection, such as an OAuth 2 token before the old one expires.
    ///
    /// The connection and its channels go on undisturbed.
    ///
    /// - Parameters:
    ///   - secret: The new token or password; never shown in an error.
    ///   - reason: For the broker's log; 255 octets at most.
    /// - Throws: ``AMQPError``: `.timedOut` when the broker does not answer within `Options.callTimeout`,
    ///   `.invalidArgument` for a reason that is too long, `.connectionClosed` when it refuses the secret and ends the
    ///   connection. Cancelling ends the wait only.
    /// - SeeAlso: RabbitMQ's extension `connection.update-secret`.
    public func updateSecret(_ secret: String, reason: String) async throws(AMQPError) {
        if let closeReason { throw closeReason }
        guard machine.isOpen else { throw AMQPError(.closed, "the connection to \(peer) is not open") }
        let method = Method.connectionUpdateSecret(.init(secret: Array(secret.utf8), reason: reason))
        do throws(FrameError) {
            try trySend(method, on: 0)
        } catch {
            throw AMQPError(.invalidArgument, "connection.update-secret: \(error)", underlying: error)
        }
        machine.secretSent()
        let waiter = Waiter<Void>()
        secretUpdates.append(waiter)
        let timeout = AMQPError(.timedOut, "\(peer) did not answer update-secret in \(options.callTimeout)")
        let timer = loop.schedule(after: options.callTimeout) { waiter.finish(.failure(timeout)) }
        defer { loop.cancel(timer) }
        try await waiter.value("the answer to update-secret")
    }
}

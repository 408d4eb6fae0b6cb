internal import Synchronization

extension RecoveringConnection {
    /// Gives the broker a new secret, such as an OAuth 2 token before the old one expires, and logs in with it from now on.
    ///
    /// During an outage there is nobody to give it to: the next connection begins with it.
    ///
    /// - Parameters:
    ///   - secret: The new token, or the password in place of the URIs'; never shown in an error.
    ///   - reason: For the broker's log; 255 octets at most.
    /// - Throws: As ``AMQPConnection/updateSecret(_:reason:)``, but for the loss of the connection. The secret is the one
    ///   to log in with also when it throws.
    public func updateSecret(_ secret: String, reason: String) async throws(AMQPError) {
        registry.withLock { $0.secret = secret }
        guard let live else { return }
        do throws(AMQPError) {
            try await live.updateSecret(secret, reason: reason)
        } catch {
            guard error.isInterruption || error.code == .closed else { throw error }
        }
    }
}

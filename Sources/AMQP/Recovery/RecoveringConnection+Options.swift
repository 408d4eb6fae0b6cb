extension RecoveringConnection {
    /// What publishes do while there is no connection.
    public enum OutagePolicy: Hashable, Sendable {
        /// They wait for the next connection, up to their deadline; no more than so many at once, with so many octets
        /// of bodies together. Further ones fail with `.recovering`.
        case wait(messages: Int = 10_000, octets: Int = 64 << 20)
        /// They fail at once, with `.recovering`.
        case fail
    }

    /// What becomes of a publish that had been sent, and was not confirmed, when its connection was lost.
    public enum LostPublish: Hashable, Sendable {
        /// It fails, with ``AMQPError/isOutcomeUnknown``: the caller decides.
        case report
        /// It is sent again within its deadline. The broker may then have the message twice: consumers must bear
        /// duplicates, or know them by a message id.
        case republish
    }

    /// How a logical connection behaves.
    public struct Options: Sendable {
        /// For each connection, and the deadlines of calls and publishes.
        public var connection = AMQPConnection.Options()
        /// When to connect again, and when to give up.
        public var reconnect = ReconnectPolicy()
        /// What publishes do while there is no connection.
        public var duringOutage = OutagePolicy.wait()
        /// What becomes of unconfirmed publishes, unless the call says otherwise.
        public var whenLost = LostPublish.report
        /// Which entities are brought back; a consumer that is not ends.
        ///
        /// Called by the task that recovers, which waits for it.
        public var shouldRestore: @Sendable (RecoverableEntity) -> Bool = { _ in true }
        /// What to do about an entity that the broker does not take back, other than a consumer.
        ///
        /// Called by the task that recovers, which waits for it.
        public var restoreFailed: @Sendable (RestoreFailure) -> RestoreDecision = RestoreDecision.standard
        /// How often in a row a consumer is started again, or a channel opened, before it ends with the last error.
        ///
        /// The default allows for the minute in which a broker may still take a dead connection for a living one. One
        /// whose start sees the broker end the whole connection for an error ends at the third time in a row.
        public var consumerAttempts = 15
        /// For closing gracefully, unless the call says otherwise.
        public var closeTimeout: Duration = .seconds(10)

        /// The defaults.
        public init() {}
    }
}

/// Bounds what waits for the next connection.
struct OutageBudget: Sendable {
    let policy: RecoveringConnection.OutagePolicy
    private var messages = 0
    private var octets = 0

    init(_ policy: RecoveringConnection.OutagePolicy) { self.policy = policy }

    mutating func enter(messages count: Int, octets size: Int) -> AMQPError? {
        switch policy {
        case .fail:
            return AMQPError(.recovering, "there is no connection now, and publishes are not to wait for the next one")
        case .wait(let maximumMessages, let maximumOctets):
            // One alone may wait whatever its size.
            guard messages == 0 || (messages + count <= maximumMessages && octets + size <= maximumOctets) else {
                let text = "\(messages) messages of \(octets) octets wait for the next connection already"
                return AMQPError(.recovering, text)
            }
            messages += count
            octets += size
            return nil
        }
    }

    mutating func leave(messages count: Int, octets size: Int) {
        messages -= count
        octets -= size
    }
}

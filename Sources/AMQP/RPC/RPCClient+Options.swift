extension RPCClient {
    /// How a client of calls behaves.
    public struct Options: Sendable {
        /// Where replies go.
        public enum ReplyAddress: Hashable, Sendable {
            /// RabbitMQ's direct reply-to: no queue at all, the broker hands replies straight to the client's channel.
            case direct
            /// A queue that belongs to the client's connection, named by the broker and deleted with the client.
            ///
            /// Costs a queue and its traffic; understood by every AMQP 0-9-1 broker.
            case exclusiveQueue
        }

        /// Where replies go.
        public var replyAddress = ReplyAddress.direct
        /// For one call, waiting for room included, unless the call says otherwise.
        public var timeout: Duration = .seconds(30)
        /// Calls whose reply is missing; further ones wait until one of these has ended.
        public var maximumOutstanding = 1000
        /// Whether the broker drops a request that no server has taken by the call's deadline.
        ///
        /// Else a server that comes back later carries out what nobody waits for. A request that has an expiration of
        /// its own keeps it.
        public var expiresRequests = true

        /// The defaults.
        public init() {}
    }

    /// What a client has on its hands, and what it has dropped.
    public struct Statistics: Hashable, Sendable {
        /// Calls whose reply is missing.
        public var outstanding: Int
        /// Calls that wait for room to be sent.
        public var waiting: Int
        /// Replies dropped because their call had ended: answered before, timed out or cancelled.
        public var lateReplies: Int
        /// Messages dropped because their correlation id is of no call of this client.
        public var unknownReplies: Int
    }
}

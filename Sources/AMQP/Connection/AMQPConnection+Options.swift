public import Transport

extension AMQPConnection {
    /// How a connection behaves.
    ///
    /// What a URI's query says takes precedence.
    public struct Options: Sendable {
        /// A name for people, shown by the broker's management tools.
        public var name: String?
        /// How to log in; the URI's `auth_mechanism` if absent, or else what the server offers of PLAIN and AMQPLAIN.
        public var login: AMQPLogin?
        /// How the socket is opened and watched.
        public var socket = SocketOptions()
        /// How often each side must be heard from; zero turns heartbeats off.
        ///
        /// Whole seconds, at most 65 535.
        public var heartbeat: Duration = .seconds(20)
        /// For the whole way to an open connection: name service, TCP, login.
        public var connectTimeout: Duration = .seconds(10)
        /// For the answer to one method, such as a declaration.
        public var callTimeout: Duration = .seconds(30)
        /// For one publish, back-pressure and confirmation included, unless the call says otherwise.
        public var publishTimeout: Duration = .seconds(30)
        /// For the goodbye of a connection or channel.
        public var closeTimeout: Duration = .seconds(5)
        /// Channels at once; zero means as many as the server allows.
        public var channelMax: UInt16 = 2047
        /// Octets of a frame; zero means as many as the server allows.
        public var frameMax: UInt32 = 131_072
        /// Octets of a body that is published at most; checked before anything is sent.
        public var maximumPublishSize = 16 << 20
        /// Octets of a body that is accepted at most.
        public var maximumBodySize = 128 << 20
        /// Publishes of one channel that wait for their confirmation at once; further ones wait for room.
        ///
        /// One that was cancelled, or whose deadline has passed, leaves its place; one that was published unconfirmed on
        /// a channel that confirms, when it is confirmed or its deadline has passed. A channel that is owed the
        /// confirmations of sixteen windows of such publishes, or of 16 000 if that is more, is closed, with
        /// `.channelClosed`.
        public var publishWindow = 1000
        /// Deliveries kept for a consumer that no prefetch bounds; past them the connection stops reading.
        ///
        /// Everything else on the connection waits along until the consumer takes, is cancelled or dropped.
        public var inboxLimit = 10_000
        /// Octets of the bodies of such deliveries; past them the connection stops reading as well.
        ///
        /// What the prefetch of a consumer allows is not weighed.
        public var inboxOctets = 128 << 20
        /// Whether acknowledgements wait a millisecond or two for others, and contiguous ones share a frame.
        ///
        /// That is several times cheaper for the broker. Without it each delivery that is acknowledged has a frame of its
        /// own, which leaves at once: the next delivery comes as early as it can where the prefetch is all but used up,
        /// and whoever watches the wire sees each one. On channels with transactions they are never shared.
        public var coalescesAcknowledgements = true
        /// Further properties that the server is told about this client.
        public var clientProperties: FieldTable = [:]

        /// The defaults.
        public init() {}

        package func login(_ uri: AMQPURI) -> ConnectionStateMachine.Login {
            let heartbeat = uri.heartbeat ?? self.heartbeat
            // A fraction of a second must not round down to "off".
            let seconds = (heartbeat / .seconds(1)).rounded(.up)
            return ConnectionStateMachine.Login(
                user: uri.user,
                password: uri.password,
                mechanisms: login.map { [$0] } ?? uri.logins,
                virtualHost: uri.virtualHost,
                clientProperties: properties,
                channelMax: uri.channelMax ?? channelMax,
                frameMax: max(uri.frameMax ?? frameMax, (uri.frameMax ?? frameMax) == 0 ? 0 : 4096),
                heartbeat: UInt16(min(65_535, max(0, seconds)))
            )
        }

        private var properties: FieldTable {
            var properties: FieldTable = [
                "product": "celeriac",
                "version": "0.1.0",
                "platform": "Swift",
                "information": "AMQP 0-9-1 client of Celeriac",
                "capabilities": [
                    "publisher_confirms": true,
                    "consumer_cancel_notify": true,
                    "exchange_exchange_bindings": true,
                    "basic.nack": true,
                    "connection.blocked": true,
                    "consumer_priorities": true,
                    "authentication_failure_close": true,
                    "per_consumer_qos": true,
                    "direct_reply_to": true,
                ],
            ]
            if let name { properties["connection_name"] = .string(name) }
            for (name, value) in clientProperties { properties[name] = value }
            return properties
        }
    }
}

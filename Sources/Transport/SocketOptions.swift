/// How sockets are opened and watched by the kernel.
///
/// Small writes leave at once in any case (`TCP_NODELAY`). Nothing here concerns Unix sockets.
public struct SocketOptions: Hashable, Sendable {
    /// When the kernel asks an idle peer for a sign of life.
    public struct KeepAlive: Hashable, Sendable {
        /// The silence after which it asks for the first time; whole seconds, at least one.
        public var idle: Duration = .seconds(60)
        /// The time between two questions; whole seconds, at least one.
        public var interval: Duration = .seconds(15)
        /// Questions without an answer after which the stream ends.
        public var probes = 4

        /// The defaults.
        public init() {}
    }

    /// When the kernel asks an idle peer for a sign of life; never, if absent.
    public var keepAlive: KeepAlive? = KeepAlive()
    /// How long sent octets may wait for the peer's kernel before the stream ends (`TCP_USER_TIMEOUT`).
    ///
    /// Linux counts both octets that nobody acknowledges and a peer that answers, and takes nothing as its process reads
    /// nothing. If absent the client chooses: an AMQP connection relies on its heartbeats, which tell the two apart. One
    /// that is given is off while the broker blocks publishers (`connection.blocked`), and should be longer than
    /// RabbitMQ's flow control may hold publishers up.
    public var userTimeout: Duration?
    /// How long one address of the host may take to connect; if absent, as long as the whole attempt.
    public var addressTimeout: Duration?
    /// How long an address is given before the next one is tried beside it; ten milliseconds at least.
    ///
    /// - SeeAlso: RFC 8305 §5, Connection Attempt Delay.
    public var attemptDelay: Duration = .milliseconds(250)

    /// The defaults.
    public init() {}
}

public import Transport

/// How to reach a server and how long to wait for it.
public struct RedisConfiguration: Sendable {
    /// The server, the user and the database.
    public var url: RedisURL
    /// Shown by `CLIENT LIST`; none when absent.
    ///
    /// Redis allows no spaces in it.
    public var clientName: String?
    /// For one attempt to connect: name service, connection, authentication.
    public var connectTimeout: Duration = .seconds(5)
    /// For a command that names no deadline of its own, reconnecting included.
    public var commandTimeout: Duration = .seconds(10)
    /// After a command has timed out: how long the connection may stay mute before it is given up.
    public var suspectGrace: Duration = .seconds(2)
    /// How long sent octets may stay unacknowledged by the peer's kernel.
    public var unacknowledgedTimeout: Duration = .seconds(20)
    /// How the socket is opened and watched; ``unacknowledgedTimeout`` stands above its `userTimeout`.
    public var socket = SocketOptions()
    /// How often a subscriber asks a silent server whether it is there.
    public var pingInterval: Duration = .seconds(15)
    /// The wait between attempts to connect.
    public var backoff = RedisBackoff()
    /// Commands written and not yet answered, at most; more wait their turn.
    public var maximumInFlight = 8_192
    /// Commands that wait to be written, at most; more fail with `.overloaded`.
    public var maximumWaiting = 131_072
    /// Octets of commands written and not yet answered, at most; one command passes however big it is.
    public var maximumInFlightOctets = 64 << 20
    /// Octets of commands that wait to be written, at most; more fail with `.overloaded`, unless none waits.
    public var maximumWaitingOctets = 256 << 20
    /// Octets of one value in a reply, at most.
    public var maximumValueSize = 64 << 20

    /// A configuration with the defaults for everything but the server.
    public init(_ url: RedisURL) {
        self.url = url
    }

    var waitingBound: RequestQueue<PendingRequest>.Bound {
        .init(requests: maximumWaiting, octets: maximumWaitingOctets)
    }

    var inFlightBound: RequestQueue<PendingRequest>.Bound {
        .init(requests: maximumInFlight, octets: maximumInFlightOctets)
    }

    var parserLimits: RESPParser.Limits {
        var limits = RESPParser.Limits()
        limits.bulk = maximumValueSize
        limits.reply = max(limits.reply, maximumValueSize)
        return limits
    }
}

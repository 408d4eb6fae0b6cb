/// One client's connection and the one to the server that belongs to it.
struct Link {
    let number: Int
    /// -1 once closed.
    var client: Int32
    var server: Int32
    /// Whether the connection to the server has come about.
    var isConnected = false
    /// When it last read from either side.
    var lastActivity = ContinuousClock.now
    var toServer = Lane(.toServer)
    var fromServer = Lane(.fromServer)

    init(number: Int, client: Int32, server: Int32) {
        self.number = number
        self.client = client
        self.server = server
    }

    subscript(direction: Direction) -> Lane {
        _read {
            switch direction {
            case .toServer: yield toServer
            case .fromServer: yield fromServer
            }
        }
        _modify {
            switch direction {
            case .toServer: yield &toServer
            case .fromServer: yield &fromServer
            }
        }
    }

    /// Where octets of a direction come from.
    func source(_ direction: Direction) -> Int32 { direction == .toServer ? client : server }
    func sink(_ direction: Direction) -> Int32 { direction == .toServer ? server : client }
}

/// What both sides of a link have sent, before any fault touched it.
public struct Recording: Hashable, Sendable {
    /// Which link, counted from 1.
    public let link: Int
    /// What the client sent.
    public internal(set) var toServer: [UInt8] = []
    /// What the server sent.
    public internal(set) var fromServer: [UInt8] = []
    /// Whether the limit was reached, and more was said than is recorded.
    public internal(set) var isTruncated = false
}

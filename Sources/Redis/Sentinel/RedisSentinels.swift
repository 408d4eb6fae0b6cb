public import Transport

/// The sentinels that know which server is the master.
///
/// The client asks one after the other, when it connects first and whenever it has to connect again, and makes sure
/// that the server they name calls itself a master. Sentinels go by the address alone that they tell, so the servers
/// must be reachable under the addresses that they have announced to each other.
public struct RedisSentinels: Hashable, Sendable {
    /// Where the sentinels are.
    public var endpoints: [Endpoint]
    /// The name under which they watch the master, `mymaster` in Redis' own examples.
    public var master: String
    /// The ACL user at the sentinels, who are not given the one of the master.
    public var user: String?
    /// The password at the sentinels; no authentication when absent.
    public var password: String?

    /// Names sentinels.
    public init(_ endpoints: [Endpoint], master: String, user: String? = nil, password: String? = nil) {
        self.endpoints = endpoints
        self.master = master
        self.user = user
        self.password = password
    }
}

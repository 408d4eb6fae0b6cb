internal import AMQP
internal import CeleriacCore

/// What the query of an `rpc://` URL sets.
struct RPCResultOptions: Equatable, Sendable {
    /// Whether results are written to disk, so that those that wait in a queue survive a restart of the broker.
    var isPersistent = false
    /// How long the broker keeps the reply queue of a process that is away.
    var queueExpires: Duration = .seconds(3600)

    /// Reads `rpc://` and `rpc://?persistent=true&expires=600`.
    init(_ url: ServerURL) throws(CeleriacError) {
        let text = url.secret
        guard let start = text.firstRange(of: "://")?.upperBound else { throw Self.refusal("it has no scheme") }
        let address = text[start...].prefix { $0 != "?" }
        guard address.isEmpty || address == "/" else {
            throw Self.refusal("results by message travel through the broker, so it names no host")
        }
        for item in text[start...].dropFirst(address.count + 1).split(separator: "&") {
            let name = item.prefix { $0 != "=" }
            let value = item[name.endIndex...].dropFirst()
            switch (name, value) {
            case ("persistent", "true"): isPersistent = true
            case ("persistent", "false"): isPersistent = false
            case ("persistent", _): throw Self.refusal("persistent is true or false")
            case ("expires", _):
                // The broker's limit is that of an unsigned number of milliseconds in 32 bits.
                guard let seconds = Int(value), (1...4_000_000).contains(seconds) else {
                    throw Self.refusal("expires is a number of seconds from 1 through 4000000")
                }
                queueExpires = .seconds(seconds)
            default: throw Self.refusal("the parameter \(name) is unknown; known are persistent and expires")
            }
        }
    }

    private static func refusal(_ reason: String) -> CeleriacError {
        CeleriacError(.configuration, "the rpc:// URL cannot be used: \(reason)")
    }
}

/// One thing that AMQP 0-9-1 or RabbitMQ can do, and what shows how far this library does it.
struct Feature: Sendable {
    /// What shows it, against a real broker.
    typealias Clause = @Sendable (Lab) async throws -> Void

    /// How far it is supported, with the reason where it is not.
    enum Support: Hashable, Sendable {
        case supported
        case partly(String)
        case notSupported(String)
    }

    /// What its clause needs.
    enum Need: Hashable, Sendable {
        case broker
        /// The broker's command line tool, which the scripts of this project make available.
        case control
        /// A broker with TLS.
        case security
        /// A broker of its own, to restart it or to make it suffer.
        case ownBroker
    }

    let name: String
    let shown: String
    let support: Support
    let need: Need
    let clause: Clause

    init(
        _ name: String,
        _ shown: String,
        _ support: Support,
        need: Need = .broker,
        _ clause: @escaping Clause
    ) {
        self.name = name
        self.shown = shown
        self.support = support
        self.need = need
        self.clause = clause
    }

    init(_ name: String, _ shown: String, need: Need = .broker, _ clause: @escaping Clause) {
        self.init(name, shown, .supported, need: need, clause)
    }
}

/// Features that belong together.
struct Area: Sendable {
    let title: String
    let features: [Feature]

    static let all = [
        Area(title: "Connections", features: ConnectionFeatures.all),
        Area(title: "Security", features: SecurityFeatures.all),
        Area(title: "Recovery", features: RecoveryFeatures.all),
        Area(title: "Channels", features: ChannelFeatures.all),
        Area(title: "Exchanges and bindings", features: ExchangeFeatures.all),
        Area(title: "Queues", features: QueueFeatures.all),
        Area(title: "Limits and dead letters", features: DeadLetterFeatures.all),
        Area(title: "Publishing", features: PublishingFeatures.all),
        Area(title: "Messages", features: MessageFeatures.all),
        Area(title: "Consuming", features: ConsumingFeatures.all),
        Area(title: "Transactions", features: TransactionFeatures.all),
        Area(title: "Streams", features: StreamFeatures.all),
        Area(title: "Remote procedure calls", features: RPCFeatures.all),
    ]

    static func features(_ need: Feature.Need) -> [Feature] {
        all.flatMap(\.features).filter { $0.need == need }
    }
}

internal import CeleriacAMQP
public import CeleriacCore
internal import CeleriacRedis

extension TaskApp {
    /// An application; by default its URLs come from the environment, and without any everything runs in this process.
    ///
    /// Connects nothing yet. A URL that no driver takes is an error of the first call that needs the driver.
    public convenience init(_ name: String, configuration: Configuration = .fromEnvironment()) {
        self.init(name, configuration: configuration, drivers: DriverResolver.drivers(for:))
    }
}

/// Chooses drivers by the schemes of the configuration's URLs.
enum DriverResolver {
    static func drivers(for configuration: Configuration) throws(CeleriacError) -> Drivers {
        let broker = try broker(for: configuration)
        let stores = try stores(for: configuration, beside: broker)
        return Drivers(
            broker: broker,
            results: stores.results,
            locks: stores.locks,
            schedule: stores.schedule,
            limits: stores.limits
        )
    }

    private static func broker(for configuration: Configuration) throws(CeleriacError) -> any Broker {
        switch configuration.brokerURL.scheme {
        case "memory": MemoryBroker(time: configuration.time)
        case "amqp", "amqps":
            try AMQPBroker(
                configuration.brokerURL,
                clientName: "celeriac",
                maximumBodySize: configuration.maximumBodySize,
                logger: configuration.logger
            )
        default: throw unknown(configuration.brokerURL, as: "broker", known: "memory://, amqp://")
        }
    }

    private typealias Stores = (
        results: any ResultBackend, locks: any LockStore, schedule: any ScheduleStore, limits: any LimitStore
    )

    private static func stores(
        for configuration: Configuration,
        beside broker: any Broker
    ) throws(CeleriacError) -> Stores {
        let time = configuration.time
        switch configuration.resultBackendURL.scheme {
        case "memory":
            return (
                MemoryResultBackend(time: time), MemoryLockStore(time: time), MemoryScheduleStore(time: time),
                MemoryLimitStore(time: time)
            )
        case "redis", "rediss", "sentinel", "sentinels", "unix", "redis+socket":
            let stores = try RedisStores(
                configuration.resultBackendURL,
                clientName: "celeriac",
                compression: configuration.resultCompression
            )
            return (stores.results, stores.locks, stores.schedule, stores.limits)
        case "disabled":
            let absent = AbsentStores(beside: "disabled://")
            return (DisabledResultBackend(), absent, absent, absent)
        case "rpc":
            guard let broker = broker as? AMQPBroker else {
                throw CeleriacError(
                    .configuration,
                    "results by message (rpc://) need a broker that speaks AMQP; \(broker.address) does not"
                )
            }
            let results = try RPCResultBackend(
                configuration.resultBackendURL,
                through: broker,
                ttl: configuration.resultTTL,
                time: time,
                logger: configuration.logger
            )
            let absent = AbsentStores(beside: "rpc://")
            return (results, absent, absent, absent)
        default:
            throw unknown(
                configuration.resultBackendURL,
                as: "result backend",
                known: "memory://, redis://, rediss://, sentinel://, sentinels://, rpc://, disabled://"
            )
        }
    }

    private static func unknown(_ url: ServerURL, as role: String, known: String) -> CeleriacError {
        CeleriacError(.configuration, "no driver for the \(role) \(url); known: \(known)")
    }
}

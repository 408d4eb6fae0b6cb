/// The five stores an application works with.
public struct Drivers: Sendable {
    /// Carries the messages.
    public let broker: any Broker
    /// Keeps the results.
    public let results: any ResultBackend
    /// Keeps the locks of unique tasks.
    public let locks: any LockStore
    /// Keeps the state of beat.
    public let schedule: any ScheduleStore
    /// Counts what runs under limits.
    public let limits: any LimitStore

    /// A set of drivers; without `limits` these hold within this process only.
    public init(
        broker: any Broker,
        results: any ResultBackend,
        locks: any LockStore,
        schedule: any ScheduleStore,
        limits: any LimitStore = MemoryLimitStore()
    ) {
        self.broker = broker
        self.results = results
        self.locks = locks
        self.schedule = schedule
        self.limits = limits
    }
}

import CeleriacCore
import CeleriacWorker
import Synchronization

/// Memory drivers that note what is asked of them, in order, and refuse what the test says.
final class ScriptedDrivers: Broker, ResultBackend, LockStore {
    enum Step: Hashable, Sendable {
        case published(String)
        case stored(String)
        case freed
        case renewed
        case acknowledged
        case returned
        case rejected
    }

    private struct State {
        var steps: [Step] = []
        var refusals: Set<Step> = []
        var code = CeleriacError.Code.refused
    }

    let address = "scripted://"
    private let broker: MemoryBroker
    private let results: MemoryResultBackend
    private let locks: MemoryLockStore
    private let state = Mutex(State())

    init(time: any TimeSource = SystemTimeSource()) {
        broker = MemoryBroker(time: time)
        results = MemoryResultBackend(time: time)
        locks = MemoryLockStore(time: time)
    }

    var steps: [Step] { state.withLock { $0.steps } }

    /// From here on the steps are noted, and these fail.
    func begin(refusing refusals: Set<Step> = [], as code: CeleriacError.Code = .refused) {
        state.withLock { $0 = State(refusals: refusals, code: code) }
    }

    /// Lets everything succeed again.
    func mend() { state.withLock { $0.refusals = [] } }

    private func note(_ step: Step) throws(CeleriacError) {
        let code = state.withLock { state in
            state.steps.append(step)
            return state.refusals.contains(step) ? state.code : nil
        }
        if let code { throw CeleriacError(code, "refused by the test") }
    }

    func app(configure: (inout Configuration) -> Void = { _ in }) -> TaskApp {
        var configuration = Configuration()
        configure(&configuration)
        return TaskApp("test", configuration: configuration) { configuration in
            Drivers(
                broker: self,
                results: self,
                locks: self,
                schedule: MemoryScheduleStore(time: configuration.time)
            )
        }
    }

    // MARK: Broker

    func open(within timeout: Duration) async throws(CeleriacError) {}
    func declare(_ queue: QueueDeclaration) async throws(CeleriacError) -> String? { try await broker.declare(queue) }
    func depth(of queue: QueueName) async throws(CeleriacError) -> Int? { try await broker.depth(of: queue) }
    func get(_ queue: QueueName) async throws(CeleriacError) -> Delivery? { try await broker.get(queue) }
    func purge(_ queue: QueueName) async throws(CeleriacError) -> Int { try await broker.purge(queue) }
    func close(grace: Duration) async { await broker.close(grace: grace) }

    func publish(
        _ message: Message,
        to route: Route,
        delay: Duration?,
        within timeout: Duration
    ) async throws(CeleriacError) {
        try note(.published(route.routingKey))
        try await broker.publish(message, to: route, delay: delay, within: timeout)
    }

    func consume(_ queues: [QueueDeclaration], prefetch: Int) async throws(CeleriacError) -> any MessageConsumer {
        Consumer(try await broker.consume(queues, prefetch: prefetch), self)
    }

    private final class Consumer: MessageConsumer {
        private let inner: any MessageConsumer
        private let drivers: ScriptedDrivers

        init(_ inner: any MessageConsumer, _ drivers: ScriptedDrivers) {
            self.inner = inner
            self.drivers = drivers
        }

        func next() async throws(CeleriacError) -> Delivery? {
            guard let delivery = try await inner.next() else { return nil }
            let (message, exchange) = (delivery.message, delivery.exchange)
            let (routingKey, queue, isRedelivered) = (delivery.routingKey, delivery.queue, delivery.isRedelivered)
            return Delivery(
                message: message,
                exchange: exchange,
                routingKey: routingKey,
                queue: queue,
                isRedelivered: isRedelivered,
                tag: 0,
                source: Source(delivery, drivers)
            )
        }

        func stop() async { await inner.stop() }
    }

    private final class Source: DeliverySource {
        private let delivery: Mutex<Delivery?>
        private let drivers: ScriptedDrivers

        init(_ delivery: consuming Delivery, _ drivers: ScriptedDrivers) {
            self.delivery = Mutex(consume delivery)
            self.drivers = drivers
        }

        func settle(_ tag: UInt64, as settlement: Settlement) {
            let step: Step =
                switch settlement {
                case .acknowledged: .acknowledged
                case .returned: .returned
                case .rejected: .rejected
                }
            drivers.state.withLock { $0.steps.append(step) }
            guard let delivery = delivery.withLock({ $0.take() }) else { return }
            switch settlement {
            case .acknowledged: delivery.acknowledge()
            case .returned: delivery.giveBack()
            case .rejected: delivery.reject()
            }
        }
    }

    // MARK: Results

    func store(_ record: TaskRecord, ttl: Duration, within timeout: Duration) async throws(CeleriacError) -> Bool {
        try note(.stored(record.state.rawValue))
        return try await results.store(record, ttl: ttl, within: timeout)
    }
    func record(of task: TaskID) async throws(CeleriacError) -> TaskRecord? { try await results.record(of: task) }
    func outcome(of task: TaskID, within timeout: Duration) async throws(CeleriacError) -> TaskRecord {
        try await results.outcome(of: task, within: timeout)
    }
    func listen(
        to tasks: [TaskID],
        within timeout: Duration,
        onEvent: @escaping @Sendable (ResultEvent) -> Void
    ) async throws(CeleriacError) -> any ResultListening {
        try await results.listen(to: tasks, within: timeout, onEvent: onEvent)
    }
    func forget(_ task: TaskID) async throws(CeleriacError) { try await results.forget(task) }
    func close() async { await results.close() }

    // MARK: Locks

    func acquire(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> LockOutcome {
        try await locks.acquire(key, owner: owner, lease: lease)
    }
    func renew(_ key: String, owner: String, lease: Duration) async throws(CeleriacError) -> Bool {
        try note(.renewed)
        return try await locks.renew(key, owner: owner, lease: lease)
    }
    func release(_ key: String, owner: String) async throws(CeleriacError) -> Bool {
        try note(.freed)
        return try await locks.release(key, owner: owner)
    }
}

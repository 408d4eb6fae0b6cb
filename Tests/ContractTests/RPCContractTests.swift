import CeleriacAMQP
import CeleriacCore
import TestSupport
import Testing

/// What its result backend can do.
private let abilities: ResultAbilities = []

@Suite(
    "Results by message through RabbitMQ",
    .tags(.integration),
    .enabled(if: TestServer.rabbitMQ != nil, "set RABBITMQ_URL"),
    .timeLimit(.minutes(2))
)
struct RPCContractTests {
    private func withBroker(_ body: (AMQPBroker) async throws -> Void) async throws {
        let broker = try AMQPBroker(ServerURL(TestServer.require(.rabbitMQ)), clientName: "contract")
        do {
            try await body(broker)
        } catch {
            await broker.close(grace: .seconds(1))
            throw error
        }
        await broker.close(grace: .seconds(1))
    }

    @Test("The result backend honours its contract", arguments: ResultBackendContract.within(abilities))
    func resultBackend(_ clause: ResultBackendContract) async throws {
        try await withBroker { broker in
            try await clause.verify { try RPCResultBackend(through: broker) }
        }
    }

    @Test("Each result goes to its caller alone")
    func ableTo() async throws {
        try await withBroker { broker in
            let backend = try RPCResultBackend(through: broker)
            #expect(backend.abilities == abilities)
            #expect(ResultBackendContract.beyond(abilities) == [.tellsStored, .strangers, .otherProcesses])
            await backend.close()
        }
    }

    @Test("No result goes backwards, whatever runs, crashes and late writes a call has seen")
    func histories() async throws {
        try await withBroker { broker in
            let backend = try RPCResultBackend(through: broker)
            let stage = ResultHistory.Stage(backend: backend)
            for seed in 0..<30 { try await ResultHistory(seed: UInt64(seed)).verify(stage) }
            await backend.close()
        }
    }

    @Test("A result goes to the caller's process, not to another one, and one for a caller that is gone to nobody")
    func replies() async throws {
        try await withBroker { broker in
            let caller = try RPCResultBackend(through: broker)
            let worker = try RPCResultBackend(through: broker)
            let task = uniqueTask()
            let queue = try await caller.expect(task, within: .seconds(20))
            let other = try await worker.expect(uniqueTask(), within: .seconds(20))
            #expect(queue != nil && queue != other)
            var record = TaskRecord.success(task, 7)
            record.reply = ReplyAddress(replyTo: queue, correlationID: "a word of the caller's", task: task)
            #expect(try await worker.store(record, ttl: .seconds(60), within: .seconds(20)))
            #expect(try await caller.await(task).value(as: Int.self) == 7)
            await caller.close()
            // Closing has deleted the queue.
            #expect(try await worker.store(record, ttl: .seconds(60), within: .seconds(20)) == false)
            record.reply = nil
            #expect(try await worker.store(record, ttl: .seconds(60), within: .seconds(20)) == false)
            await worker.close()
        }
    }

    private func bounded(
        _ broker: AMQPBroker,
        calls: Int = 1000,
        octets: Int = 1 << 20
    ) throws -> RPCResultBackend {
        try RPCResultBackend(
            "rpc://",
            through: broker,
            ttl: .seconds(60),
            time: SystemTimeSource(),
            logger: .silent,
            maximumCalls: calls,
            maximumOctets: octets
        )
    }

    private func known(_ tasks: [TaskID], to backend: any ResultBackend) async throws -> [Bool] {
        var known: [Bool] = []
        for task in tasks { known.append(try await backend.app.handle(task).state() != .unknown) }
        return known
    }

    @Test("Of more calls than are remembered, the oldest is forgotten")
    func calls() async throws {
        try await withBroker { broker in
            let backend = try bounded(broker, calls: 3)
            var tasks: [TaskID] = []
            for _ in 0..<5 { tasks.append(try await backend.newTask()) }
            #expect(try await known(tasks, to: backend) == [false, false, true, true, true])
            await backend.close()
        }
    }

    @Test("Of more results than there is room for, the oldest is dropped")
    func octets() async throws {
        try await withBroker { broker in
            let backend = try bounded(broker, octets: 1 << 20)
            // Each takes nearly half of the room.
            let text = JSONValue.string(String(repeating: "x", count: 450_000))
            var tasks: [TaskID] = []
            for _ in 0..<4 {
                tasks.append(try await backend.newTask())
                try await backend.keep(.success(tasks[tasks.count - 1], text))
            }
            #expect(try await known(tasks, to: backend) == [false, false, true, true])
            #expect(try await backend.record(of: tasks[3])?.value(as: JSONValue.self) == text)
            await backend.close()
        }
    }
}

extension ResultBackend {
    fileprivate var app: TaskApp {
        TaskApp("contract", configuration: Configuration()) { _ in
            Drivers(broker: MemoryBroker(), results: self, locks: MemoryLockStore(), schedule: MemoryScheduleStore())
        }
    }
}

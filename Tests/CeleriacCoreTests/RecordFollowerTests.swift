import Synchronization
import TestSupport
import Testing

@testable import CeleriacCore

@Suite("Following many tasks", .timeLimit(.minutes(1))) struct RecordFollowerTests {
    /// A backend in memory that cannot answer for so many looks.
    private final class Absent: ResultBackend {
        private let inner = MemoryResultBackend()
        private let code: CeleriacError.Code
        private let left: Mutex<Int>

        init(for looks: Int, _ code: CeleriacError.Code) {
            left = Mutex(looks)
            self.code = code
        }

        var looksLeft: Int { left.withLock { $0 } }
        var address: String { inner.address }

        func record(of task: TaskID) async throws(CeleriacError) -> TaskRecord? {
            let isAbsent = left.withLock { left in
                left -= 1
                return left >= 0
            }
            if isAbsent { throw CeleriacError(code, "the test says so") }
            return try await inner.record(of: task)
        }

        func open(within timeout: Duration) async throws(CeleriacError) {}
        @discardableResult
        func store(_ record: TaskRecord, ttl: Duration, within timeout: Duration) async throws(CeleriacError) -> Bool {
            try await inner.store(record, ttl: ttl, within: timeout)
        }
        func outcome(of task: TaskID, within timeout: Duration) async throws(CeleriacError) -> TaskRecord {
            try await inner.outcome(of: task, within: timeout)
        }
        func listen(
            to tasks: [TaskID],
            within timeout: Duration,
            onEvent: @escaping @Sendable (ResultEvent) -> Void
        ) async throws(CeleriacError) -> any ResultListening {
            try await inner.listen(to: tasks, within: timeout, onEvent: onEvent)
        }
        func forget(_ task: TaskID) async throws(CeleriacError) { try await inner.forget(task) }
        func close() async { await inner.close() }
    }

    private func app(_ backend: any ResultBackend) -> TaskApp {
        TaskApp("test", configuration: Configuration()) { _ in
            Drivers(broker: MemoryBroker(), results: backend, locks: MemoryLockStore(), schedule: MemoryScheduleStore())
        }
    }

    @Test("A backend that cannot answer for a while is asked again", arguments: [1, 40])
    func absence(tasks count: Int) async throws {
        for code in [CeleriacError.Code.unavailable, .connectionLost, .timedOut] {
            let backend = Absent(for: 3, code)
            let app = app(backend)
            let tasks = (0..<count).map { _ in uniqueTask() }
            for task in tasks { try await backend.store(.success(task, 7), ttl: .seconds(60), within: .seconds(1)) }
            var values: [Int] = []
            for try await done in app.results(
                of: tasks.map { app.handle($0, returning: Int.self) },
                within: .seconds(30)
            ) {
                values.append(try done.value())
            }
            #expect(values == Array(repeating: 7, count: count))
            await app.close()
        }
    }

    @Test("A backend that cannot answer until the deadline, or refuses, ends the wait with its error")
    func refusal() async throws {
        for (code, looks) in [(CeleriacError.Code.unavailable, Int.max), (.accessDenied, 1)] {
            let backend = Absent(for: looks, code)
            let app = app(backend)
            let task = uniqueTask()
            try await backend.store(.success(task), ttl: .seconds(60), within: .seconds(1))
            await #expect {
                for try await _ in app.results(of: [app.handle(task)], within: .milliseconds(600)) {}
            } throws: { ($0 as? CeleriacError)?.code == code }
            await app.close()
        }
    }
}

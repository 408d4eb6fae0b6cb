import CeleriacCore
import FoundationEssentials
import TestSupport
import Testing

extension ResultBackendContract {
    func app(_ backend: any ResultBackend) -> TaskApp {
        TaskApp("contract", configuration: Configuration()) { _ in
            Drivers(broker: MemoryBroker(), results: backend, locks: MemoryLockStore(), schedule: MemoryScheduleStore())
        }
    }

    func listening(_ backend: any ResultBackend) async throws {
        let (stream, told) = AsyncStream<TaskID>.makeStream()
        let first = try await backend.newTask()
        let second = try await backend.newTask()
        let third = try await backend.newTask()
        var listening: (any ResultListening)? = try await backend.listen(
            to: [first, second, third],
            within: .seconds(20)
        ) { event in
            if case .stored(let task) = event { told.yield(task) }
        }
        try await backend.keep(.started(first))
        try await backend.keep(.success(first))
        try await backend.keep(.failure(first))
        listening?.leave(second)
        try await backend.keep(.success(second))
        try await backend.keep(.success(third))
        var heard: [TaskID] = []
        for await task in stream {
            // What was under way when the listener left may still come.
            if task != second { heard.append(task) }
            if task == third { break }
        }
        #expect(heard == [first, first, third])
        listening = nil
    }

    func results(_ backend: any ResultBackend) async throws {
        let app = app(backend)
        var tasks: [TaskID] = []
        for _ in 0..<300 { tasks.append(try await backend.newTask()) }
        for task in tasks[..<20] { try await backend.keep(.success(task, 1)) }
        let handles = tasks.map { app.handle($0, returning: Int.self) }
        var ended: [TaskID] = []
        for try await done in app.results(of: handles + handles, within: .seconds(30)) {
            ended.append(done.handle.id)
            if done.record.state == .success { #expect(try done.value() == 1) }
            // One after the other, from the last to the first, so that their order is sure.
            if ended.count >= 20, ended.count < tasks.count {
                let next = tasks[tasks.count - 1 - (ended.count - 20)]
                try await backend.keep(.started(next))
                try await backend.keep(ended.count % 2 == 0 ? .success(next, 1) : .failure(next))
            }
        }
        #expect(ended == Array(tasks[..<20]) + tasks[20...].reversed())
    }

    func updates(_ backend: any ResultBackend, _ task: TaskID) async throws {
        let handle = app(backend).handle(task, returning: Int.self)
        func report(_ current: Double) async throws {
            let meta = JSONText.value(.object(["current": .double(current), "total": 4]))
            try await backend.keep(TaskRecord(task: task, state: .progress, value: meta, at: .now))
        }
        try await report(1)
        var progress = handle.progress(within: .seconds(20)).makeAsyncIterator()
        #expect(try await progress.next() == TaskProgress(current: 1, total: 4))
        try await report(2)
        #expect(try await progress.next() == TaskProgress(current: 2, total: 4))
        try await backend.keep(.success(task, 7))
        #expect(try await progress.next() == nil)
        var updates = handle.updates(within: .seconds(20)).makeAsyncIterator()
        #expect(try await updates.next()?.state == .success)
        #expect(try await updates.next() == nil)
    }

    func manyTasks(_ backend: any ResultBackend) async throws {
        var tasks: [TaskID] = []
        for _ in 0..<100 { tasks.append(try await backend.newTask()) }
        let values = try await withThrowingTaskGroup(of: (TaskID, Int).self) { group in
            for task in tasks {
                group.addTask { (task, try await backend.await(task).value(as: Int.self)) }
            }
            for (index, task) in tasks.enumerated() { try await backend.keep(.success(task, .int(Int64(index)))) }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        #expect(tasks.map { values[$0] } == Array(0..<100))
    }
}

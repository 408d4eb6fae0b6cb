import CeleriacCore
import TestSupport
import Testing

// How callers and workers use a result backend, whatever its abilities: calls are announced, and records carry the reply
// address that came with the call.
extension ResultBackend {
    /// A call that nobody else makes, announced.
    func newTask() async throws -> TaskID {
        let task = uniqueTask()
        _ = try await expect(task, within: .seconds(20))
        return task
    }

    /// Stores a record for a minute, as a worker does, and waits until it can be read.
    @discardableResult
    func keep(
        _ record: TaskRecord,
        of attempt: Attempt = .first,
        ttl: Duration = .seconds(60)
    ) async throws -> Bool {
        var record = record
        record.attempt = attempt
        let isStored = try await send(record, ttl: ttl)
        // What is on its way to the caller comes in order: after a later one has come, this one has, too.
        if !abilities.contains(.immediate) {
            let mark = try await newTask()
            _ = try await send(.success(mark), ttl: .seconds(60))
            _ = try await outcome(of: mark, within: .seconds(20))
            try await forget(mark)
        }
        return isStored
    }

    /// Stores a record that is to make no difference.
    func keepInVain(_ record: TaskRecord, of attempt: Attempt = .first) async throws {
        let before = try await kept(record.task)?.document
        let isStored = try await keep(record, of: attempt)
        if abilities.contains(.immediate) { #expect(!isStored) }
        #expect(try await kept(record.task)?.document == before)
    }

    /// The latest record; `nil` if there is none any more, which not every backend can tell from a call made elsewhere.
    func kept(_ task: TaskID) async throws -> TaskRecord? {
        do {
            return try await record(of: task)
        } catch {
            guard error.code == .notFound, !abilities.contains(.anyCall) else { throw error }
            return nil
        }
    }

    func await(_ task: TaskID) async throws -> TaskRecord {
        try await outcome(of: task, within: .seconds(20))
    }

    private func send(_ record: TaskRecord, ttl: Duration) async throws -> Bool {
        var record = record
        let queue = try await expect(record.task, within: .seconds(20))
        record.reply = ReplyAddress(replyTo: queue, correlationID: nil, task: record.task)
        return try await store(record, ttl: ttl, within: .seconds(30))
    }
}

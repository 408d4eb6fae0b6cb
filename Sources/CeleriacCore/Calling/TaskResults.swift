/// A task that has ended, and how.
public struct TaskCompletion<Output: Decodable & Sendable>: Sendable {
    /// The call.
    public let handle: TaskHandle<Output>
    /// What is stored of it.
    public let record: TaskRecord

    /// The task's value.
    ///
    /// - Throws: ``TaskFailure`` if the task failed, was revoked or expired, or the ``TaskError`` it failed with, if that is
    ///   registered; ``CeleriacError`` `.undecodable`.
    public func value() throws -> Output { try record.outcome(knowing: handle.app.errors) }
}

/// Many tasks in the order in which they end; see ``TaskApp/results(of:within:)``.
public struct TaskResults<Output: Decodable & Sendable>: AsyncSequence, Sendable {
    let handles: [TaskID: TaskHandle<Output>]
    let order: [TaskID]
    let app: TaskApp
    let timeout: Duration

    /// Takes task after task.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let handles: [TaskID: TaskHandle<Output>]
        private var reader: RecordReader

        init(_ results: TaskResults<Output>) {
            handles = results.handles
            reader = RecordReader(results.order, results.app, within: results.timeout)
        }

        /// The next task that has ended; `nil` after the last.
        ///
        /// - Throws: ``CeleriacError``: `.timedOut`, `.cancelled`, `.closed`, or the backend's. A task's own failure is
        ///   no error here: ``TaskCompletion/value()`` throws it.
        public mutating func next() async throws(CeleriacError) -> TaskCompletion<Output>? {
            while let record = try await reader.next() {
                guard record.state.isFinal, let handle = handles[record.task] else { continue }
                return TaskCompletion(handle: handle, record: record)
            }
            return nil
        }
    }

    /// Begins to listen with the first task asked for.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }
}

extension TaskApp {
    /// Waits for many tasks at once and gives each when it ends; those that have ended already come first.
    ///
    /// ```swift
    /// for try await done in app.results(of: handles, within: .seconds(60)) { sum += try done.value() }
    /// ```
    ///
    /// All are listened to on one connection, and no more than a few results are in memory at a time, however many
    /// handles there are and however slow the loop is. Leaving the loop, or cancelling its task, ends the subscriptions. A handle
    /// given twice is given back once.
    ///
    /// - Parameter timeout: For all of them together, from the first one asked for.
    public func results<Output: Decodable & Sendable>(
        of handles: some Sequence<TaskHandle<Output>>,
        within timeout: Duration
    ) -> TaskResults<Output> {
        var known: [TaskID: TaskHandle<Output>] = [:]
        var order: [TaskID] = []
        for handle in handles where known.updateValue(handle, forKey: handle.id) == nil { order.append(handle.id) }
        return TaskResults(handles: known, order: order, app: self, timeout: timeout)
    }
}

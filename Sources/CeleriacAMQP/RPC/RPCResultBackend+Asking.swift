public import CeleriacCore
internal import Synchronization

extension RPCResultBackend {
    /// The latest record that has come; `nil` while none has.
    ///
    /// - Throws: ``CeleriacError`` `.notFound` for a call that this process has not made, or whose result is gone.
    public func record(of task: TaskID) async throws(CeleriacError) -> TaskRecord? {
        let standing = try check([task])
        if let record = try await records.record(of: task) { return record }
        guard standing == .ended else { return nil }
        // It has come, and its time to live is over.
        state.withLock { $0.expected.forget(task) }
        throw Self.unknown(task)
    }

    /// Waits until a task has ended.
    ///
    /// - Throws: ``CeleriacError``: `.notFound`, `.timedOut`, `.cancelled`, `.closed`.
    public func outcome(of task: TaskID, within timeout: Duration) async throws(CeleriacError) -> TaskRecord {
        if let record = try await record(of: task), record.state.isFinal { return record }
        return try await records.outcome(of: task, within: timeout)
    }

    /// Tells of each record that comes of some tasks, from now on.
    ///
    /// - Throws: ``CeleriacError``: `.notFound`, `.closed`.
    public func listen(
        to tasks: [TaskID],
        within timeout: Duration,
        onEvent: @escaping @Sendable (ResultEvent) -> Void
    ) async throws(CeleriacError) -> any ResultListening {
        _ = try check(tasks)
        return try await records.listen(to: tasks, within: timeout, onEvent: onEvent)
    }

    /// Forgets a call; what still comes of it is dropped.
    public func forget(_ task: TaskID) async throws(CeleriacError) {
        state.withLock { $0.expected.forget(task) }
        try await records.forget(task)
    }

    /// The standing of the last one, if this process has made all these calls.
    private func check(_ tasks: [TaskID]) throws(CeleriacError) -> ExpectedReplies.Standing {
        var standing = ExpectedReplies.Standing.unknown
        let stranger = try state.withLock { state throws(CeleriacError) -> TaskID? in
            if case .closed = state.receiving { throw Self.closed }
            return tasks.first { task in
                standing = state.expected.standing(of: task)
                return standing == .unknown
            }
        }
        if let stranger { throw Self.unknown(stranger) }
        return standing
    }

    private static func unknown(_ task: TaskID) -> CeleriacError {
        CeleriacError(
            .notFound,
            "this process has not called task \(task), or its result is gone; results are by message"
        )
    }
}

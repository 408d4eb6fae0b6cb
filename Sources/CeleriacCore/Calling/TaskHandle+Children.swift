extension TaskHandle {
    /// The tasks that this one has published while running, as far as is stored: all of them once it has ended.
    public func children() async throws(CeleriacError) -> [TaskHandle<JSONValue>] {
        try await record()?.children.map { app.handle($0) } ?? []
    }

    /// Waits for this task, for its children, theirs, and so on; gives all their records, parents first.
    ///
    /// - Parameters:
    ///   - timeout: For all of them together.
    ///   - limit: The most records to take.
    /// - Throws: ``CeleriacError``: `.timedOut`, `.cancelled`, and `.tooLarge` beyond the limit. That a task failed is no
    ///   error here: its record says so.
    public func collect(within timeout: Duration, limit: Int = 10_000) async throws(CeleriacError) -> [TaskRecord] {
        let results = try app.drivers().results
        let deadline = ContinuousClock.now + timeout
        var records: [TaskRecord] = []
        var tasks = [id]
        var known: Set<TaskID> = [id]
        var next = 0
        while next < tasks.count {
            let remaining = max(.zero, ContinuousClock.now.duration(to: deadline))
            let record = try await results.outcome(of: tasks[next], within: remaining)
            next += 1
            records.append(record)
            tasks += record.children.filter { known.insert($0).inserted }
            guard tasks.count <= limit else {
                throw CeleriacError(.tooLarge, "task \(id) has more than \(limit) descendants")
            }
        }
        return records
    }
}

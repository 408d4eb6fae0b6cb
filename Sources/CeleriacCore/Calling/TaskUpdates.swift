/// What is stored of one task, from what there is to its end; see ``TaskHandle/updates(within:)``.
public struct TaskUpdates: AsyncSequence, Sendable {
    let task: TaskID
    let app: TaskApp
    let timeout: Duration

    /// Reads record after record.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private var reader: RecordReader
        private var last: TaskRecord?

        init(_ updates: TaskUpdates) {
            reader = RecordReader([updates.task], updates.app, within: updates.timeout)
        }

        /// The next record that differs from the one before; `nil` after the task's end.
        ///
        /// - Throws: ``CeleriacError``: `.timedOut`, `.cancelled`, `.closed`, or the backend's.
        public mutating func next() async throws(CeleriacError) -> TaskRecord? {
            while let record = try await reader.next() {
                guard record.document != last?.document else { continue }
                last = record
                return record
            }
            return nil
        }
    }

    /// Begins to listen with the first record asked for.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }
}

/// How far one task is, until its end; see ``TaskHandle/progress(within:)``.
public struct TaskProgressUpdates: AsyncSequence, Sendable {
    let updates: TaskUpdates

    /// Reads report after report.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var updates: TaskUpdates.AsyncIterator

        /// The next report; `nil` after the task's end, however it ended.
        ///
        /// - Throws: ``CeleriacError``; see ``TaskUpdates/AsyncIterator/next()``.
        public mutating func next() async throws(CeleriacError) -> TaskProgress? {
            while let record = try await updates.next() {
                guard record.state == .progress else { continue }
                // A Python task may tell anything in this state.
                if let progress = try? record.value(as: TaskProgress.self) { return progress }
            }
            return nil
        }
    }

    /// Begins to listen with the first report asked for.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(updates: updates.makeAsyncIterator()) }
}

extension TaskHandle {
    /// What is stored of the task, as it is stored: the record that there is, then each newer one, to the end.
    ///
    /// A reader slower than the task misses records on the way, never the latest. Leaving the loop ends the subscription.
    ///
    /// - Parameter timeout: For the whole sequence, from the first record asked for.
    public func updates(within timeout: Duration) -> TaskUpdates {
        TaskUpdates(task: id, app: app, timeout: timeout)
    }

    /// How far the task is, as it tells by ``TaskContext/report(progress:)``: the last report, then each newer one.
    ///
    /// ```swift
    /// for try await progress in handle.progress(within: .seconds(600)) { bar.show(progress.fraction) }
    /// ```
    ///
    /// Ends with the task; then ask ``value(within:)`` how. Python tasks report with
    /// `self.update_state(state="PROGRESS", meta={"current": 3, "total": 10})`.
    ///
    /// - Parameter timeout: For the whole sequence, from the first report asked for.
    public func progress(within timeout: Duration) -> TaskProgressUpdates {
        TaskProgressUpdates(updates: updates(within: timeout))
    }
}

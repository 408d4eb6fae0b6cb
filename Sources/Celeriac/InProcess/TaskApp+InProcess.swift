public import CeleriacBeat
public import CeleriacCore
public import CeleriacWorker

extension TaskApp {
    /// Runs a worker in this process while a closure runs.
    ///
    /// The closure begins when the worker consumes. When it has ended, the worker finishes the tasks it is running,
    /// within its grace period.
    ///
    /// ```swift
    /// let sum = try await app.withWorker {
    ///     try await add.delay(2, 3).value(within: .seconds(10))
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - configuration: The worker's.
    ///   - onEvent: Called in the worker's tasks; must be quick.
    ///   - body: What runs beside the worker.
    /// - Throws: What the closure throws; or ``CeleriacError`` if the worker cannot start or cannot go on, which
    ///   cancels the closure.
    public func withWorker<Value: Sendable>(
        _ configuration: WorkerConfiguration = WorkerConfiguration(),
        onEvent: (@Sendable (WorkerEvent) -> Void)? = nil,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let (readiness, ready) = AsyncStream.makeStream(of: Never.self)
        let worker = Worker(self, configuration: configuration) { event in
            if case .ready = event { ready.finish() }
            onEvent?(event)
        }
        return try await withService {
            try await worker.run()
        } stop: {
            worker.shutDown()
        } body: {
            for await _ in readiness {}
            try Task.checkCancellation()
            return try await body()
        }
    }

    /// Runs a beat in this process while a closure runs.
    ///
    /// What is being emitted when the closure ends is finished.
    ///
    /// - Parameters:
    ///   - schedule: What to emit, and when.
    ///   - onEvent: Called with each event, in order; it must not block.
    ///   - body: What runs beside the beat.
    /// - Throws: What the closure throws; or ``CeleriacError`` `.configuration` if the schedule is not valid.
    public func withBeat<Value: Sendable>(
        _ schedule: Schedule,
        onEvent: @escaping @Sendable (BeatEvent) -> Void = { _ in },
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let beat = try Beat(
            schedule,
            store: drivers().schedule,
            scheduleName: name,
            time: configuration.time,
            logger: configuration.logger.labelled("celeriac.beat"),
            onEvent: onEvent
        )
        return try await withService {
            try await beat.run()
        } stop: {
            beat.shutDown()
        } body: {
            try await body()
        }
    }

    /// Runs a closure beside a service, then stops the service; a service that fails first cancels the closure.
    private func withService<Value: Sendable>(
        _ service: @escaping @Sendable () async throws -> Void,
        stop: @escaping @Sendable () -> Void,
        body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Result<Value, any Error>?.self) { group in
            group.addTask {
                try await service()
                return nil
            }
            group.addTask {
                let result: Result<Value, any Error>
                do {
                    result = .success(try await body())
                } catch {
                    result = .failure(error)
                }
                stop()
                return result
            }
            var result: Result<Value, any Error>?
            for try await end in group { result = end ?? result }
            guard let result else { throw CancellationError() }
            return try result.get()
        }
    }
}

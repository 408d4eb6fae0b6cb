internal import FoundationEssentials
internal import Glibc
internal import Synchronization

/// An application: its settings, its tasks, and the drivers they share.
///
/// Nothing is connected before it is needed, so an application may be a global constant.
public final class TaskApp: Sendable {
    /// The application's name, for logs and for the state of its beat.
    public let name: String
    private let makeDrivers: @Sendable (Configuration) throws(CeleriacError) -> Drivers
    private let state: Mutex<State>
    /// Where results by message would go: one id per process, sent with every call as Celery does.
    private let replyID = TaskID.random().rawValue
    private let origin = "gen\(getpid())@\(TaskApp.hostName)"

    private struct State {
        var configuration: Configuration
        var drivers: Result<Drivers, CeleriacError>?
        var tasks: [TaskName: TaskRegistration] = [:]
        var duplicates: Set<TaskName> = []
        var errors = KnownErrors()
    }

    /// An application whose drivers are made by a closure when first needed.
    package init(
        _ name: String,
        configuration: Configuration,
        drivers: @escaping @Sendable (Configuration) throws(CeleriacError) -> Drivers
    ) {
        self.name = name
        makeDrivers = drivers
        state = Mutex(State(configuration: configuration))
    }

    /// The machine's name, as node names carry it.
    package static var hostName: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    // MARK: Settings and drivers

    /// The settings.
    public var configuration: Configuration { state.withLock { $0.configuration } }

    /// Changes the settings; of effect on the drivers only before they are first used.
    package func configure(_ change: (inout Configuration) -> Void) {
        state.withLock { change(&$0.configuration) }
    }

    /// The drivers, made when first asked for.
    ///
    /// - Throws: ``CeleriacError`` `.configuration` for URLs that no driver takes.
    package func drivers() throws(CeleriacError) -> Drivers {
        // Making drivers connects nothing and takes no time, so it may happen under the lock.
        let result = state.withLock { state in
            if let drivers = state.drivers { return drivers }
            let configuration = state.configuration
            let made = Result { () throws(CeleriacError) in try makeDrivers(configuration) }
            state.drivers = made
            return made
        }
        return try result.get()
    }

    /// Sends what is buffered and disconnects; the application cannot be used afterwards.
    public func close(grace: Duration = .seconds(5)) async {
        guard case .success(let drivers)? = state.withLock({ $0.drivers }) else { return }
        // Results first: those by message have a queue to delete while there is a connection.
        await drivers.results.close()
        await drivers.broker.close(grace: grace)
    }

    // MARK: Tasks

    func register(_ task: TaskRegistration) {
        state.withLock { state in
            if state.tasks.updateValue(task, forKey: task.name) != nil { state.duplicates.insert(task.name) }
        }
    }

    func know<Failure: TaskError>(_ type: Failure.Type) { state.withLock { $0.errors.insert(type) } }

    /// The error types that results may be thrown as.
    var errors: KnownErrors { state.withLock { $0.errors } }

    /// The registered tasks in order of their names.
    package var tasks: [TaskRegistration] {
        state.withLock { $0.tasks.values.sorted { $0.name < $1.name } }
    }

    /// Checks what can be checked before work begins.
    ///
    /// - Throws: ``CeleriacError`` `.configuration` if two tasks have one name.
    package func validate() throws(CeleriacError) {
        let duplicates = state.withLock { $0.duplicates.sorted() }
        guard duplicates.isEmpty else {
            let names = duplicates.map(\.rawValue).joined(separator: ", ")
            throw CeleriacError(.configuration, "more than one task is named \(names)")
        }
    }

    // MARK: Calling

    /// A call by name, of a task whose code is elsewhere: another program, another language.
    ///
    /// ```swift
    /// let total = try await app.signature("proj.add", 2, 3, returning: Int.self).apply().value(within: .seconds(10))
    /// ```
    public func signature<Output: Decodable & Sendable, each Argument: Codable & Sendable>(
        _ task: TaskName,
        _ argument: repeat each Argument,
        keywords: [String: JSONValue] = [:],
        returning type: Output.Type = JSONValue.self
    ) -> Signature<Output> {
        let payload = Result { () throws(CeleriacError) in
            Payload(
                positional: try PayloadCoding.encode(PositionalArguments(repeat each argument)),
                keywords: try PayloadCoding.encode(keywords)
            )
        }
        return Signature(task: task, payload: payload, options: options(of: task), app: self)
    }

    /// A call by name with any number of arguments.
    public func signature(
        _ task: TaskName,
        arguments: [JSONValue],
        keywords: [String: JSONValue] = [:]
    ) -> Signature<JSONValue> {
        let payload = Result { () throws(CeleriacError) in
            Payload(
                positional: try PayloadCoding.encode(arguments),
                keywords: try PayloadCoding.encode(keywords)
            )
        }
        return Signature(task: task, payload: payload, options: options(of: task), app: self)
    }

    /// The options of a task that is defined here too.
    private func options(of task: TaskName) -> TaskOptions {
        state.withLock { $0.tasks[task]?.options } ?? TaskOptions()
    }

    /// The names of a task's parameters, if it is defined here too.
    private func parameters(of task: TaskName) -> [String] {
        state.withLock { $0.tasks[task]?.parameters } ?? []
    }

    /// The handle of a call made elsewhere.
    public func handle<Output: Decodable & Sendable>(
        _ id: TaskID,
        returning type: Output.Type = JSONValue.self
    ) -> TaskHandle<Output> {
        TaskHandle(id: id, app: self)
    }

    /// Sends one call.
    ///
    /// The lock of a unique call is taken first and freed if the call was surely not sent. After an indeterminate
    /// publish it stays: repeating under the same id passes it, a different call does not.
    func enqueue(
        _ task: TaskName,
        payload: Payload,
        taskOptions: TaskOptions,
        callOptions: CallOptions
    ) async throws(CeleriacError) -> (id: TaskID, disposition: CallDisposition) {
        let drivers = try drivers()
        let configuration = configuration
        let now = configuration.time.now
        var message = message(task, payload: payload, taskOptions, callOptions, now: now)
        guard message.body.count <= configuration.maximumBodySize else {
            throw CeleriacError(
                .tooLarge,
                "a call of \(task) takes \(message.body.count) octets; the limit is \(configuration.maximumBodySize)"
            )
        }

        let publishTimeout = callOptions.publishTimeout ?? configuration.publishTimeout
        let unique = callOptions.unique ?? taskOptions.unique
        try unique?.validate(for: task)
        if let debounce = unique?.debounce { message.eta = now.addingTimeInterval(debounce.wait.inSeconds) }
        let delay = message.eta.map { Duration.seconds($0.timeIntervalSince(now)) }.flatMap {
            $0 > .seconds(1) ? $0 : nil
        }
        var passage: UniquePassage?
        if let unique {
            let lock = try unique.lock(of: task, payload, parameters: parameters(of: task))
            lock.write(to: &message.headers)
            let wanted = UniquePassage(
                unique,
                lock,
                of: message,
                delay: delay,
                publishTimeout: publishTimeout,
                now: now
            )
            let other = try await admit(wanted, of: message, isNew: callOptions.id == nil, drivers)
            if let other { return other }
            passage = wanted
        }

        let queue = callOptions.queue ?? taskOptions.queue ?? configuration.defaultQueue
        // No expiration on a delayed message: it would cut its stay in the delay queues short. Nor on a unique one: what
        // the broker drops frees no lock, so the worker has to see that the call has expired.
        let expiration =
            delay == nil && passage == nil
            ? message.expires.map { Duration.seconds(max(0, $0.timeIntervalSince(now))) } : nil
        // Before the call is sent: afterwards the record could come behind the task's end.
        let isRecorded = await recordQueued(message, delay, taskOptions, drivers)
        do {
            if !(message.ignoresResult ?? taskOptions.ignoresResult),
                let replies = try await drivers.results.expect(message.id, within: publishTimeout)
            {
                message.replyTo = replies
            }
            try await drivers.broker.publish(
                message.encoded(expiration: expiration),
                to: Route(to: configuration.declaration(of: queue)),
                delay: delay,
                within: publishTimeout
            )
        } catch {
            if let passage {
                if error.isIndeterminate {
                    await keep(passage, of: message.id, wasSent: false, drivers)
                } else {
                    await release(passage.lock, of: message.id, drivers)
                }
            }
            if isRecorded, !error.isIndeterminate { await forget(message.id, drivers) }
            throw error
        }
        if let passage { await keep(passage, of: message.id, wasSent: true, drivers) }
        TaskContext.current?.note(child: message.id)
        return (message.id, .sent)
    }

    /// Records that a call is about to be sent, if the settings say so.
    ///
    /// Best effort: a call must not fail for want of its record.
    ///
    /// - Returns: Whether the record is there now and was not before.
    private func recordQueued(
        _ message: TaskMessage,
        _ delay: Duration?,
        _ options: TaskOptions,
        _ drivers: Drivers
    ) async -> Bool {
        let configuration = configuration
        // Where calls are announced to the backend, it knows them without a record.
        guard configuration.tracksQueued, drivers.results.abilities.contains(.anyCall),
            !(message.ignoresResult ?? options.ignoresResult)
        else { return false }
        var record = TaskRecord(
            task: message.id,
            state: .queued,
            value: JSONText.null,
            at: configuration.time.now,
            group: message.group,
            parent: message.parent
        )
        record.attempt = .none
        // The call's wait does not count; zero is for ever.
        let ttl = options.resultTTL ?? configuration.resultTTL
        let kept = ttl > .zero ? ttl + (delay ?? .zero) : ttl
        do {
            return try await drivers.results.store(record, ttl: kept, within: .seconds(5))
        } catch {
            let metadata = [("id", message.id.rawValue), ("error", error.description)]
            configuration.logger.debug("cannot record that a call is queued", metadata: metadata)
            return false
        }
    }

    /// Deletes the record of a call that was not sent.
    private func forget(_ id: TaskID, _ drivers: Drivers) async {
        // In a task of its own, as with locks; what cannot be deleted ends with its time to live.
        await Task { _ = try? await drivers.results.forget(id) }.value
    }

    private func message(
        _ task: TaskName,
        payload: Payload,
        _ taskOptions: TaskOptions,
        _ callOptions: CallOptions,
        now: Date
    ) -> TaskMessage {
        let id = callOptions.id ?? TaskID.random()
        var message = TaskMessage(id: id, task: task, body: payload.body)
        if let running = TaskContext.current {
            message.root = running.rootID
            message.parent = running.id
        }
        message.shadow = callOptions.shadow
        message.eta = callOptions.eta ?? callOptions.countdown.map { now.addingTimeInterval($0.inSeconds) }
        message.expires =
            callOptions.expiresAt
            ?? (callOptions.expires ?? taskOptions.expires).map { now.addingTimeInterval($0.inSeconds) }
        message.priority = callOptions.priority ?? taskOptions.priority ?? 0
        message.ignoresResult = callOptions.ignoresResult
        message.timeLimits.soft = callOptions.timeLimit
        message.headers = callOptions.headers
        callOptions.retry?.write(to: &message.headers)
        message.argumentsText = PythonText.repr(ofJSON: payload.positional, isTuple: true)
        message.keywordsText = PythonText.repr(ofJSON: payload.keywords)
        message.origin = origin
        message.replyTo = replyID
        return message
    }
}

/// Keeps equal calls of a task from being queued side by side.
///
/// ```swift
/// let report = app.task("report", options: TaskOptions(unique: .refuse)) { … }
/// let index = app.task("index", parameters: ["site", "page"], options: TaskOptions(unique: UniquePolicy(
///     key: .fields("site"),
///     onConflict: .trailing
/// ))) { … }
/// ```
public struct UniquePolicy: Sendable {
    /// From when to when a call keeps equal ones out.
    public enum Scope: Sendable, Hashable {
        /// While it is queued.
        case untilStarted
        /// While it is queued or running, or waits to be retried.
        case untilFinished
        /// For so long after it was sent, whatever becomes of it: at most one call in each such time.
        case window(Duration)
        /// For good: a year, counted anew whenever an equal call is made.
        case forever
    }

    /// What an equal call comes to.
    public enum Conflict: Sendable, Hashable {
        /// ``CeleriacError`` with code `.alreadyQueued`, which tells the first call's id and the lock's remaining time.
        case refuse
        /// The first call's handle.
        case returnExisting
        /// Nothing; its handle says so by ``TaskHandle/disposition`` and has the first call's id.
        case ignore
        /// The queued call runs with the new call's arguments. If it is running already, the new call is queued and
        /// runs after it.
        case replaceArguments
        /// A call that is still queued stands for this one, too. If it is running already, the new call is queued and
        /// runs after it: while one runs, at most one more is queued.
        case trailing
    }

    /// Waits for calls to stop coming before one of them is run.
    public struct Debounce: Sendable, Hashable {
        /// The quiet time that must pass since the last call.
        public var wait: Duration
        /// The longest time from the first call to the run, however many calls follow it.
        public var maximumWait: Duration

        /// A debounce; the longest wait is ten times the quiet time unless said otherwise.
        public init(wait: Duration, maximumWait: Duration? = nil) {
            self.wait = wait
            self.maximumWait = max(wait, maximumWait ?? wait * 10)
        }
    }

    /// The rules of the Python package `celery-once`.
    struct CeleryOnce: Sendable, Hashable {
        let keys: [String]?
    }

    /// From when to when a call keeps equal ones out.
    public var scope: Scope
    /// Which calls are equal.
    public var key: UniqueKey
    /// What an equal call comes to.
    public var onConflict: Conflict
    /// Whether calls wait for further ones.
    public var debounce: Debounce?
    /// After this time without renewal the lock of a call ends even if the call never did.
    ///
    /// A worker renews the lock at a third of the lease from the moment it holds the message. Nobody renews it while the
    /// call is queued: then the lock lasts for this time beyond the call's delay, or until the call expires, if it does. Of
    /// no effect on ``Scope/window(_:)`` and ``Scope/forever``. At least a second.
    public var lease: Duration
    var celeryOnce: CeleryOnce?

    /// A policy.
    public init(
        scope: Scope = .untilFinished,
        key: UniqueKey = .arguments,
        onConflict: Conflict = .refuse,
        lease: Duration = .seconds(3600)
    ) {
        self.scope = scope
        self.key = key
        self.onConflict = onConflict
        self.lease = lease
    }

    /// Refuses a second call.
    public static let refuse = UniquePolicy()
    /// Gives a second call the first one's handle.
    public static let returnExisting = UniquePolicy(onConflict: .returnExisting)
    /// Ignores a second call, and says so.
    public static let ignore = UniquePolicy(onConflict: .ignore)
    /// Lets the queued call run with the newest arguments.
    public static let replaceArguments = UniquePolicy(onConflict: .replaceArguments)
    /// Queues at most one more call while one runs.
    public static let trailing = UniquePolicy(onConflict: .trailing)

    /// Accepts at most one call in each time; the others are ignored.
    public static func throttle(
        _ window: Duration,
        key: UniqueKey = .arguments,
        onConflict: Conflict = .ignore
    ) -> UniquePolicy {
        UniquePolicy(scope: .window(window), key: key, onConflict: onConflict)
    }

    /// Runs once the calls have stopped coming, with the arguments of the last; see ``Debounce``.
    ///
    /// The wait takes the place of a countdown. A call that comes while one runs begins a wait of its own.
    ///
    /// - Parameter key: Which calls are one; with ``UniqueKey/arguments`` there would be nothing to replace.
    public static func debounce(
        _ wait: Duration,
        maximumWait: Duration? = nil,
        key: UniqueKey = .task,
        scope: Scope = .untilStarted
    ) -> UniquePolicy {
        var policy = UniquePolicy(scope: scope, key: key, onConflict: .replaceArguments)
        policy.debounce = Debounce(wait: wait, maximumWait: maximumWait)
        return policy
    }

    /// Shares the locks of Python programs that use `celery-once`, on one Redis database.
    ///
    /// A Python call that holds a lock has no id to tell: then the `conflict` of ``CeleriacError`` has none, and
    /// ``Conflict/returnExisting`` refuses. Only ``Conflict/refuse``, ``Conflict/returnExisting`` and ``Conflict/ignore`` can
    /// be told to Python.
    ///
    /// - Parameters:
    ///   - keys: The option `keys`: the arguments that count, all if `nil`. The task must name its parameters.
    ///   - timeout: The option `timeout`.
    ///   - unlockBeforeRun: The option `unlock_before_run`.
    ///   - onConflict: ``Conflict/ignore`` is the option `graceful`.
    public static func celeryOnce(
        keys: [String]? = nil,
        timeout: Duration = .seconds(3600),
        unlockBeforeRun: Bool = false,
        onConflict: Conflict = .refuse
    ) -> UniquePolicy {
        var policy = UniquePolicy(
            scope: unlockBeforeRun ? .untilStarted : .untilFinished,
            onConflict: onConflict,
            lease: timeout
        )
        policy.celeryOnce = CeleryOnce(keys: keys)
        return policy
    }
}

extension UniquePolicy {
    /// Whether a call may be accepted by way of another that is queued already.
    var joins: Bool { onConflict == .replaceArguments || onConflict == .trailing }

    /// How long ``Scope/forever`` is without another call.
    static let year = Duration.seconds(365 * 86_400)

    /// Refuses combinations that have no meaning.
    func validate(for task: TaskName) throws(CeleriacError) {
        func refuse(_ text: String) -> CeleriacError {
            CeleriacError(.configuration, "\(task) cannot be unique so: \(text)")
        }
        if joins {
            switch scope {
            case .untilStarted, .untilFinished: break
            case .window, .forever: throw refuse("only what is queued can be joined; the scope outlasts that")
            }
            guard celeryOnce == nil else { throw refuse("celery-once knows no joining of calls") }
        }
        if let debounce {
            guard onConflict == .replaceArguments else { throw refuse("a debounce replaces arguments") }
            guard debounce.wait > .zero else { throw refuse("a debounce without a wait") }
        }
        if case .window(let window) = scope, window <= .zero { throw refuse("a window without length") }
    }

    /// The lock of a call.
    ///
    /// - Parameter parameters: The names of the task's parameters, as far as they are known here.
    func lock(of task: TaskName, _ payload: Payload, parameters: [String]) throws(CeleriacError) -> UniqueLock {
        let name =
            if let celeryOnce {
                try CeleryOnceKey.name(
                    of: task,
                    BoundArguments(payload, parameters: parameters),
                    keys: celeryOnce.keys
                )
            } else {
                try key.name(of: task, payload, parameters: parameters)
            }
        return UniqueLock(key: name, lease: max(.seconds(1), lease), end: UniqueLock.End(scope), joins: joins)
    }

    /// The lock that a program with `celery-once` has taken for its call of a task that is defined here, if it follows these
    /// rules.
    package func foreignLock(of message: TaskMessage, parameters: [String]) -> UniqueLock? {
        guard let celeryOnce,
            let call = try? BoundArguments(body: message.body, parameters: parameters),
            let name = try? CeleryOnceKey.name(of: message.task, call, keys: celeryOnce.keys)
        else { return nil }
        return UniqueLock(key: name, lease: max(.seconds(1), lease), end: UniqueLock.End(scope))
    }

    /// How long the lock of a call that was just sent lasts unless it is renewed.
    func queueLease(delay: Duration, untilExpiry: Duration?) -> Duration {
        switch scope {
        case .window(let window): return window
        case .forever: return Self.year
        case .untilStarted, .untilFinished:
            if celeryOnce != nil { return lease + delay }
            // What expires may wait until then; a minute more is for clocks that differ and for the worker's own look.
            return max(.seconds(1), untilExpiry.map { $0 + .seconds(60) } ?? delay + lease)
        }
    }
}

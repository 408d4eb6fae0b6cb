/// No results at all, as with Celery's `disabled://`: calls are sent and run, and leave nothing.
///
/// For fleets that need to know nothing of what their tasks came to. Asking for a result is an error that says so.
public struct DisabledResultBackend: ResultBackend {
    /// A backend that keeps nothing.
    public init() {}

    /// `disabled://`.
    public var address: String { "disabled://" }

    /// None.
    public var abilities: ResultAbilities { [] }

    /// Does nothing, as there is nothing to connect to.
    public func open(within timeout: Duration) async throws(CeleriacError) {}

    /// Drops the record.
    @discardableResult
    public func store(
        _ record: TaskRecord,
        ttl: Duration,
        within timeout: Duration
    ) async throws(CeleriacError) -> Bool { false }

    /// - Throws: ``CeleriacError`` `.unsupported`.
    public func record(of task: TaskID) async throws(CeleriacError) -> TaskRecord? { throw Self.refusal }

    /// - Throws: ``CeleriacError`` `.unsupported`.
    public func outcome(of task: TaskID, within timeout: Duration) async throws(CeleriacError) -> TaskRecord {
        throw Self.refusal
    }

    /// - Throws: ``CeleriacError`` `.unsupported`.
    public func listen(
        to tasks: [TaskID],
        within timeout: Duration,
        onEvent: @escaping @Sendable (ResultEvent) -> Void
    ) async throws(CeleriacError) -> any ResultListening {
        throw Self.refusal
    }

    /// Does nothing, as nothing is kept.
    public func forget(_ task: TaskID) async throws(CeleriacError) {}

    /// Does nothing.
    public func close() async {}

    private static var refusal: CeleriacError {
        CeleriacError(.unsupported, "results are disabled (disabled://), so there is none to ask for")
    }
}

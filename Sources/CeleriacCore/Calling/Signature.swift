/// One call of a task, typed and not yet sent.
public struct Signature<Output: Decodable & Sendable>: Sendable {
    /// The task to run.
    public let task: TaskName
    /// The encoded arguments, or why they could not be encoded; told when the call is sent.
    package let payload: Result<Payload, CeleriacError>
    package let options: TaskOptions
    package let app: TaskApp

    init(task: TaskName, payload: Result<Payload, CeleriacError>, options: TaskOptions, app: TaskApp) {
        self.task = task
        self.payload = payload
        self.options = options
        self.app = app
    }

    /// Sends the call; returns once the broker has confirmed it.
    ///
    /// - Throws: ``CeleriacError``. `.alreadyQueued` if the task is unique and an equal call stands in the way;
    ///   `.invalidPayload` for arguments without a JSON form; `.tooLarge`; the broker's refusals `.unroutable`,
    ///   `.refused`, `.blocked`, `.accessDenied`; and `.timedOut` or `.connectionLost`, after which
    ///   ``CeleriacError/isIndeterminate`` tells whether the call may be queued all the same. Cancelling stops the wait
    ///   only.
    @discardableResult
    public func apply(_ options: CallOptions = CallOptions()) async throws(CeleriacError) -> TaskHandle<Output> {
        let sent = try await app.enqueue(task, payload: payload.get(), taskOptions: self.options, callOptions: options)
        return TaskHandle(id: sent.id, disposition: sent.disposition, app: app)
    }
}

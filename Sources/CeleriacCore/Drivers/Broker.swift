/// Carries messages from producers to workers: the seam behind which AMQP or memory does the work.
///
/// A driver connects when first used, and again after a loss; its callers see a lost connection only where the outcome
/// of their own call is unknown or their deadline passes.
public protocol Broker: Sendable {
    /// The broker's address for people, without credentials.
    var address: String { get }

    /// Connects now, so that a wrong address or password shows before work begins.
    ///
    /// - Throws: ``CeleriacError``: `.accessDenied` and `.notFound` are final, `.unavailable` may pass.
    func open(within timeout: Duration) async throws(CeleriacError)

    /// Creates a queue, or adopts the one of that name as it stands.
    ///
    /// - Returns: How the existing queue differs from what was asked, for a warning; `nil` when it does not.
    func declare(_ queue: QueueDeclaration) async throws(CeleriacError) -> String?

    /// Hands a message over; returns once the broker has confirmed that it is stored and was routed to a queue.
    ///
    /// - Parameters:
    ///   - delay: How long the broker keeps the message before it may be delivered. A driver may deliver up to a second
    ///     early: the receiver compares the message's own eta.
    ///   - timeout: For the whole call, reconnecting included.
    /// - Throws: ``CeleriacError``; after `.connectionLost` and `.timedOut` the outcome may be indeterminate, which
    ///   ``CeleriacError/isIndeterminate`` tells. Cancelling stops the wait only.
    func publish(_ message: Message, to route: Route, delay: Duration?, within timeout: Duration)
        async throws(CeleriacError)

    /// Starts to consume queues, declaring them first.
    ///
    /// - Parameter prefetch: Unacknowledged deliveries allowed at once, over all the queues; at least 1.
    func consume(_ queues: [QueueDeclaration], prefetch: Int) async throws(CeleriacError) -> any MessageConsumer

    /// Messages ready in a queue, not counting those out on delivery; `nil` if there is no such queue.
    func depth(of queue: QueueName) async throws(CeleriacError) -> Int?

    /// Takes one message without subscribing, as tools and tests do; `nil` when none is ready.
    func get(_ queue: QueueName) async throws(CeleriacError) -> Delivery?

    /// Drops all ready messages of a queue.
    ///
    /// - Returns: How many were dropped.
    @discardableResult
    func purge(_ queue: QueueName) async throws(CeleriacError) -> Int

    /// Sends what is buffered and disconnects; open consumers end. At the latest after `grace`.
    func close(grace: Duration) async
}

/// A subscription to one or more queues.
///
/// It outlives connections: after a loss the driver subscribes again, and ``next()`` goes on waiting meanwhile.
public protocol MessageConsumer: AnyObject, Sendable {
    /// The next delivery; many tasks may wait at once and are served in order.
    ///
    /// - Returns: `nil` once the consumer was stopped.
    /// - Throws: ``CeleriacError`` when the subscription cannot be restored, such as after the loss of a permission;
    ///   `.cancelled` when the waiting task was cancelled.
    func next() async throws(CeleriacError) -> Delivery?

    /// Ends the subscription and gives back what was fetched but not taken; deliveries already taken can be settled still.
    func stop() async
}

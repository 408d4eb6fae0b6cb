/// Something over which a broker's exchanges, queues and bindings are changed.
///
/// A conforming type performs operations; the methods for each of them come with this protocol.
public protocol AMQPTopology: Sendable {
    /// Performs an operation and waits for the broker's answer.
    ///
    /// - Throws: ``AMQPError``: what the broker refuses closes the channel. Cancelling ends the wait only.
    func perform(_ operation: TopologyOperation) async throws(AMQPError) -> TopologyAnswer
}

extension AMQPTopology {
    /// Declares an exchange.
    ///
    /// - Parameters:
    ///   - name: What to publish to.
    ///   - type: How it routes; RabbitMQ closes the connection for one that it does not know.
    ///   - passive: Only asks whether it exists; the other arguments do not count.
    ///   - durable: Whether it outlives a restart of the broker.
    ///   - autoDelete: Whether it goes when its last binding goes.
    ///   - isInternal: Whether only other exchanges may publish to it.
    ///   - arguments: Checked before anything is sent, as all names are.
    /// - Throws: ``AMQPError``: `.preconditionFailed` if it exists with other properties, `.notFound` if it was asked
    ///   for passively and is missing. Both close the channel.
    public func declareExchange(
        _ name: String,
        type: ExchangeType = .direct,
        passive: Bool = false,
        durable: Bool = true,
        autoDelete: Bool = false,
        isInternal: Bool = false,
        arguments: ExchangeArguments = [:]
    ) async throws(AMQPError) {
        let exchange = AMQPExchange(
            name,
            type: type,
            isDurable: durable,
            isAutoDelete: autoDelete,
            isInternal: isInternal,
            arguments: arguments
        )
        _ = try await perform(.declareExchange(exchange, passive: passive))
    }

    /// Deletes an exchange; one that is missing is no error to RabbitMQ.
    public func deleteExchange(_ name: String, ifUnused: Bool = false) async throws(AMQPError) {
        _ = try await perform(.deleteExchange(name, ifUnused: ifUnused))
    }

    /// Routes messages of one exchange on to another.
    public func bindExchange(
        _ destination: String,
        to source: String,
        routingKey: String,
        arguments: BindingArguments = [:]
    ) async throws(AMQPError) {
        let binding = AMQPBinding(
            source: source,
            destination: .exchange(destination),
            routingKey: routingKey,
            arguments: arguments
        )
        _ = try await perform(.bind(binding))
    }

    /// Removes a binding between two exchanges.
    public func unbindExchange(
        _ destination: String,
        from source: String,
        routingKey: String,
        arguments: BindingArguments = [:]
    ) async throws(AMQPError) {
        let binding = AMQPBinding(
            source: source,
            destination: .exchange(destination),
            routingKey: routingKey,
            arguments: arguments
        )
        _ = try await perform(.unbind(binding))
    }

    /// Declares a queue.
    ///
    /// - Parameters:
    ///   - name: Its name; the empty name has the broker choose one.
    ///   - passive: Only asks whether it exists; the other arguments do not count.
    ///   - durable: Whether it outlives a restart of the broker.
    ///   - exclusive: Whether it is this connection's own and goes with it.
    ///   - autoDelete: Whether it goes when its last consumer goes.
    ///   - arguments: Checked before anything is sent, together with the flags.
    /// - Throws: ``AMQPError``: `.invalidArgument`, before anything is sent; `.preconditionFailed` if it exists with
    ///   other properties, `.notFound` if it was asked for passively and is missing, `.resourceLocked` if it is another
    ///   connection's own. These close the channel.
    public func declareQueue(
        _ name: String = "",
        passive: Bool = false,
        durable: Bool = true,
        exclusive: Bool = false,
        autoDelete: Bool = false,
        arguments: QueueArguments = [:]
    ) async throws(AMQPError) -> AMQPQueue.State {
        let queue = AMQPQueue(
            name,
            isDurable: durable,
            isExclusive: exclusive,
            isAutoDelete: autoDelete,
            arguments: arguments
        )
        let answer = try await perform(.declareQueue(queue, passive: passive))
        guard case .queue(let state) = answer else { throw answer.unexpected }
        return state
    }

    /// Routes messages of an exchange to a queue.
    public func bindQueue(
        _ queue: String,
        to exchange: String,
        routingKey: String,
        arguments: BindingArguments = [:]
    ) async throws(AMQPError) {
        let binding = AMQPBinding(
            source: exchange,
            destination: .queue(queue),
            routingKey: routingKey,
            arguments: arguments
        )
        _ = try await perform(.bind(binding))
    }

    /// Removes a binding between an exchange and a queue.
    public func unbindQueue(
        _ queue: String,
        from exchange: String,
        routingKey: String,
        arguments: BindingArguments = [:]
    ) async throws(AMQPError) {
        let binding = AMQPBinding(
            source: exchange,
            destination: .queue(queue),
            routingKey: routingKey,
            arguments: arguments
        )
        _ = try await perform(.unbind(binding))
    }

    /// Removes all messages that are ready in a queue, and tells how many.
    @discardableResult
    public func purgeQueue(_ name: String) async throws(AMQPError) -> Int {
        try await perform(.purgeQueue(name)).messageCount()
    }

    /// Deletes a queue, and tells how many messages went with it; one that is missing is no error to RabbitMQ.
    @discardableResult
    public func deleteQueue(
        _ name: String,
        ifUnused: Bool = false,
        ifEmpty: Bool = false
    ) async throws(AMQPError) -> Int {
        try await perform(.deleteQueue(name, ifUnused: ifUnused, ifEmpty: ifEmpty)).messageCount()
    }
}

extension TopologyAnswer {
    var unexpected: AMQPError {
        AMQPError(.protocolViolation, "\(self) is not the answer that was due")
    }

    fileprivate func messageCount() throws(AMQPError) -> Int {
        guard case .messages(let count) = self else { throw unexpected }
        return count
    }
}

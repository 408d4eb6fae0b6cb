/// A place for dead letters: a queue that keeps them, and the exchange that leads there.
///
/// A queue may name a dead-letter exchange that does not exist, or one that leads nowhere; the broker then drops its dead
/// letters in silence. ``AMQPTopology/declareQueue(_:deadLetters:)`` therefore declares this place first.
public struct DeadLetterQueue: Hashable, Sendable {
    /// The queue that keeps the dead letters.
    public var queue: AMQPQueue
    /// The exchange to which they are published; `nil` for the default exchange, which leads to every queue.
    public var exchange: AMQPExchange?
    /// The routing key that they get.
    public var routingKey: String

    /// A durable place.
    ///
    /// - Parameters:
    ///   - name: The queue's name, not empty.
    ///   - exchange: A direct exchange; the default exchange if absent.
    ///   - arguments: Of the queue.
    public init(_ name: String, exchange: String? = nil, arguments: QueueArguments = [:]) {
        queue = AMQPQueue(name, arguments: arguments)
        self.exchange = exchange.map { AMQPExchange($0) }
        routingKey = name
    }

    /// What declares a queue whose dead letters come here, in its order.
    ///
    /// - Throws: ``AMQPError`` `.invalidArgument`, if the queue names another place already, or this one has no name.
    public func operations(declaring source: AMQPQueue) throws(AMQPError) -> [TopologyOperation] {
        guard !queue.name.isEmpty else {
            throw AMQPError(
                .invalidArgument,
                "a queue for dead letters needs a name: that of the broker's choice is not known"
            )
        }
        var source = source
        try set(\.deadLetterExchange, "deadLetterExchange", to: exchange?.name ?? "", of: &source)
        try set(\.deadLetterRoutingKey, "deadLetterRoutingKey", to: routingKey, of: &source)
        var operations: [TopologyOperation] = [.declareQueue(queue, passive: false)]
        if let exchange {
            let binding = AMQPBinding(source: exchange.name, destination: .queue(queue.name), routingKey: routingKey)
            operations = [.declareExchange(exchange, passive: false)] + operations + [.bind(binding)]
        }
        return operations + [.declareQueue(source, passive: false)]
    }

    private func set(
        _ argument: WritableKeyPath<QueueArguments, String?>,
        _ name: String,
        to value: String,
        of source: inout AMQPQueue
    ) throws(AMQPError) {
        if let given = source.arguments[keyPath: argument], given != value {
            throw AMQPError(
                .invalidArgument,
                "queue \"\(source.name)\" has \(name) \"\(given)\", its dead letters were to go to \"\(value)\""
            )
        }
        source.arguments[keyPath: argument] = value
    }
}

extension AMQPTopology {
    /// Declares a queue and the place for its dead letters, that place first.
    ///
    /// From its first message on, what the queue rejects, lets expire or has no room for is kept.
    ///
    /// - Returns: The state of the queue, not of the place for its dead letters.
    /// - Throws: ``AMQPError``: `.invalidArgument`, before anything is sent; `.preconditionFailed` if one of them exists
    ///   with other properties, which closes the channel. What was declared before stays.
    @discardableResult
    public func declareQueue(
        _ queue: AMQPQueue,
        deadLetters: DeadLetterQueue
    ) async throws(AMQPError) -> AMQPQueue.State {
        let operations = try deadLetters.operations(declaring: queue)
        for operation in operations { try operation.validate() }
        var answer = TopologyAnswer.done
        for operation in operations { answer = try await perform(operation) }
        guard case .queue(let state) = answer else { throw answer.unexpected }
        return state
    }
}

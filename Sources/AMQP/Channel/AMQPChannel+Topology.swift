extension AMQPChannel {
    /// What the broker tells about a declared queue.
    public struct QueueState: Hashable, Sendable {
        /// The name, as chosen by the broker if none was given.
        public let name: String
        /// Messages ready for delivery.
        public let messageCount: Int
        /// Consumers of the queue.
        public let consumerCount: Int
    }

    /// Declares an exchange.
    ///
    /// - Parameters:
    ///   - type: `direct`, `fanout`, `topic`, `headers` or one of a plugin.
    ///   - passive: Only asks whether it exists; the other arguments do not count.
    /// - Throws: ``AMQPError``: `.preconditionFailed` if it exists with other properties, `.notFound` if it was asked for
    ///   passively and is missing. Both close the channel.
    public func declareExchange(
        _ name: String,
        type: String = "direct",
        passive: Bool = false,
        durable: Bool = true,
        autoDelete: Bool = false,
        isInternal: Bool = false,
        arguments: FieldTable = [:]
    ) async throws(AMQPError) {
        let declare = Method.ExchangeDeclare(
            exchange: name,
            type: type,
            isPassive: passive,
            isDurable: durable,
            isAutoDelete: autoDelete,
            isInternal: isInternal,
            arguments: arguments
        )
        _ = try await connection.call(.exchangeDeclare(declare), on: self)
    }

    /// Deletes an exchange; one that is missing is no error to RabbitMQ.
    public func deleteExchange(_ name: String, ifUnused: Bool = false) async throws(AMQPError) {
        _ = try await connection.call(.exchangeDelete(.init(exchange: name, ifUnused: ifUnused)), on: self)
    }

    /// Routes messages of one exchange on to another.
    public func bindExchange(
        _ destination: String,
        to source: String,
        routingKey: String,
        arguments: FieldTable = [:]
    ) async throws(AMQPError) {
        let bind = Method.ExchangeBind(
            destination: destination,
            source: source,
            routingKey: routingKey,
            arguments: arguments
        )
        _ = try await connection.call(.exchangeBind(bind), on: self)
    }

    /// Removes a binding between two exchanges.
    public func unbindExchange(
        _ destination: String,
        from source: String,
        routingKey: String,
        arguments: FieldTable = [:]
    ) async throws(AMQPError) {
        let unbind = Method.ExchangeUnbind(
            destination: destination,
            source: source,
            routingKey: routingKey,
            arguments: arguments
        )
        _ = try await connection.call(.exchangeUnbind(unbind), on: self)
    }

    /// Declares a queue.
    ///
    /// - Parameters:
    ///   - name: Its name; the empty name has the broker choose one.
    ///   - passive: Only asks whether it exists; the other arguments do not count.
    /// - Throws: ``AMQPError``: `.preconditionFailed` if it exists with other properties, `.notFound` if it was asked for
    ///   passively and is missing, `.resourceLocked` if it is another connection's own. All close the channel.
    public func declareQueue(
        _ name: String = "",
        passive: Bool = false,
        durable: Bool = true,
        exclusive: Bool = false,
        autoDelete: Bool = false,
        arguments: FieldTable = [:]
    ) async throws(AMQPError) -> QueueState {
        let declare = Method.QueueDeclare(
            queue: name,
            isPassive: passive,
            isDurable: durable,
            isExclusive: exclusive,
            isAutoDelete: autoDelete,
            arguments: arguments
        )
        let answer = try await connection.call(.queueDeclare(declare), on: self)
        guard case .queueDeclareOk(let ok) = answer.method else { throw Self.unexpected(answer.method) }
        return QueueState(
            name: ok.queue,
            messageCount: Int(ok.messageCount),
            consumerCount: Int(ok.consumerCount)
        )
    }

    /// Routes messages of an exchange to a queue.
    public func bindQueue(
        _ queue: String,
        to exchange: String,
        routingKey: String,
        arguments: FieldTable = [:]
    ) async throws(AMQPError) {
        let bind = Method.QueueBind(queue: queue, exchange: exchange, routingKey: routingKey, arguments: arguments)
        _ = try await connection.call(.queueBind(bind), on: self)
    }

    /// Removes a binding between an exchange and a queue.
    public func unbindQueue(
        _ queue: String,
        from exchange: String,
        routingKey: String,
        arguments: FieldTable = [:]
    ) async throws(AMQPError) {
        let unbind = Method.QueueUnbind(queue: queue, exchange: exchange, routingKey: routingKey, arguments: arguments)
        _ = try await connection.call(.queueUnbind(unbind), on: self)
    }

    /// Removes all messages that are ready in a queue, and tells how many.
    @discardableResult
    public func purgeQueue(_ name: String) async throws(AMQPError) -> Int {
        let answer = try await connection.call(.queuePurge(.init(queue: name)), on: self)
        guard case .queuePurgeOk(let ok) = answer.method else { throw Self.unexpected(answer.method) }
        return Int(ok.messageCount)
    }

    /// Deletes a queue, and tells how many messages went with it; one that is missing is no error to RabbitMQ.
    @discardableResult
    public func deleteQueue(
        _ name: String,
        ifUnused: Bool = false,
        ifEmpty: Bool = false
    ) async throws(AMQPError) -> Int {
        let delete = Method.QueueDelete(queue: name, ifUnused: ifUnused, ifEmpty: ifEmpty)
        let answer = try await connection.call(.queueDelete(delete), on: self)
        guard case .queueDeleteOk(let ok) = answer.method else { throw Self.unexpected(answer.method) }
        return Int(ok.messageCount)
    }

    static func unexpected(_ method: Method) -> AMQPError {
        AMQPError(.protocolViolation, "\(method.name) is not the answer that was due")
    }
}

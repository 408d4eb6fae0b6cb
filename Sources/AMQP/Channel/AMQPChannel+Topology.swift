extension AMQPChannel: AMQPTopology {
    /// Performs an operation on the broker's topology.
    ///
    /// - Throws: ``AMQPError``: `.invalidArgument`, with nothing sent; `.notFound`, `.preconditionFailed`,
    ///   `.resourceLocked`, `.accessRefused`, which all close the channel; `.timedOut` after `Options.callTimeout`, and
    ///   what ends a channel.
    public func perform(_ operation: TopologyOperation) async throws(AMQPError) -> TopologyAnswer {
        try operation.validate()
        let answer = try await connection.call(try Method(operation), on: self).method
        return switch answer {
        case .queueDeclareOk(let ok):
            .queue(
                AMQPQueue.State(
                    name: ok.queue,
                    messageCount: Int(ok.messageCount),
                    consumerCount: Int(ok.consumerCount)
                )
            )
        case .queuePurgeOk(let ok): .messages(Int(ok.messageCount))
        case .queueDeleteOk(let ok): .messages(Int(ok.messageCount))
        // The channel's state machine lets no other answer through than the one of the method that was sent.
        default: .done
        }
    }
}

extension Method {
    init(_ operation: TopologyOperation) throws(AMQPError) {
        self =
            switch operation {
            case .declareExchange(let exchange, let passive):
                .exchangeDeclare(
                    ExchangeDeclare(
                        exchange: exchange.name,
                        type: exchange.type.rawValue,
                        isPassive: passive,
                        isDurable: exchange.isDurable,
                        isAutoDelete: exchange.isAutoDelete,
                        isInternal: exchange.isInternal,
                        arguments: try exchange.arguments.fields()
                    )
                )
            case .deleteExchange(let name, let ifUnused):
                .exchangeDelete(.init(exchange: name, ifUnused: ifUnused))
            case .declareQueue(let queue, let passive):
                .queueDeclare(
                    QueueDeclare(
                        queue: queue.name,
                        isPassive: passive,
                        isDurable: queue.isDurable,
                        isExclusive: queue.isExclusive,
                        isAutoDelete: queue.isAutoDelete,
                        arguments: try queue.arguments.fields()
                    )
                )
            case .deleteQueue(let name, let ifUnused, let ifEmpty):
                .queueDelete(.init(queue: name, ifUnused: ifUnused, ifEmpty: ifEmpty))
            case .purgeQueue(let name):
                .queuePurge(.init(queue: name))
            case .bind(let binding):
                switch binding.destination {
                case .queue(let queue):
                    .queueBind(
                        QueueBind(
                            queue: queue,
                            exchange: binding.source,
                            routingKey: binding.routingKey,
                            arguments: binding.arguments.fields
                        )
                    )
                case .exchange(let destination):
                    .exchangeBind(
                        ExchangeBind(
                            destination: destination,
                            source: binding.source,
                            routingKey: binding.routingKey,
                            arguments: binding.arguments.fields
                        )
                    )
                }
            case .unbind(let binding):
                switch binding.destination {
                case .queue(let queue):
                    .queueUnbind(
                        QueueUnbind(
                            queue: queue,
                            exchange: binding.source,
                            routingKey: binding.routingKey,
                            arguments: binding.arguments.fields
                        )
                    )
                case .exchange(let destination):
                    .exchangeUnbind(
                        ExchangeUnbind(
                            destination: destination,
                            source: binding.source,
                            routingKey: binding.routingKey,
                            arguments: binding.arguments.fields
                        )
                    )
                }
            }
    }
}

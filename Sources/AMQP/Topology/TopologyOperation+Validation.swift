extension TopologyOperation {
    /// Refuses what a broker would refuse, or close the connection for.
    ///
    /// - Throws: ``AMQPError``, `.invalidArgument`, naming the argument, its value and what to do.
    public func validate() throws(AMQPError) {
        switch self {
        case .declareExchange(let exchange, let passive):
            try ShortString.check(exchange.name, "exchange")
            if !passive { try exchange.arguments.validate(type: exchange.type) }
        case .declareQueue(let queue, let passive):
            try ShortString.check(queue.name, "queue")
            guard !passive else { return }
            try queue.arguments.validate(
                durable: queue.isDurable,
                exclusive: queue.isExclusive,
                autoDelete: queue.isAutoDelete
            )
        case .deleteExchange(let name, ifUnused: _): try ShortString.check(name, "exchange")
        case .deleteQueue(let name, ifUnused: _, ifEmpty: _), .purgeQueue(let name):
            try ShortString.check(name, "queue")
        case .bind(let binding), .unbind(let binding):
            try ShortString.check(binding.source, "exchange")
            switch binding.destination {
            case .queue(let name): try ShortString.check(name, "queue")
            case .exchange(let name): try ShortString.check(name, "destination")
            }
            try ShortString.check(binding.routingKey, "routing key")
        }
    }
}

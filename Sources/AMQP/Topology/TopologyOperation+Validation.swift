extension TopologyOperation {
    /// Refuses what a broker would refuse, or close the connection for.
    ///
    /// - Throws: ``AMQPError``, `.invalidArgument`, naming the argument, its value and what to do.
    public func validate() throws(AMQPError) {
        switch self {
        case .declareExchange(let exchange, let passive):
            try ShortString.checkPresent(exchange.name, "exchange")
            if !passive { try exchange.arguments.validate(type: exchange.type) }
        case .declareQueue(let queue, let passive):
            // Without a name, the broker chooses one; what is only looked for has one.
            guard !passive else { return try ShortString.checkPresent(queue.name, "queue") }
            try ShortString.check(queue.name, "queue")
            try queue.arguments.validate(
                durable: queue.isDurable,
                exclusive: queue.isExclusive,
                autoDelete: queue.isAutoDelete
            )
        case .deleteExchange(let name, ifUnused: _): try ShortString.checkPresent(name, "exchange")
        case .deleteQueue(let name, ifUnused: _, ifEmpty: _), .purgeQueue(let name):
            try ShortString.checkPresent(name, "queue")
        case .bind(let binding), .unbind(let binding):
            try ShortString.check(binding.source, "exchange")
            switch binding.destination {
            case .queue(let name): try ShortString.checkPresent(name, "queue")
            case .exchange(let name): try ShortString.checkPresent(name, "destination")
            }
            try ShortString.check(binding.routingKey, "routing key")
        }
    }
}

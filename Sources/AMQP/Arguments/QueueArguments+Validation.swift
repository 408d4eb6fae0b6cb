extension QueueArguments {
    /// Refuses what a broker would refuse, or silently ignore.
    ///
    /// - Throws: ``AMQPError``, `.invalidArgument`, naming the argument, its value and what to do.
    public func validate(durable: Bool, exclusive: Bool, autoDelete: Bool) throws(AMQPError) {
        _ = try fields()
        if let deadLetterRoutingKey, deadLetterExchange == nil, other["x-dead-letter-exchange"] == nil {
            throw AMQPError(
                argument: "x-dead-letter-routing-key",
                deadLetterRoutingKey,
                "it means nothing without x-dead-letter-exchange; give that, \"\" for the default exchange"
            )
        }
        if deadLetterStrategy == .atLeastOnce {
            guard deadLetterExchange != nil || other["x-dead-letter-exchange"] != nil, overflow == .rejectPublish else {
                throw AMQPError(
                    argument: "x-dead-letter-strategy",
                    "at-least-once",
                    "it takes effect only with x-dead-letter-exchange and x-overflow = reject-publish; give both"
                )
            }
        }
        if let delayedRetryMinimum, let delayedRetryMaximum, delayedRetryMaximum < delayedRetryMinimum {
            throw AMQPError(
                argument: "x-delayed-retry-max",
                "\(delayedRetryMaximum)",
                "it must not be less than x-delayed-retry-min = \(delayedRetryMinimum)"
            )
        }
        guard let type else { return }
        for argument in typed where !argument.types.contains(type) {
            let takers = argument.types.map(\.rawValue).sorted().joined(separator: " or ")
            throw AMQPError(
                argument: argument.name,
                argument.text,
                "a \(type) queue does not take it; leave it out, or declare a \(takers) queue"
            )
        }
        guard type != .classic else { return }
        if !durable { throw refusal(type, "durable = false", "it is always durable; declare it so") }
        if exclusive { throw refusal(type, "exclusive = true", "it cannot be exclusive; use a classic queue for that") }
        if autoDelete { throw refusal(type, "auto-delete = true", "it cannot be; set x-expires, or delete it") }
    }

    private func refusal(_ type: QueueType, _ flag: String, _ advice: String) -> AMQPError {
        AMQPError(.invalidArgument, "\(flag) for a \(type) queue: \(advice)")
    }
}

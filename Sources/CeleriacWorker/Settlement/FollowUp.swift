package import CeleriacCore
package import FoundationEssentials

extension TaskMessage {
    /// The message that runs this call again: itself, counted, due after a pause (wire document §5.3).
    package func retried(after delay: Duration, now: Date) -> TaskMessage {
        var next = self
        next.retries += 1
        next.eta = delay > .zero ? now.addingTimeInterval(delay.inSeconds) : nil
        next.parent = id  // a retried task has itself as parent
        return next
    }
}

extension Message {
    /// The message as it is kept in a dead-letter queue: untouched, with headers that say why and where from.
    package func deadLettered(
        _ reason: Admission.Reason,
        _ failure: TaskFailure,
        from queue: QueueName,
        exchange: String,
        routingKey: String,
        by nodeName: String,
        now: Date
    ) -> Message {
        var letter = self
        letter.expiration = nil  // what nobody has looked at must not vanish
        letter.headers["x-celeriac-reason"] = .string(reason.rawValue)
        // Headers must fit one frame; the whole text is in the stored result.
        letter.headers["x-celeriac-error"] = .string(String(failure.description.prefix(1024)))
        letter.headers["x-celeriac-queue"] = .string(queue.rawValue)
        letter.headers["x-celeriac-exchange"] = .string(exchange)
        letter.headers["x-celeriac-routing-key"] = .string(routingKey)
        letter.headers["x-celeriac-worker"] = .string(nodeName)
        letter.headers["x-celeriac-time"] = .string(WireTime.text(of: now))
        return letter
    }
}

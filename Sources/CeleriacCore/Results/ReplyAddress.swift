/// Where a call's caller waits for messages about it; result backends that are stores make no use of it.
package struct ReplyAddress: Hashable, Sendable {
    /// A queue, reached through the default exchange.
    package let queue: String
    /// What ties the reply to the call.
    package let correlationID: String

    /// The address that came with a call; `nil` if there was none.
    package init?(replyTo: String?, correlationID: String?, task: TaskID) {
        guard let replyTo, !replyTo.isEmpty else { return nil }
        queue = replyTo
        self.correlationID = correlationID.flatMap { $0.isEmpty ? nil : $0 } ?? task.rawValue
    }
}

extension TaskMessage {
    /// Where the caller waits for results by message.
    package var replyAddress: ReplyAddress? {
        ReplyAddress(replyTo: replyTo, correlationID: correlationID, task: id)
    }
}

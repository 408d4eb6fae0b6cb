internal import Synchronization

/// A message on its way to the wire and until it is confirmed, and who hears what became of it.
///
/// It keeps the message, which its caller holds as well while it waits: a message that comes back has no number, and is
/// recognised by comparing.
final class PublishOperation: Sendable {
    let message: AMQPMessage
    let ticket: PublishTicket
    /// Whether the caller is content with the message having been written.
    let endsWhenSent: Bool

    init(_ message: AMQPMessage, _ ticket: PublishTicket, endsWhenSent: Bool = false) {
        self.message = message
        self.ticket = ticket
        self.endsWhenSent = endsWhenSent
    }
}

extension AMQPMessage {
    /// Whether a message that came back is this one.
    ///
    /// - Parameter exactly: Whether all properties must be equal, but for `BCC`, which the broker removes.
    func isReturned(
        as returned: ReturnedMessage,
        _ content: ContentAssembler.Content,
        exactly: Bool
    ) -> Bool {
        guard isMandatory, routingKey == returned.routingKey, exchange == returned.exchange,
            body.count == content.body.count
        else { return false }
        if exactly {
            var sent = properties
            sent.blindCarbonCopies = []
            var received = content.properties
            if sent.headers?.isEmpty == true { sent.headers = nil }
            if received.headers?.isEmpty == true { received.headers = nil }
            guard sent == received else { return false }
        } else {
            guard properties.messageID == content.properties.messageID,
                properties.correlationID == content.properties.correlationID
            else { return false }
        }
        return body == content.body
    }
}

/// How a publish is told, and by when.
struct PublishTicket: Sendable {
    enum Completion: Sendable {
        case one(Waiter<Void>)
        case part(of: PublishBatch, index: Int)
    }

    let completion: Completion
    let deadline: ContinuousClock.Instant

    var isFinished: Bool {
        switch completion {
        case .one(let waiter): waiter.isFinished
        case .part(let batch, let index): batch.isFinished(index)
        }
    }

    func finish(_ result: Result<Void, AMQPError>) {
        switch completion {
        case .one(let waiter): waiter.finish(result)
        case .part(let batch, let index): batch.finish(index, result)
        }
    }
}

/// Several publishes awaited together.
final class PublishBatch: Sendable {
    private struct State: Sendable {
        var results: [Result<Void, AMQPError>?]
        var missing: Int
    }

    private let state: Mutex<State>
    let waiter = Waiter<Void>()

    init(count: Int) {
        state = Mutex(State(results: Array(repeating: nil, count: count), missing: count))
    }

    func isFinished(_ index: Int) -> Bool {
        waiter.isFinished || state.withLock { $0.results[index] != nil }
    }

    func finish(_ index: Int, _ result: Result<Void, AMQPError>) {
        let isLast = state.withLock { state in
            guard state.results[index] == nil else { return false }
            state.results[index] = result
            state.missing -= 1
            return state.missing == 0
        }
        if isLast { waiter.finish(.success(())) }
    }

    /// What became of each; `otherwise` stands for those that nothing is known of.
    func results(otherwise: AMQPError) -> [Result<Void, AMQPError>] {
        state.withLock { $0.results.map { $0 ?? .failure(otherwise) } }
    }
}

internal import Synchronization

/// A message on its way to the wire, and who hears what became of it.
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

/// What is kept of a publish once its message has been written: the octets need not stay.
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

internal import Synchronization

/// A message on its way to the wire and until it is confirmed, and who hears what became of it.
///
/// It leads to the message, which its caller holds as well while it waits: a message that comes back has no number, and
/// is recognised by comparing.
enum PublishOperation: Sendable {
    case one(PublishCall)
    /// One of several, by its place among them: it costs no allocation.
    case part(of: PublishBatch, index: Int)

    var message: AMQPMessage {
        switch self {
        case .one(let call): call.message
        case .part(let batch, let index): batch.messages[index]
        }
    }

    var deadline: ContinuousClock.Instant {
        switch self {
        case .one(let call): call.deadline
        case .part(let batch, _): batch.deadline
        }
    }

    /// Whether the caller is content with the message having been written.
    var endsWhenSent: Bool {
        switch self {
        case .one(let call): call.endsWhenSent
        case .part: false
        }
    }

    var isFinished: Bool {
        switch self {
        case .one(let call): call.waiter.isFinished
        case .part(let batch, let index): batch.isFinished(index)
        }
    }

    /// Whether nothing that the broker may yet say of it is of interest.
    ///
    /// Of one that ended when it was sent, a return still is: up to its deadline, as nothing tells that none comes.
    var isForgotten: Bool { isFinished && !endsWhenSent }

    func finish(_ result: Result<Void, AMQPError>) {
        switch self {
        case .one(let call): call.waiter.finish(result)
        case .part(let batch, let index): batch.finish(index, result)
        }
    }
}

/// A publish that is awaited by itself.
final class PublishCall: Sendable {
    let message: AMQPMessage
    let deadline: ContinuousClock.Instant
    let endsWhenSent: Bool
    let waiter = Waiter<Void>()

    init(_ message: AMQPMessage, deadline: ContinuousClock.Instant, endsWhenSent: Bool) {
        self.message = message
        self.deadline = deadline
        self.endsWhenSent = endsWhenSent
    }
}

/// Several publishes awaited together.
final class PublishBatch: Sendable {
    private struct State: Sendable {
        var isFinished: [Bool]
        var missing: Int
        /// Of those that failed, which is rare.
        var failures: [Int: AMQPError] = [:]
    }

    let messages: [AMQPMessage]
    let deadline: ContinuousClock.Instant
    private let state: Mutex<State>
    let waiter = Waiter<Void>()

    init(_ messages: [AMQPMessage], deadline: ContinuousClock.Instant) {
        self.messages = messages
        self.deadline = deadline
        state = Mutex(State(isFinished: Array(repeating: false, count: messages.count), missing: messages.count))
    }

    func isFinished(_ index: Int) -> Bool {
        waiter.isFinished || state.withLock { $0.isFinished[index] }
    }

    /// Whether nothing is known yet of any of some.
    func isOpen(_ indices: Range<Int>) -> Bool {
        !waiter.isFinished && state.withLock { state in indices.allSatisfy { !state.isFinished[$0] } }
    }

    /// Small messages from an index on, to be written together.
    ///
    /// - Parameters:
    ///   - count: The most messages.
    ///   - octets: The most octets of a body.
    func run(from index: Int, atMost count: Int, octets: Int) -> Range<Int> {
        let limit = min(messages.count, index + count)
        var end = index
        while end < limit, messages[end].body.count <= octets { end += 1 }
        return index..<end
    }

    /// Notes that some have been confirmed.
    func confirm(_ indices: ClosedRange<Int>) {
        let isLast = state.withLock { state in
            for index in indices where !state.isFinished[index] {
                state.isFinished[index] = true
                state.missing -= 1
            }
            return state.missing == 0
        }
        if isLast { waiter.finish(.success(())) }
    }

    func finish(_ index: Int, _ result: Result<Void, AMQPError>) {
        let isLast = state.withLock { state in
            guard !state.isFinished[index] else { return false }
            state.isFinished[index] = true
            if case .failure(let error) = result { state.failures[index] = error }
            state.missing -= 1
            return state.missing == 0
        }
        if isLast { waiter.finish(.success(())) }
    }

    /// What became of each; `otherwise` stands for those that nothing is known of.
    func results(otherwise: AMQPError) -> [Result<Void, AMQPError>] {
        state.withLock { state in
            if state.missing == 0, state.failures.isEmpty {
                return Array(repeating: .success(()), count: messages.count)
            }
            return state.isFinished.indices.map { index in
                if let error = state.failures[index] { return .failure(error) }
                return state.isFinished[index] ? .success(()) : .failure(otherwise)
            }
        }
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

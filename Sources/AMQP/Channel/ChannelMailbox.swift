internal import Synchronization

/// What callers on any thread leave for the loop: messages to publish, deliveries to settle.
///
/// The first to leave something after the loop has emptied the box wakes the loop; everybody else until then rides
/// along, in the same write. Acknowledgements wake it only in number while it is going to look by itself.
final class ChannelMailbox: Sendable {
    struct Contents: Sendable {
        var publishes: [PublishSubmission] = []
        var settlements: [(tag: UInt64, settlement: AckCoalescer.Settlement)] = []
        /// Messages whose callers wait no more, published now or before.
        var cancelled = 0
    }

    private struct State: Sendable {
        var contents = Contents()
        var isScheduled = false
        /// Acknowledgements to collect before the loop is woken: one, unless it looks soon by itself.
        var patience = 1
        var closed: AMQPError?
        var closeCallbacks: [@Sendable (AMQPError) -> Void] = []
        var onReturn: (@Sendable (ReturnedMessage, AMQPMessage) -> Void)?

        mutating func mustSchedule() -> Bool {
            defer { isScheduled = true }
            return !isScheduled
        }
    }

    private let state = Mutex(State())

    /// - Returns: Whether the caller must wake the loop; `nil` if the channel is closed.
    func settle(_ tag: UInt64, as settlement: AckCoalescer.Settlement) -> Bool? {
        state.withLock { state in
            guard state.closed == nil else { return nil }
            state.contents.settlements.append((tag, settlement))
            // What goes back to its queue is somebody else's work: at once.
            if case .acknowledge = settlement, state.contents.settlements.count < state.patience { return false }
            return state.mustSchedule()
        }
    }

    /// - Returns: Whether the caller must wake the loop.
    /// - Throws: The reason for which the channel is closed.
    func publish(_ submission: PublishSubmission) throws(AMQPError) -> Bool {
        let result: Result<Bool, AMQPError> = state.withLock { state in
            if let closed = state.closed { return .failure(closed.publishing(wasSent: false)) }
            state.contents.publishes.append(submission)
            return .success(state.mustSchedule())
        }
        return try result.get()
    }

    /// Tells that the callers of so many messages were cancelled.
    ///
    /// - Returns: Whether the caller must wake the loop.
    func cancelled(_ count: Int) -> Bool {
        state.withLock { state in
            guard state.closed == nil else { return false }
            state.contents.cancelled += count
            return state.mustSchedule()
        }
    }

    /// Empties the box, into contents whose storage is used again.
    func take(into contents: inout Contents) {
        contents.publishes.removeAll(keepingCapacity: true)
        contents.settlements.removeAll(keepingCapacity: true)
        contents.cancelled = 0
        state.withLock { state in
            swap(&state.contents, &contents)
            state.isScheduled = false
        }
    }

    /// The loop is going to look by itself: fewer settlements than so many do not wake it, until it finds none.
    func expectSettlements(_ patience: Int) {
        state.withLock { $0.patience = patience }
    }

    /// Ends what ``expectSettlements(_:)`` began if there is no settlement.
    ///
    /// - Returns: Whether there is one, so that the loop must take it and look again.
    func hasSettlements() -> Bool {
        state.withLock { state in
            if state.contents.settlements.isEmpty { state.patience = 1 }
            return !state.contents.settlements.isEmpty
        }
    }

    /// Refuses everything from here on.
    func close(_ error: AMQPError) -> Contents {
        let (contents, callbacks) = state.withLock { state in
            if state.closed == nil { state.closed = error }
            defer { (state.contents, state.closeCallbacks) = (Contents(), []) }
            return (state.contents, state.closeCallbacks)
        }
        for callback in callbacks { callback(error) }
        return contents
    }

    /// Calls back once when the channel is closed, or at once if it is; the callback must not block.
    func onClose(_ body: @escaping @Sendable (AMQPError) -> Void) {
        let closed = state.withLock { state in
            if state.closed == nil { state.closeCallbacks.append(body) }
            return state.closed
        }
        if let closed { body(closed) }
    }

    func onReturn(_ body: @escaping @Sendable (ReturnedMessage, AMQPMessage) -> Void) {
        state.withLock { $0.onReturn = body }
    }

    /// Whom to tell of a returned message that no confirmation will tell of.
    var returnCallback: (@Sendable (ReturnedMessage, AMQPMessage) -> Void)? { state.withLock { $0.onReturn } }

    var closeReason: AMQPError? { state.withLock { $0.closed } }
}

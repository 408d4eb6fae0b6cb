/// The client's side of a channel: opening, calls with their answers in order, closing.
///
/// Decides; touches nothing.
package struct ChannelStateMachine: Sendable {
    /// Names a call that waits for its answer.
    package typealias CallID = UInt64

    package enum Action: Equatable, Sendable {
        case none
        case send(Method)
        case complete(CallID, with: Method)
        case consumerCancelled(tag: String, send: Method?)
        case flow(isActive: Bool, send: Method)
        /// The channel is gone: the calls fail with the error, the number is free again. Those to be spared were not
        /// made, for a fault that is not theirs.
        case closed(AMQPError, failing: [CallID], sparing: [CallID], send: Method?)
        /// The call cannot be made.
        case refuse(CallID, AMQPError)
        /// The connection must be closed for this.
        case violation(FrameError)
    }

    private struct Call: Sendable {
        let id: CallID
        let classID: UInt16
        let methodID: UInt16
        /// Which consumer the call starts or cancels; the answer must name the same.
        let consumerTag: String?

        init(_ id: CallID, _ method: Method) {
            self.id = id
            (classID, methodID) = method.id
            consumerTag =
                switch method {
                case .basicConsume(let consume) where !consume.consumerTag.isEmpty: consume.consumerTag
                case .basicCancel(let cancel): cancel.consumerTag
                default: nil
                }
        }

        func isAnswered(by method: Method) -> Bool {
            let answer = method.id
            guard answer.classID == classID else { return false }
            switch (classID, methodID) {
            case (40, 40): return answer.methodID == 51  // exchange.unbind, numbered out of line
            case (60, 70): return answer.methodID == 71 || answer.methodID == 72  // basic.get: ok or empty
            case (60, 20), (60, 30):
                switch method {
                case .basicConsumeOk(let ok) where methodID == 20:
                    return ok.consumerTag == consumerTag ?? ok.consumerTag
                case .basicCancelOk(let ok) where methodID == 30: return ok.consumerTag == consumerTag
                default: return false
                }
            default: return answer.methodID == methodID + 1
            }
        }
    }

    private enum State: Sendable {
        case idle
        case opening
        case open
        case closing(AMQPError, isCrossed: Bool)
        case closed(AMQPError)
    }

    private var state = State.idle
    private var calls = RingBuffer<Call>()
    private let number: UInt16

    package init(number: UInt16) {
        self.number = number
    }

    /// Whether messages and confirmations are of interest.
    package var isOpen: Bool {
        switch state {
        case .opening, .open: true
        case .idle, .closing, .closed: false
        }
    }

    /// Why the channel takes no calls any more.
    package var closeReason: AMQPError? {
        switch state {
        case .idle, .opening, .open: nil
        case .closing(let error, _), .closed(let error): error
        }
    }

    /// Sends a method that is answered.
    ///
    /// Answers come in the order of the calls (§4.7).
    package mutating func call(_ id: CallID, _ method: Method) -> Action {
        switch state {
        case .idle:
            guard case .channelOpen = method else {
                return .refuse(id, AMQPError(.closed, "channel \(number) is not open"))
            }
            state = .opening
        case .opening, .open: break
        case .closing(let error, _), .closed(let error): return .refuse(id, error)
        }
        calls.append(Call(id, method))
        return .send(method)
    }

    /// Begins to close; the call completes with `close-ok`, and calls still unanswered fail then.
    package mutating func close(
        _ id: CallID,
        because reason: AMQPError,
        replyCode: UInt16 = 200,
        replyText: String = "goodbye"
    ) -> Action {
        switch state {
        case .opening, .open:
            state = .closing(reason, isCrossed: false)
            let method = Method.channelClose(
                .init(replyCode: replyCode, replyText: replyText, classID: 0, methodID: 0)
            )
            calls.append(Call(id, method))
            return .send(method)
        case .idle, .closing, .closed:
            return .refuse(id, closeReason ?? reason)
        }
    }

    package mutating func received(_ method: Method) -> Action {
        switch (state, method) {
        case (.opening, .channelOpenOk):
            state = .open
            return answer(method)
        case (.opening, .channelClose(let close)), (.open, .channelClose(let close)):
            return end(AMQPError(channelClose: close, channel: number), becauseOf: close, send: .channelCloseOk)
        case (.closing(let reason, isCrossed: false), .channelClose):
            // Both sides closed at once: each answers the other, and ours is still to come.
            state = .closing(reason, isCrossed: true)
            return .send(.channelCloseOk)
        case (.closing(_, isCrossed: true), .channelClose):
            return .violation(.unexpectedMethod("channel \(number) was closed twice"))
        case (.closing(let reason, _), .channelCloseOk):
            return end(reason, send: nil)
        case (.closing, _):
            return .none  // §1.5.2.6: what comes before close-ok is discarded
        case (.open, .basicCancel(let cancel)):
            let answer = Method.basicCancelOk(.init(consumerTag: cancel.consumerTag))
            return .consumerCancelled(tag: cancel.consumerTag, send: cancel.noWait ? nil : answer)
        case (.open, .channelFlow(let flow)):
            return .flow(isActive: flow.isActive, send: .channelFlowOk(.init(isActive: flow.isActive)))
        case (.open, _):
            return answer(method)
        case (.idle, _), (.opening, _), (.closed, _):
            return .violation(.unknownChannel(number))
        }
    }

    /// The connection is gone, and the channel with it.
    package mutating func disconnected(_ error: AMQPError) -> Action {
        if case .closed = state { return .none }
        return end(error, send: nil)
    }

    private mutating func answer(_ method: Method) -> Action {
        // RabbitMQ's queues answer a consume by themselves, so that later calls, and consumes of other queues, may be
        // answered before it.
        var isInOrder = true
        let call = calls.removeFirst { call in
            defer { isInOrder = isInOrder && call.consumerTag != nil }
            return isInOrder && call.isAnswered(by: method)
        }
        guard let call else {
            return .violation(.unexpectedMethod("\(method.name) answers no call on channel \(number)"))
        }
        return .complete(call.id, with: method)
    }

    private mutating func end(
        _ error: AMQPError,
        becauseOf close: Method.ChannelClose? = nil,
        send: Method?
    ) -> Action {
        state = .closed(error)
        var failing = calls.removeAll()
        var spared: [Call] = []
        // The first call of the kind that the server names is to blame; those before it have been answered.
        if let close, close.classID != 0 {
            spared = failing.filter { ($0.classID, $0.methodID) != (close.classID, close.methodID) }
            failing.removeAll { ($0.classID, $0.methodID) != (close.classID, close.methodID) }
            spared += failing.dropFirst()
            failing = Array(failing.prefix(1))
        }
        return .closed(error, failing: failing.map(\.id), sparing: spared.map(\.id), send: send)
    }
}

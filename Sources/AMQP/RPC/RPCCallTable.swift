/// Which calls are outstanding, which wait for room, and which of them an arriving reply answers.
///
/// A call is numbered when it begins. Its correlation id is that number behind a prefix of the client's own, so a reply
/// to a call that has ended is told from one to a call that never was, and nothing is kept about either.
package struct RPCCallTable: Sendable {
    package typealias CallID = UInt64

    /// What a reply is.
    package enum Arrival: Equatable, Sendable {
        case answers(CallID)
        /// The call has ended: answered before, timed out or cancelled.
        case late
        /// No call of this client.
        case unknown
    }

    /// A call that ends without a reply.
    package struct Ended: Equatable, Sendable {
        package var call: CallID
        /// Whether its request may have left.
        package var wasSent: Bool

        package init(call: CallID, wasSent: Bool) {
            self.call = call
            self.wasSent = wasSent
        }
    }

    private let prefix: String
    private let limit: Int
    private var outstanding: [CallID: ContinuousClock.Instant] = [:]
    private var waiting = RingBuffer<(call: CallID, deadline: ContinuousClock.Instant)>()
    private var lastCall: CallID = 0
    private var closed: AMQPError?

    package private(set) var lateReplies = 0
    package private(set) var unknownReplies = 0

    /// - Parameters:
    ///   - prefix: Of all correlation ids; no two clients that share a reply queue may have the same.
    ///   - limit: Calls outstanding at once, at least one.
    package init(prefix: String, limit: Int) {
        self.prefix = prefix
        self.limit = max(1, limit)
    }

    package var outstandingCount: Int { outstanding.count }
    package var waitingCount: Int { waiting.count }

    /// The earliest deadline of all calls.
    package var nextDeadline: ContinuousClock.Instant? {
        var next = outstanding.values.min()
        for offset in 0..<waiting.count {
            let deadline = waiting[offset].deadline
            next = next.map { min($0, deadline) } ?? deadline
        }
        return next
    }

    package func correlationID(of call: CallID) -> String { prefix + String(call) }

    /// Takes in a call.
    ///
    /// - Returns: Its number, and whether its request may be sent now rather than when ``nextToSend()`` names it.
    /// - Throws: The reason for which the table was closed.
    package mutating func begin(
        deadline: ContinuousClock.Instant
    ) throws(AMQPError) -> (call: CallID, maySend: Bool) {
        if let closed { throw closed.publishing(wasSent: false) }
        lastCall += 1
        // Nobody overtakes those who wait already.
        guard waiting.isEmpty, outstanding.count < limit else {
            waiting.append((lastCall, deadline))
            return (lastCall, false)
        }
        outstanding[lastCall] = deadline
        return (lastCall, true)
    }

    /// The next call that has waited and for which there is room now, in the order of beginning.
    package mutating func nextToSend() -> CallID? {
        guard outstanding.count < limit, let next = waiting.popFirst() else { return nil }
        outstanding[next.call] = next.deadline
        return next.call
    }

    /// A reply has come; the call that it answers has ended.
    package mutating func replied(_ correlationID: String?) -> Arrival {
        guard let correlationID, let call = number(in: correlationID) else {
            unknownReplies += 1
            return .unknown
        }
        guard outstanding.removeValue(forKey: call) != nil else {
            lateReplies += 1
            return .late
        }
        return .answers(call)
    }

    /// Its caller waits no longer, or its request could not be sent.
    package mutating func abandoned(_ call: CallID) {
        guard outstanding.removeValue(forKey: call) == nil else { return }
        _ = waiting.removeFirst { $0.call == call }
    }

    /// Ends the calls whose deadline has come, in the order of beginning.
    package mutating func tick(now: ContinuousClock.Instant) -> [Ended] {
        let sent = outstanding.filter { $0.value <= now }.keys.sorted()
        for call in sent { outstanding.removeValue(forKey: call) }
        var ended = sent.map { Ended(call: $0, wasSent: true) }
        for (call, deadline) in waiting.removeAll() {
            if deadline <= now {
                ended.append(Ended(call: call, wasSent: false))
            } else {
                waiting.append((call, deadline))
            }
        }
        return ended
    }

    /// Ends all calls, in the order of beginning, and refuses further ones.
    package mutating func close(_ error: AMQPError) -> [Ended] {
        if closed == nil { closed = error }
        var ended = outstanding.keys.sorted().map { Ended(call: $0, wasSent: true) }
        outstanding = [:]
        ended += waiting.removeAll().map { Ended(call: $0.call, wasSent: false) }
        return ended
    }

    private func number(in correlationID: String) -> CallID? {
        guard correlationID.hasPrefix(prefix), let call = CallID(correlationID.dropFirst(prefix.count)),
            call >= 1, call <= lastCall,
            // Another spelling of the number, such as "+7", was not given out.
            self.correlationID(of: call) == correlationID
        else { return nil }
        return call
    }
}

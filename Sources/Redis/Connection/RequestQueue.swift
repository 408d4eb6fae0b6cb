/// Which request an answer belongs to, and whose time is up: a connection's decisions, without the connection.
///
/// Redis answers in order, so a request is a place in line. A request whose wait has ended keeps its place and its
/// answer is dropped when it comes. Time is an argument.
package struct RequestQueue<Request> {
    package typealias Instant = ContinuousClock.Instant

    /// What a reply meant.
    package enum Received {
        /// The request has its answer; several replies make one array.
        case complete(Request, RESPValue)
        /// More replies of the same request follow.
        case partial
        /// Nobody waits for the answer any more.
        case discarded
        /// Nothing was asked.
        case unsolicited
    }

    /// What has become due.
    package struct Due {
        /// Requests never sent whose deadline has passed; they are gone.
        package var unsent: [Request] = []
        /// Requests sent whose deadline has passed; they keep their places.
        package var sent: [Request] = []
        /// Whether the peer has been mute for the grace after a timeout: the connection is to be aborted.
        package var isDead = false
    }

    /// How much a part of the line holds at most; one request fits however big it is.
    package struct Bound: Sendable {
        package var requests: Int
        package var octets: Int

        package init(requests: Int, octets: Int = .max) {
            self.requests = requests
            self.octets = octets
        }

        fileprivate func admits(_ size: Int, count: Int, octets: Int) -> Bool {
            count < requests && (count == 0 || size <= self.octets - octets)
        }
    }

    private struct Entry {
        let request: Request
        let expected: Int
        let octets: Int
        let deadline: Instant
        var isExpired = false
        var replies: [RESPValue] = []
        var repliesDiscarded = 0
    }

    private var waiting = FIFO<Entry>()
    private var sent = FIFO<Entry>()
    private let maximumSent: Bound
    private let maximumWaiting: Bound
    private var sentOctets = 0
    private var waitingOctets = 0
    private let grace: Duration
    private var suspectUntil: Instant?

    private static var granularity: Duration { .milliseconds(10) }

    /// When to call ``tick(now:)`` next: at the earliest deadline, or up to 10 ms after it.
    ///
    /// May come when nothing is due, because the request has been answered meanwhile.
    package private(set) var nextDeadline: Instant?

    package init(maximumSent: Bound, maximumWaiting: Bound, grace: Duration) {
        self.maximumSent = maximumSent
        self.maximumWaiting = maximumWaiting
        self.grace = grace
    }

    package var isEmpty: Bool { waiting.isEmpty && sent.isEmpty }
    package var sentCount: Int { sent.count }
    package var waitingCount: Int { waiting.count }

    /// Puts a request at the end of the line; false when the line is full.
    package mutating func submit(
        _ request: Request,
        expecting expected: Int,
        octets: Int = 0,
        deadline: Instant
    ) -> Bool {
        guard maximumWaiting.admits(octets, count: waiting.count, octets: waitingOctets) else { return false }
        waitingOctets += octets
        waiting.append(Entry(request: request, expected: expected, octets: octets, deadline: deadline))
        nextDeadline = nextDeadline.map { min($0, deadline) } ?? deadline
        return true
    }

    /// Takes the next request that may be written; those that nobody waits for any more are dropped.
    package mutating func nextToSend(where isWanted: (Request) -> Bool = { _ in true }) -> Request? {
        while let (isUnwanted, octets) = waiting.updateFirst({ (!isWanted($0.request), $0.octets) }) {
            guard isUnwanted || maximumSent.admits(octets, count: sent.count, octets: sentOctets) else { return nil }
            guard let entry = waiting.popFirst() else { return nil }
            waitingOctets -= octets
            if isUnwanted { continue }
            sentOctets += octets
            sent.append(entry)
            return entry.request
        }
        return nil
    }

    /// A reply has come.
    package mutating func received(_ reply: RESPValue) -> Received {
        suspectUntil = nil
        let isFinished = sent.updateFirst { entry in
            guard entry.expected > 1 else { return true }
            if entry.isExpired {
                entry.repliesDiscarded += 1
            } else {
                entry.replies.append(reply)
            }
            return entry.replies.count + entry.repliesDiscarded == entry.expected
        }
        guard let isFinished else { return .unsolicited }
        guard isFinished else { return .partial }
        guard let entry = sent.popFirst() else { return .discarded }
        sentOctets -= entry.octets
        guard !entry.isExpired else { return .discarded }
        return .complete(entry.request, entry.expected > 1 ? .array(entry.replies) : reply)
    }

    /// Finds what has become due.
    package mutating func tick(now: Instant) -> Due {
        var due = Due()
        var next: Instant?
        waiting.filter { entry in
            guard entry.deadline > now else {
                due.unsent.append(entry.request)
                waitingOctets -= entry.octets
                return false
            }
            next = next.map { min($0, entry.deadline) } ?? entry.deadline
            return true
        }
        sent.filter { entry in
            guard !entry.isExpired else { return true }
            guard entry.deadline > now else {
                entry.isExpired = true
                entry.repliesDiscarded = entry.replies.count
                entry.replies = []
                due.sent.append(entry.request)
                return true
            }
            next = next.map { min($0, entry.deadline) } ?? entry.deadline
            return true
        }
        if !due.sent.isEmpty, suspectUntil == nil { suspectUntil = now + grace }
        if let suspectUntil {
            due.isDead = now >= suspectUntil
            next = next.map { min($0, suspectUntil) } ?? suspectUntil
        }
        // A tick looks at every request, so a mute peer with many deadlines must not cause one tick for each.
        nextDeadline = next.map { max($0, now + Self.granularity) }
        return due
    }

    /// Takes back what has not been sent, in order.
    package mutating func endWaiting() -> [Request] {
        waitingOctets = 0
        return waiting.removeAll().map(\.request)
    }

    /// The connection has ended: everything that still waits, in order.
    package mutating func end() -> (unsent: [Request], sent: [Request]) {
        nextDeadline = nil
        suspectUntil = nil
        sentOctets = 0
        return (endWaiting(), sent.removeAll().filter { !$0.isExpired }.map(\.request))
    }
}

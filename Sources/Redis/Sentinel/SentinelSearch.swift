package import Transport

/// A search for the master: whom to ask next and for how long, and what the answers mean, without the network.
///
/// One value serves all searches of a client, since it remembers who answered: a sentinel that named the master is asked
/// first the next time, one that did not answer is asked last. Time is an argument.
package struct SentinelSearch: Sendable {
    package typealias Instant = ContinuousClock.Instant

    /// What to do next.
    package enum Step: Equatable, Sendable {
        /// Ask this sentinel where the master is.
        case ask(Endpoint, until: Instant)
        /// Connect to this server and ask for its role.
        case verify(Endpoint, until: Instant)
        /// Everybody has been asked.
        case fail(Failure)
    }

    /// What a search in vain has shown, the most telling of what was met.
    package enum Failure: Int, Equatable, Sendable {
        /// No sentinel answered.
        case nobodyAnswered
        /// Sentinels answered, and none knows a master of that name.
        case unknownMaster
        /// The server named is not there, or is no master.
        case noMaster
    }

    private var order: [Endpoint]
    private var toAsk: ArraySlice<Endpoint> = []
    private var asked: Endpoint?
    private var rejected: [Endpoint] = []
    private var failure = Failure.nobodyAnswered
    private var deadline = Instant.now

    package init(_ sentinels: [Endpoint]) {
        order = sentinels
    }

    /// Begins a search that must end by a deadline.
    package mutating func begin(now: Instant, deadline: Instant) -> Step {
        self.deadline = deadline
        toAsk = order[...]
        rejected = []
        failure = .nobodyAnswered
        return askNext(now)
    }

    /// The sentinel asked last could not be reached or did not answer in time.
    package mutating func unreachable(now: Instant) -> Step {
        move(asked, toFront: false)
        return askNext(now)
    }

    /// The sentinel asked last has answered: where the master is, or nothing when it does not know one.
    package mutating func answered(_ master: Endpoint?, now: Instant) -> Step {
        guard let master else {
            failure = failure == .nobodyAnswered ? .unknownMaster : failure
            return askNext(now)
        }
        // Sentinels agree within a second; the same answer again needs no second visit.
        guard !rejected.contains(master) else { return askNext(now) }
        rejected.append(master)
        return .verify(master, until: share(now))
    }

    /// The server visited last is not there, or is no master.
    package mutating func refuted(now: Instant) -> Step {
        failure = .noMaster
        return askNext(now)
    }

    /// The server visited last is the master: the search is over.
    package mutating func confirmed() {
        move(asked, toFront: true)
        toAsk = []
    }

    private mutating func askNext(_ now: Instant) -> Step {
        guard now < deadline, let next = toAsk.popFirst() else { return .fail(failure) }
        asked = next
        // One more share than sentinels: the visit to the master needs time too.
        return .ask(next, until: now + now.duration(to: deadline) / (toAsk.count + 2))
    }

    /// An equal share of the time left, so that a frozen peer does not cost the others theirs.
    private func share(_ now: Instant) -> Instant { now + now.duration(to: deadline) / (toAsk.count + 1) }

    private mutating func move(_ sentinel: Endpoint?, toFront: Bool) {
        guard let sentinel, let index = order.firstIndex(of: sentinel) else { return }
        order.remove(at: index)
        order.insert(sentinel, at: toFront ? 0 : order.count)
    }
}

package import FoundationEssentials

/// The queues of a broker in memory as a plain value: no lock, no clock, no task.
///
/// Each method is one event; what has to be done about it, waking waiters by their ids, is returned.
package struct MemoryQueues: Sendable {
    package typealias ConsumerID = UInt64
    package typealias WaiterID = UInt64

    /// A message and what it costs to keep.
    package final class StoredMessage: Sendable {
        package let message: Message
        let routingKey: String
        let octets: Int

        init(_ message: Message, routingKey: String) {
            self.message = message
            self.routingKey = routingKey
            octets = message.heldOctets
        }
    }

    /// A message on its way to a consumer.
    package struct Grant: Sendable {
        package let stored: StoredMessage
        package let queue: QueueName
        package let isRedelivered: Bool
        /// For settling it.
        package let tag: UInt64
    }

    /// A waiter that must be woken with a message.
    package struct Wake: Sendable {
        package let waiter: WaiterID
        package let grant: Grant
    }

    /// What came of publishing.
    package enum Publication: Sendable {
        /// It is in its queue; wake these.
        case stored([Wake])
        /// It waits for its time; call ``MemoryQueues/releaseDue(at:)`` then.
        case delayed(until: Date)
        case noQueue
        case full(held: Int)
    }

    /// What came of asking for a message.
    package enum Taking: Sendable {
        case granted(Grant)
        case nothing
        case stopped
    }

    private struct Loan: Sendable {
        let entry: MemoryQueue.Entry
        let queue: Int
        let consumer: ConsumerID?
    }

    private struct Consumer: Sendable {
        let queues: [Int]
        let prefetch: Int
        /// Which of the queues is looked at first.
        var turn = 0
        var unsettled = 0
        /// In order of arrival; some may have been cancelled.
        var line = FIFO<WaiterID>()
        var waiting = 0

        var isHungry: Bool { waiting > 0 && unsettled < prefetch }
    }

    private struct Delayed: Comparable, Sendable {
        let due: Date
        let sequence: UInt64
        let queue: Int
        let stored: StoredMessage

        static func < (left: Delayed, right: Delayed) -> Bool {
            (left.due, left.sequence) < (right.due, right.sequence)
        }
        static func == (left: Delayed, right: Delayed) -> Bool { left.sequence == right.sequence }
    }

    /// The most octets kept, over all queues, delayed messages and unsettled deliveries.
    package let maximumOctets: Int
    package private(set) var heldOctets = 0

    private var queues: [MemoryQueue] = []
    private var indexes: [QueueName: Int] = [:]
    private var consumers = SlotTable<Consumer>()
    private var loans = SlotTable<Loan>()
    private var delayed = Heap<Delayed>()
    /// Who waits, and at which consumer.
    private var waiters: [WaiterID: ConsumerID] = [:]
    private var sequence: UInt64 = 0

    package init(maximumOctets: Int) {
        self.maximumOctets = maximumOctets
    }
}

// MARK: Queues

extension MemoryQueues {
    /// Creates a queue or adopts the one of that name.
    ///
    /// - Returns: How the existing one differs.
    package mutating func declare(_ declaration: QueueDeclaration) -> String? {
        guard let index = indexes[declaration.name] else {
            indexes[declaration.name] = queues.count
            queues.append(MemoryQueue(declaration))
            return nil
        }
        return queues[index].declaration.difference(from: declaration)
    }

    package mutating func depth(of queue: QueueName, at now: Date) -> Int? {
        guard let index = indexes[queue] else { return nil }
        heldOctets -= queues[index].dropExpired(at: now)
        return queues[index].count
    }

    package mutating func purge(_ queue: QueueName, at now: Date) -> Int? {
        guard let index = indexes[queue] else { return nil }
        heldOctets -= queues[index].dropExpired(at: now)
        let (count, octets) = queues[index].dropAll()
        heldOctets -= octets
        return count
    }

    // MARK: Publishing

    package mutating func publish(_ message: Message, to routingKey: String, delay: Duration?, at now: Date)
        -> Publication
    {
        guard let index = indexes[QueueName(routingKey)] else { return .noQueue }
        let stored = StoredMessage(message, routingKey: routingKey)
        if heldOctets + stored.octets > maximumOctets {
            for index in queues.indices { heldOctets -= queues[index].dropExpired(at: now) }
            guard heldOctets + stored.octets <= maximumOctets else { return .full(held: heldOctets) }
        }
        heldOctets += stored.octets
        sequence += 1
        if let delay, delay > .zero {
            let due = now.addingTimeInterval(delay.inSeconds)
            delayed.insert(Delayed(due: due, sequence: sequence, queue: index, stored: stored))
            return .delayed(until: due)
        }
        queues[index].append(stored, sequence: sequence, at: now)
        var wakes: [Wake] = []
        serve(queue: index, at: now, &wakes)
        return .stored(wakes)
    }

    /// When the first delayed message is due.
    package var firstDue: Date? { delayed.first?.due }

    /// Moves the delayed messages whose time has come into their queues.
    package mutating func releaseDue(at now: Date) -> [Wake] {
        // Dates are floating-point numbers: without tolerance a sum may miss its own time by the last bit.
        let limit = now.addingTimeInterval(0.001)
        var wakes: [Wake] = []
        while let first = delayed.first, first.due <= limit {
            _ = delayed.popFirst()
            sequence += 1
            queues[first.queue].append(first.stored, sequence: sequence, at: now)
            serve(queue: first.queue, at: now, &wakes)
        }
        return wakes
    }

    // MARK: Consuming

    package mutating func subscribe(to declarations: [QueueDeclaration], prefetch: Int) -> ConsumerID {
        var own: [Int] = []
        for declaration in declarations {
            _ = declare(declaration)
            if let index = indexes[declaration.name], !own.contains(index) { own.append(index) }
        }
        let consumer = consumers.insert(Consumer(queues: own, prefetch: max(1, prefetch)))
        for index in own { queues[index].consumers.append(consumer) }
        return consumer
    }

    /// Takes the next message of a consumer, if there is one and its prefetch allows.
    package mutating func take(for consumer: ConsumerID, at now: Date) -> Taking {
        guard consumers[consumer] != nil else { return .stopped }
        return grantFairly(to: consumer, at: now).map(Taking.granted) ?? .nothing
    }

    /// Like ``take(for:at:)``, and with `.nothing` the waiter stands in line from now on.
    package mutating func take(for consumer: ConsumerID, orEnrol waiter: WaiterID, at now: Date) -> Taking {
        let taking = take(for: consumer, at: now)
        guard case .nothing = taking else { return taking }
        waiters[waiter] = consumer
        consumers[consumer]?.line.append(waiter)
        consumers[consumer]?.waiting += 1
        return .nothing
    }

    /// Takes a waiter out of the line.
    ///
    /// - Returns: Whether it stood there; otherwise it was woken before.
    package mutating func cancel(_ waiter: WaiterID) -> Bool {
        guard let consumer = waiters.removeValue(forKey: waiter) else { return false }
        consumers[consumer]?.waiting -= 1
        if let (length, waiting) = consumers[consumer].map({ ($0.line.count, $0.waiting) }), length > 2 * waiting + 16 {
            _ = consumers[consumer]?.line.removeAll { [waiters] in waiters[$0] == nil }
        }
        return true
    }

    /// Ends a consumer; its loans can be settled still.
    ///
    /// - Returns: Those that waited.
    package mutating func stop(_ consumer: ConsumerID) -> [WaiterID] {
        guard var ended = consumers.remove(consumer) else { return [] }
        for index in ended.queues {
            queues[index].consumers.removeAll { $0 == consumer }
            queues[index].turn = 0
        }
        return ended.line.removeAll { _ in true }.filter { waiters.removeValue(forKey: $0) != nil }
    }

    /// Takes a message for nobody in particular; `nil` as a queue that does not exist.
    package mutating func get(_ queue: QueueName, at now: Date) -> Taking? {
        guard let index = indexes[queue] else { return nil }
        return grant(from: index, to: nil, at: now).map(Taking.granted) ?? .nothing
    }

    /// Ends a loan; unknown tags are of loans that ended before.
    package mutating func settle(_ tag: UInt64, as settlement: Settlement, at now: Date) -> [Wake] {
        guard let loan = loans.remove(tag) else { return [] }
        if let consumer = loan.consumer { consumers[consumer]?.unsettled -= 1 }
        var wakes: [Wake] = []
        switch settlement {
        case .acknowledged, .rejected:
            heldOctets -= loan.entry.stored.octets
        case .returned:
            queues[loan.queue].giveBack(loan.entry)
            serve(queue: loan.queue, at: now, &wakes)
        }
        if let consumer = loan.consumer { serve(consumer: consumer, at: now, &wakes) }
        return wakes
    }

    /// Drops everything.
    ///
    /// - Returns: Those that waited.
    package mutating func close() -> [WaiterID] {
        let waiting = Array(waiters.keys)
        self = MemoryQueues(maximumOctets: maximumOctets)
        return waiting
    }

    // MARK: Serving

    /// Gives the messages of a queue to its waiting consumers in turn.
    private mutating func serve(queue index: Int, at now: Date, _ wakes: inout [Wake]) {
        while queues[index].count > 0, let consumer = nextHungryConsumer(of: index),
            let grant = grant(from: index, to: consumer, at: now)
        {
            wake(consumer, with: grant, &wakes)
        }
    }

    /// Gives messages to the waiters of a consumer, as far as its prefetch goes.
    private mutating func serve(consumer: ConsumerID, at now: Date, _ wakes: inout [Wake]) {
        while consumers[consumer]?.isHungry == true, let grant = grantFairly(to: consumer, at: now) {
            wake(consumer, with: grant, &wakes)
        }
    }

    private mutating func wake(_ consumer: ConsumerID, with grant: Grant, _ wakes: inout [Wake]) {
        while let waiter = consumers[consumer]?.line.popFirst() {
            guard waiters.removeValue(forKey: waiter) != nil else { continue }
            consumers[consumer]?.waiting -= 1
            wakes.append(Wake(waiter: waiter, grant: grant))
            return
        }
        preconditionFailure("a consumer counted a waiter that does not stand in its line")
    }

    private mutating func nextHungryConsumer(of index: Int) -> ConsumerID? {
        let count = queues[index].consumers.count
        for step in 0..<count {
            let place = (queues[index].turn + step) % count
            let consumer = queues[index].consumers[place]
            guard consumers[consumer]?.isHungry == true else { continue }
            queues[index].turn = place + 1
            return consumer
        }
        return nil
    }

    /// Looks at the consumer's queues in turn.
    private mutating func grantFairly(to consumer: ConsumerID, at now: Date) -> Grant? {
        guard let (own, turn, isFull) = consumers[consumer].map({ ($0.queues, $0.turn, $0.unsettled >= $0.prefetch) }),
            !isFull
        else { return nil }
        for step in 0..<own.count {
            let place = (turn + step) % own.count
            guard let grant = grant(from: own[place], to: consumer, at: now) else { continue }
            consumers[consumer]?.turn = place + 1
            return grant
        }
        return nil
    }

    private mutating func grant(from index: Int, to consumer: ConsumerID?, at now: Date) -> Grant? {
        var dropped = 0
        let entry = queues[index].popFirst(at: now, dropped: &dropped)
        heldOctets -= dropped
        guard let entry else { return nil }
        if let consumer { consumers[consumer]?.unsettled += 1 }
        return Grant(
            stored: entry.stored,
            queue: queues[index].declaration.name,
            isRedelivered: entry.isRedelivered,
            tag: loans.insert(Loan(entry: entry, queue: index, consumer: consumer))
        )
    }
}

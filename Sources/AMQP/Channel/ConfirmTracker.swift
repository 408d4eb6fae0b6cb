/// Numbers publishes and tells which of them a confirmation settles.
///
/// Confirmations come in any order, one by one or for all up to a number. A returned message is announced before its
/// confirmation and carries no number, so it is compared with what is outstanding: messages that are equal in all they
/// carry stand for each other, in the order of publishing.
package struct ConfirmTracker<ID> {
    package enum Outcome: Equatable, Sendable {
        case confirmed
        case nacked
        // Indirect, so that the usual outcomes take one word in the window.
        indirect case returned(replyCode: UInt16, replyText: String)
    }

    package struct Settled {
        package var id: ID
        package var outcome: Outcome
    }

    /// What is known of a publish ahead of its confirmation.
    fileprivate enum Note {
        case returned(Outcome)
        /// Nobody waits for the confirmation, which is due all the same.
        case givenUp
    }

    fileprivate struct Slot {
        var id: ID?  // nil once settled or given up
        var note: Note?

        var isDue: Bool { id != nil || note != nil }
    }

    /// Publishes from `firstNumber` on, the settled ones among them included.
    private var slots = RingBuffer<Slot>()
    private var firstNumber: UInt64 = 1
    /// Earlier publishes whose confirmation is still due: one that is kept back must not keep all later ones here.
    private var stragglers: [UInt64: Slot] = [:]
    /// Publishes that somebody waits to be confirmed.
    package private(set) var outstanding = 0
    /// Publishes whose confirmation is due, though nobody waits for it any more.
    package private(set) var givenUp = 0

    /// Fewer slots than these are never thinned out.
    private let fewSlots: Int

    package init(fewSlots: Int = 1024) {
        self.fewSlots = fewSlots
    }

    /// What takes up memory, settled or not.
    package var slotCount: Int { slots.count + stragglers.count }

    /// Takes the number of the next publish.
    package mutating func published(_ id: ID) -> UInt64 {
        slots.append(Slot(id: id))
        outstanding += 1
        if slots.count > fewSlots { thinOut() }
        return firstNumber + UInt64(slots.count - 1)
    }

    /// Takes numbers for publishes that follow each other.
    package mutating func published(contentsOf ids: some Collection<ID>) {
        for id in ids { slots.append(Slot(id: id)) }
        outstanding += ids.count
        if slots.count > fewSlots { thinOut() }
    }

    /// Sets those few aside that keep many settled slots behind them from being freed.
    private mutating func thinOut() {
        let due = outstanding + givenUp - stragglers.count
        guard slots.count > 4 * due else { return }
        for _ in 0..<slots.count / 2 {
            guard let first = slots.popFirst() else { return }
            if first.isDue { stragglers[firstNumber] = first }
            firstNumber += 1
        }
    }

    /// Notes a returned message; `nil` if none that is outstanding and has not returned yet matches.
    package mutating func returned(
        replyCode: UInt16,
        replyText: String,
        where matches: (ID) -> Bool
    ) -> ID? {
        let note = Note.returned(.returned(replyCode: replyCode, replyText: replyText))
        for number in stragglers.keys.sorted() {
            guard let slot = stragglers[number], slot.note == nil, let id = slot.id, matches(id) else { continue }
            stragglers[number]?.note = note
            return id
        }
        for offset in 0..<slots.count {
            guard slots[offset].note == nil, let id = slots[offset].id, matches(id) else { continue }
            slots[offset].note = note
            return id
        }
        return nil
    }

    /// Appends what an `ack` or `nack` of the server settles; what was given up is not among it.
    ///
    /// - Throws: `.unknownConfirmation` for a number that is not due, with nothing appended.
    package mutating func confirmed(
        upTo number: UInt64,
        multiple: Bool,
        isNack: Bool,
        into settled: inout [Settled]
    ) throws(FrameError) {
        let next = firstNumber + UInt64(slots.count)
        if multiple {
            // §1.8.3.13: zero means everything outstanding.
            let last = number == 0 ? next - 1 : number
            guard last < next, outstanding + givenUp > 0,
                last >= firstNumber || stragglers.keys.contains(where: { $0 <= last })
            else { throw .unknownConfirmation(number) }
            if !stragglers.isEmpty {
                for number in stragglers.keys.filter({ $0 <= last }).sorted() {
                    if let slot = stragglers.removeValue(forKey: number) { settle(slot, isNack, into: &settled) }
                }
            }
            while firstNumber <= last, let first = slots.popFirst() {
                firstNumber += 1
                if first.isDue { settle(first, isNack, into: &settled) }
            }
        } else if number >= firstNumber {
            guard number < next, slots[Int(number - firstNumber)].isDue else { throw .unknownConfirmation(number) }
            settle(slots[Int(number - firstNumber)], isNack, into: &settled)
            slots[Int(number - firstNumber)] = Slot()
        } else {
            guard let slot = stragglers.removeValue(forKey: number) else { throw .unknownConfirmation(number) }
            settle(slot, isNack, into: &settled)
        }
        while let first = slots.first, !first.isDue {
            _ = slots.popFirst()
            firstNumber += 1
        }
    }

    private mutating func settle(_ slot: Slot, _ isNack: Bool, into settled: inout [Settled]) {
        guard let id = slot.id else {
            givenUp -= 1
            return
        }
        let outcome: Outcome
        if case .returned(let earlier) = slot.note {
            outcome = earlier
        } else {
            outcome = isNack ? .nacked : .confirmed
        }
        settled.append(Settled(id: id, outcome: outcome))
        outstanding -= 1
    }

    /// Forgets those for whose confirmation nobody waits; it may still come, and means nothing then.
    package mutating func giveUp(where isOver: (ID) -> Bool) {
        func isLeft(_ slot: Slot) -> Bool { slot.id.map(isOver) ?? false }
        for (number, slot) in stragglers where isLeft(slot) {
            stragglers[number] = Slot(note: .givenUp)
            (outstanding, givenUp) = (outstanding - 1, givenUp + 1)
        }
        for offset in 0..<slots.count where isLeft(slots[offset]) {
            slots[offset] = Slot(note: .givenUp)
            (outstanding, givenUp) = (outstanding - 1, givenUp + 1)
        }
    }

    /// Gives up on everything outstanding.
    ///
    /// - Returns: It, in the order of publishing.
    package mutating func abandonAll() -> [ID] {
        defer {
            firstNumber += UInt64(slots.count)
            slots = RingBuffer()
            stragglers = [:]
            (outstanding, givenUp) = (0, 0)
        }
        return stragglers.sorted { $0.key < $1.key }.compactMap(\.value.id)
            + (0..<slots.count).compactMap { slots[$0].id }
    }
}

extension ConfirmTracker: Sendable where ID: Sendable {}
extension ConfirmTracker.Note: Sendable where ID: Sendable {}
extension ConfirmTracker.Slot: Sendable where ID: Sendable {}
extension ConfirmTracker.Settled: Sendable where ID: Sendable {}
extension ConfirmTracker.Settled: Equatable where ID: Equatable {}

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

    fileprivate struct Slot {
        var id: ID?  // nil once settled
        var returned: Outcome?
    }

    /// Publishes from `firstNumber` on, the settled ones among them included.
    private var slots = RingBuffer<Slot>()
    private var firstNumber: UInt64 = 1
    /// Publishes that wait for a confirmation.
    package private(set) var outstanding = 0

    package init() {}

    /// Takes the number of the next publish.
    package mutating func published(_ id: ID) -> UInt64 {
        slots.append(Slot(id: id))
        outstanding += 1
        return firstNumber + UInt64(slots.count - 1)
    }

    /// Notes a returned message; `nil` if none that is outstanding and has not returned yet matches.
    package mutating func returned(
        replyCode: UInt16,
        replyText: String,
        where matches: (ID) -> Bool
    ) -> ID? {
        for offset in 0..<slots.count {
            guard slots[offset].returned == nil, let id = slots[offset].id, matches(id) else { continue }
            slots[offset].returned = .returned(replyCode: replyCode, replyText: replyText)
            return id
        }
        return nil
    }

    /// Appends what an `ack` or `nack` of the server settles.
    ///
    /// - Throws: `.unknownConfirmation` for a number that is not outstanding, with nothing appended.
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
            guard last < next, outstanding > 0, last >= firstNumber else { throw .unknownConfirmation(number) }
            for offset in 0...Int(last - firstNumber) { settle(offset, isNack, into: &settled) }
        } else {
            guard number >= firstNumber, number < next, slots[Int(number - firstNumber)].id != nil else {
                throw .unknownConfirmation(number)
            }
            settle(Int(number - firstNumber), isNack, into: &settled)
        }
        while let first = slots.first, first.id == nil {
            _ = slots.popFirst()
            firstNumber += 1
        }
    }

    private mutating func settle(_ offset: Int, _ isNack: Bool, into settled: inout [Settled]) {
        guard let id = slots[offset].id else { return }
        settled.append(Settled(id: id, outcome: slots[offset].returned ?? (isNack ? .nacked : .confirmed)))
        slots[offset] = Slot()
        outstanding -= 1
    }

    /// Everything outstanding, in the order of publishing.
    package var outstandingIDs: [ID] {
        (0..<slots.count).compactMap { slots[$0].id }
    }

    /// Gives up on everything outstanding.
    package mutating func abandonAll() -> [ID] {
        defer {
            firstNumber += UInt64(slots.count)
            slots = RingBuffer()
            outstanding = 0
        }
        return outstandingIDs
    }
}

extension ConfirmTracker: Sendable where ID: Sendable {}
extension ConfirmTracker.Slot: Sendable where ID: Sendable {}
extension ConfirmTracker.Settled: Sendable where ID: Sendable {}
extension ConfirmTracker.Settled: Equatable where ID: Equatable {}

/// Turns settled deliveries of one channel into as few frames as is safe.
///
/// `multiple` settles every lower tag as well, so it is used exactly up to the end of the settled prefix: every tag
/// below is being acknowledged with it, or was settled before. Acknowledgements past a gap leave one by one at once;
/// holding them back would hold back the prefetch window.
package struct AckCoalescer: Sendable {
    package enum Settlement: Equatable, Sendable {
        case acknowledge
        case nack(requeue: Bool)
        case reject(requeue: Bool)
    }

    package enum Frame: Equatable, Sendable {
        case ack(UInt64, multiple: Bool)
        case nack(UInt64, requeue: Bool)
        case reject(UInt64, requeue: Bool)
    }

    private enum Slot: Sendable {
        case outstanding
        case acknowledging
        case settled
    }

    private var slots = RingBuffer<Slot>()
    private var firstTag: UInt64 = 1
    /// Deliveries on loan from before `firstTag`: one that is kept for long must not keep all later ones here.
    private var stragglers: Set<UInt64> = []
    private var acknowledging: [UInt64] = []
    /// Frames that settle one delivery whatever becomes of the others.
    private var single: [Frame] = []
    /// Fewer slots than these are never thinned out.
    private let fewSlots: Int
    /// Deliveries on loan.
    package private(set) var outstanding = 0

    /// Whether contiguous acknowledgements may share a frame.
    package var isCoalescing = true

    package init(fewSlots: Int = 1024) {
        self.fewSlots = fewSlots
    }

    /// What takes up memory, on loan or settled.
    package var slotCount: Int { slots.count + stragglers.count }

    /// Notes a delivery; one that needs no acknowledgement takes its tag all the same.
    package mutating func delivered(_ tag: UInt64, needsAcknowledgement: Bool) throws(FrameError) {
        try delivered(from: tag, count: 1, needsAcknowledgement: needsAcknowledgement)
    }

    /// Notes deliveries whose tags follow each other from one on.
    package mutating func delivered(
        from tag: UInt64,
        count: Int,
        needsAcknowledgement: Bool
    ) throws(FrameError) {
        guard tag == firstTag + UInt64(slots.count) else {
            throw .unexpectedMethod("delivery tag \(tag) follows \(firstTag + UInt64(slots.count) - 1)")
        }
        guard needsAcknowledgement || !slots.isEmpty else {
            firstTag += UInt64(count)
            return
        }
        for _ in 0..<count { slots.append(needsAcknowledgement ? .outstanding : .settled) }
        if needsAcknowledgement { outstanding += count }
        if slots.count > fewSlots { thinOut() }
    }

    /// Sets those few aside that keep many settled slots behind them from being freed.
    private mutating func thinOut() {
        let due = outstanding - stragglers.count + acknowledging.count
        guard slots.count > 4 * due else { return }
        thinning: for _ in 0..<slots.count / 2 {
            switch slots.first {
            case .outstanding: stragglers.insert(firstTag)
            case .settled: break
            case .acknowledging, .none: break thinning  // the next flush names it
            }
            _ = slots.popFirst()
            firstTag += 1
        }
    }

    /// Notes settlements for the next flush; those of tags that are not outstanding are ignored.
    package mutating func settle(_ settlements: [(tag: UInt64, settlement: Settlement)]) {
        for (tag, settlement) in settlements { _ = settle(tag, as: settlement) }
    }

    /// Notes a settlement for the next flush; false, and nothing happens, if the tag is not outstanding.
    package mutating func settle(_ tag: UInt64, as settlement: Settlement) -> Bool {
        guard tag >= firstTag else { return settleStraggler(tag, as: settlement) }
        guard tag - firstTag < UInt64(slots.count) else { return false }
        let offset = Int(tag - firstTag)
        guard case .outstanding = slots[offset] else { return false }
        outstanding -= 1
        switch settlement {
        case .acknowledge:
            slots[offset] = .acknowledging
            acknowledging.append(tag)
        case .nack(let requeue):
            slots[offset] = .settled
            single.append(.nack(tag, requeue: requeue))
        case .reject(let requeue):
            slots[offset] = .settled
            single.append(.reject(tag, requeue: requeue))
        }
        return true
    }

    private mutating func settleStraggler(_ tag: UInt64, as settlement: Settlement) -> Bool {
        guard stragglers.remove(tag) != nil else { return false }
        outstanding -= 1
        switch settlement {
        case .acknowledge: single.append(.ack(tag, multiple: false))
        case .nack(let requeue): single.append(.nack(tag, requeue: requeue))
        case .reject(let requeue): single.append(.reject(tag, requeue: requeue))
        }
        return true
    }

    /// Forgets all deliveries on loan and everything noted: the broker has taken them back.
    package mutating func forgetAll() {
        firstTag += UInt64(slots.count)
        slots = RingBuffer()
        stragglers = []
        outstanding = 0
        acknowledging.removeAll(keepingCapacity: true)
        single.removeAll(keepingCapacity: true)
    }

    /// Appends the frames for everything noted since the last flush.
    package mutating func flush(into frames: inout [Frame]) {
        // These go first: the tags they name must be settled when a `multiple` passes over them.
        frames += single
        single.removeAll(keepingCapacity: true)
        var lastOfPrefix: UInt64 = 0
        var acknowledgedInPrefix = 0
        prefix: while let first = slots.first {
            switch first {
            case .outstanding: break prefix
            case .settled: break
            case .acknowledging:
                lastOfPrefix = firstTag
                acknowledgedInPrefix += 1
            }
            _ = slots.popFirst()
            firstTag += 1
        }
        let mayShare = isCoalescing && stragglers.isEmpty
        if acknowledgedInPrefix > 0, mayShare {
            frames.append(.ack(lastOfPrefix, multiple: acknowledgedInPrefix > 1))
        }
        for tag in acknowledging where tag >= firstTag || !mayShare {
            if tag >= firstTag { slots[Int(tag - firstTag)] = .settled }
            frames.append(.ack(tag, multiple: false))
        }
        acknowledging.removeAll(keepingCapacity: true)
    }
}

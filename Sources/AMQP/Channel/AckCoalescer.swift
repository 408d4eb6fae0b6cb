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
    private var acknowledging: [UInt64] = []
    private var rejections: [Frame] = []
    /// Deliveries on loan.
    package private(set) var outstanding = 0

    /// Whether contiguous acknowledgements may share a frame.
    package var isCoalescing = true

    package init() {}

    /// Notes a delivery; one that needs no acknowledgement takes its tag all the same.
    package mutating func delivered(_ tag: UInt64, needsAcknowledgement: Bool) throws(FrameError) {
        guard tag == firstTag + UInt64(slots.count) else {
            throw .unexpectedMethod("delivery tag \(tag) follows \(firstTag + UInt64(slots.count) - 1)")
        }
        guard needsAcknowledgement || !slots.isEmpty else {
            firstTag += 1
            return
        }
        slots.append(needsAcknowledgement ? .outstanding : .settled)
        if needsAcknowledgement { outstanding += 1 }
    }

    /// Notes a settlement for the next flush; false, and nothing happens, if the tag is not outstanding.
    package mutating func settle(_ tag: UInt64, as settlement: Settlement) -> Bool {
        guard tag >= firstTag, tag - firstTag < UInt64(slots.count) else { return false }
        let offset = Int(tag - firstTag)
        guard case .outstanding = slots[offset] else { return false }
        outstanding -= 1
        switch settlement {
        case .acknowledge:
            slots[offset] = .acknowledging
            acknowledging.append(tag)
        case .nack(let requeue):
            slots[offset] = .settled
            rejections.append(.nack(tag, requeue: requeue))
        case .reject(let requeue):
            slots[offset] = .settled
            rejections.append(.reject(tag, requeue: requeue))
        }
        return true
    }

    /// Forgets all deliveries on loan and everything noted: the broker has taken them back.
    package mutating func forgetAll() {
        firstTag += UInt64(slots.count)
        slots = RingBuffer()
        outstanding = 0
        acknowledging.removeAll(keepingCapacity: true)
        rejections.removeAll(keepingCapacity: true)
    }

    /// Appends the frames for everything noted since the last flush.
    package mutating func flush(into frames: inout [Frame]) {
        // Rejections go first: the tags they name must be settled when a `multiple` passes over them.
        frames += rejections
        rejections.removeAll(keepingCapacity: true)
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
        if acknowledgedInPrefix > 0, isCoalescing {
            frames.append(.ack(lastOfPrefix, multiple: acknowledgedInPrefix > 1))
        }
        for tag in acknowledging where tag >= firstTag || !isCoalescing {
            if tag >= firstTag { slots[Int(tag - firstTag)] = .settled }
            frames.append(.ack(tag, multiple: false))
        }
        acknowledging.removeAll(keepingCapacity: true)
    }
}

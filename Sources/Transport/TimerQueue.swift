/// Names a scheduled timer, so that it can be cancelled.
package struct TimerID: Hashable, Sendable {
    fileprivate let number: UInt64
}

/// Pending timers in order of their deadline; equal deadlines fire in order of scheduling.
///
/// A binary heap. A cancelled timer leaves a hole that is dropped when it reaches the top, or at once when holes
/// outnumber live timers, so memory follows the number of live timers.
package struct TimerQueue<Instant: InstantProtocol, Payload> {
    private struct Entry {
        let deadline: Instant
        let id: UInt64

        func precedes(_ other: Entry) -> Bool {
            deadline < other.deadline || (deadline == other.deadline && id < other.id)
        }
    }

    private var heap: [Entry] = []
    private var payloads: [UInt64: Payload] = [:]
    private var lastID: UInt64 = 0

    package init() {}

    /// Timers that have neither fired nor been cancelled.
    package var count: Int { payloads.count }

    /// The deadline of the next timer, if any.
    package mutating func nextDeadline() -> Instant? {
        dropCancelledTop()
        return heap.first?.deadline
    }

    package mutating func schedule(at deadline: Instant, _ payload: Payload) -> TimerID {
        lastID += 1
        payloads[lastID] = payload
        heap.append(Entry(deadline: deadline, id: lastID))
        siftUp(from: heap.count - 1)
        return TimerID(number: lastID)
    }

    /// Forgets a timer; one that already fired is ignored.
    package mutating func cancel(_ timer: TimerID) {
        guard payloads.removeValue(forKey: timer.number) != nil else { return }
        if heap.count > 64, heap.count > 2 * payloads.count { compact() }
    }

    /// Appends the timers that are due, in order; each stays until ``take(_:)`` or ``cancel(_:)``.
    ///
    /// Those that are scheduled while these are taken, one after the other, are not among them: a timer that schedules
    /// itself anew for an instant in the past holds up nothing else.
    package mutating func collectDue(now: Instant, into due: inout [TimerID]) {
        while let top = heap.first, top.deadline <= now {
            removeTop()
            if payloads[top.id] != nil { due.append(TimerID(number: top.id)) }
        }
    }

    /// Takes a timer that is due; `nil` if it was cancelled since.
    package mutating func take(_ timer: TimerID) -> Payload? {
        payloads.removeValue(forKey: timer.number)
    }

    private mutating func dropCancelledTop() {
        while let top = heap.first, payloads[top.id] == nil { removeTop() }
    }

    private mutating func compact() {
        heap.removeAll { payloads[$0.id] == nil }
        heap.sort { $0.precedes($1) }  // a sorted array is a heap
    }

    private mutating func removeTop() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        siftDown(from: 0)
    }

    private mutating func siftUp(from start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].precedes(heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(from start: Int) {
        var parent = start
        while true {
            var first = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].precedes(heap[first])
            {
                first = child
            }
            guard first != parent else { return }
            heap.swapAt(first, parent)
            parent = first
        }
    }
}

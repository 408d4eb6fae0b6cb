internal import FoundationEssentials

/// Which entry is due next: a binary heap by time.
struct DueHeap: Sendable {
    private var items: [(time: Date, entry: Int)] = []

    var earliest: Date? { items.first?.time }

    mutating func insert(_ entry: Int, at time: Date) {
        items.append((time, entry))
        var child = items.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(child, parent) else { return }
            items.swapAt(child, parent)
            child = parent
        }
    }

    /// Takes out the earliest entry, if its time has come.
    mutating func popDue(_ now: Date) -> Int? {
        guard let first = items.first, first.time <= now, let last = items.popLast() else { return nil }
        guard !items.isEmpty else { return first.entry }
        items[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < items.count && precedes(child, least) {
                least = child
            }
            guard least != parent else { return first.entry }
            items.swapAt(parent, least)
            parent = least
        }
    }

    mutating func removeAll() { items.removeAll(keepingCapacity: true) }

    /// Ties go by the order of the entries, so that the order of emission does not depend on the past.
    private func precedes(_ left: Int, _ right: Int) -> Bool {
        (items[left].time, items[left].entry) < (items[right].time, items[right].entry)
    }
}

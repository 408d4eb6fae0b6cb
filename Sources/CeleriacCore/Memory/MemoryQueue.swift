internal import FoundationEssentials

/// One queue: first in, first out within each priority, and given-back messages at the place they came from.
struct MemoryQueue: Sendable {
    /// A message in its place.
    struct Entry: Comparable, Sendable {
        let stored: MemoryQueues.StoredMessage
        /// The place in the queue.
        let sequence: UInt64
        let level: Int
        let expiresAt: Date?
        var isRedelivered = false

        static func < (left: Entry, right: Entry) -> Bool { left.sequence < right.sequence }
        static func == (left: Entry, right: Entry) -> Bool { left.sequence == right.sequence }
    }

    /// One priority.
    ///
    /// Messages leave from the front only, so those given back are older than all that never left.
    private struct Level {
        var givenBack = Heap<Entry>()
        var fresh = FIFO<Entry>()

        var isEmpty: Bool { givenBack.isEmpty && fresh.isEmpty }

        mutating func popFirst() -> Entry? { givenBack.popFirst() ?? fresh.popFirst() }
    }

    let declaration: QueueDeclaration
    /// Messages ready, expired ones that were not met yet included.
    private(set) var count = 0
    /// The consumers in turn, and whose turn it is.
    var consumers: [MemoryQueues.ConsumerID] = []
    var turn = 0

    private var levels: [Level]
    /// No level above this one holds a message.
    private var top = 0
    /// How many of the ready messages can expire.
    private var expiring = 0

    init(_ declaration: QueueDeclaration) {
        self.declaration = declaration
        levels = Array(repeating: Level(), count: Int(declaration.maximumPriority ?? 0) + 1)
    }

    mutating func append(_ stored: MemoryQueues.StoredMessage, sequence: UInt64, at now: Date) {
        let lifetime = [stored.message.expiration, declaration.messageTTL].compactMap(\.self).min()
        let entry = Entry(
            stored: stored,
            sequence: sequence,
            level: min(Int(stored.message.priority), levels.count - 1),
            expiresAt: lifetime.map { now.addingTimeInterval($0.inSeconds) }
        )
        levels[entry.level].fresh.append(entry)
        added(entry)
    }

    mutating func giveBack(_ entry: Entry) {
        var entry = entry
        entry.isRedelivered = true
        levels[entry.level].givenBack.insert(entry)
        added(entry)
    }

    /// Takes the first message that has not expired.
    ///
    /// - Parameter dropped: Grows by the octets of the expired messages met.
    mutating func popFirst(at now: Date, dropped: inout Int) -> Entry? {
        while count > 0 {
            while top > 0, levels[top].isEmpty { top -= 1 }
            guard let entry = levels[top].popFirst() else { return nil }
            count -= 1
            guard let expiresAt = entry.expiresAt else { return entry }
            expiring -= 1
            if expiresAt > now { return entry }
            dropped += entry.stored.octets
        }
        return nil
    }

    /// Drops what has expired anywhere in the queue.
    ///
    /// - Returns: The octets dropped.
    mutating func dropExpired(at now: Date) -> Int {
        guard expiring > 0 else { return 0 }
        return drop { entry in entry.expiresAt.map { $0 <= now } ?? false }.octets
    }

    mutating func dropAll() -> (count: Int, octets: Int) { drop { _ in true } }

    private mutating func added(_ entry: Entry) {
        count += 1
        if entry.expiresAt != nil { expiring += 1 }
        top = max(top, entry.level)
    }

    private mutating func drop(where isDropped: (Entry) -> Bool) -> (count: Int, octets: Int) {
        var dropped: [Entry] = []
        for index in levels.indices where !levels[index].isEmpty {
            dropped += levels[index].fresh.removeAll(where: isDropped)
            let givenBack = levels[index].givenBack.unordered
            dropped += givenBack.filter(isDropped)
            levels[index].givenBack = Heap(givenBack.filter { !isDropped($0) })
        }
        count -= dropped.count
        expiring -= dropped.count { $0.expiresAt != nil }
        return (dropped.count, dropped.reduce(0) { $0 + $1.stored.octets })
    }
}

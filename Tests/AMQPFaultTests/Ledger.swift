import Synchronization

/// What became of each message, noted by the test and not by the broker.
final class Ledger: Sendable {
    private struct Delivery {
        let isMarked: Bool
        let faults: Int
    }

    private struct Entry {
        var attempts = 0
        var isConfirmed = false
        var deliveries: [Delivery] = []
    }

    private struct Book {
        var entries: [Int: Entry] = [:]
        var confirmed = 0
        var unknown = 0
        var unconsumed: Set<Int> = []
        var strangers: [String] = []
        var faults = 0
    }

    private let book = Mutex(Book())

    /// A publish begins, or begins once more.
    func attempt(_ message: Int) {
        book.withLock { $0.entries[message, default: Entry()].attempts += 1 }
    }

    /// The publish failed before anything was sent.
    func unsent(_ message: Int) {
        book.withLock { $0.entries[message]?.attempts -= 1 }
    }

    /// The broker may have the message, or not.
    func unknown(_ message: Int) {
        book.withLock { $0.unknown += 1 }
    }

    func confirmed(_ message: Int) {
        book.withLock { book in
            guard var entry = book.entries[message], !entry.isConfirmed else { return }
            entry.isConfirmed = true
            book.entries[message] = entry
            book.confirmed += 1
            if entry.deliveries.isEmpty { book.unconsumed.insert(message) }
        }
    }

    /// - Parameter isMarked: Whether it comes with a mark, the broker's or the producer's, that it may have come
    ///   before.
    func delivered(_ id: String?, isMarked: Bool) {
        book.withLock { book in
            guard let id, let message = Int(id), var entry = book.entries[message] else {
                return book.strangers.append(id ?? "no id")
            }
            entry.deliveries.append(Delivery(isMarked: isMarked, faults: book.faults))
            book.entries[message] = entry
            book.unconsumed.remove(message)
        }
    }

    /// Something has been broken: what was out on delivery may come again.
    func fault() { book.withLock { $0.faults += 1 } }

    var confirmedCount: Int { book.withLock { $0.confirmed } }
    /// Confirmed, and not delivered yet.
    var unconsumedCount: Int { book.withLock { $0.unconsumed.count } }
    /// Deliveries of what nobody has published.
    var strangers: [String] { book.withLock { $0.strangers } }

    /// Deliveries beyond the first of each message.
    var duplicateCount: Int {
        book.withLock { book in book.entries.values.reduce(0) { $0 + max(0, $1.deliveries.count - 1) } }
    }

    /// Duplicates that are no consequence of a fault: neither marked, nor of a second publish, nor, being the broker's
    /// first delivery as far as it knows, after a fault that may have eaten an acknowledgement.
    var unexplained: [Int] {
        book.withLock { book in
            book.entries.filter { _, entry in
                var copies = 1
                return zip(entry.deliveries, entry.deliveries.dropFirst()).contains { earlier, later in
                    if later.isMarked { return false }
                    if copies < entry.attempts {
                        copies += 1
                        return false
                    }
                    return later.faults == earlier.faults
                }
            }.map(\.key).sorted()
        }
    }

    /// How many duplicates the faults so far can account for.
    ///
    /// - Parameters:
    ///   - prefetch: What may be out on delivery at once, and come again.
    ///   - lanes: Publishes at once, which may be made again.
    func duplicateLimit(prefetch: Int, lanes: Int) -> Int { book.withLock { $0.faults } * (prefetch + lanes) }

    /// For the record of a test run.
    var summary: String {
        let (confirmed, unknown, faults) = book.withLock { ($0.confirmed, $0.unknown, $0.faults) }
        return "\(confirmed) confirmed, \(unknown) unknown outcomes, \(duplicateCount) duplicates, \(faults) faults"
    }
}

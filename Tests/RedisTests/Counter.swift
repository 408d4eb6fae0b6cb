import Synchronization

/// Counts from several threads.
final class Counter: Sendable {
    private let count = Atomic(0)

    var value: Int { count.load(ordering: .acquiring) }

    /// Counts one, and returns how many it is.
    @discardableResult
    func next() -> Int { count.add(1, ordering: .acquiringAndReleasing).newValue }
}

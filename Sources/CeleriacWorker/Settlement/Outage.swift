internal import Synchronization

/// Whether something is out of order, so that its beginning and its end are told once each.
final class Outage: Sendable {
    private let isOn = Atomic<Bool>(false)

    /// Notes a failure; whether it is the first one.
    func begins() -> Bool { !isOn.exchange(true, ordering: .relaxed) }

    /// Notes a success; `false` for the first one after failures.
    func isOver() -> Bool {
        // Read first: every result passes here, and nearly always there is nothing to change.
        guard isOn.load(ordering: .relaxed) else { return true }
        return !isOn.exchange(false, ordering: .relaxed)
    }
}

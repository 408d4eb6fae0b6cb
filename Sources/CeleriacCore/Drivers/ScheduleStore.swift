public import FoundationEssentials

/// What came of claiming a slot.
public enum SlotClaim: Hashable, Sendable {
    /// The caller must emit the slot now, then report it sent.
    case granted
    /// The slot, or a later one, was claimed before; `isSent` tells whether it was also reported sent.
    case taken(isSent: Bool)
    /// The caller does not lead any more and must not emit.
    case notLeader
}

/// Remembers which beat leads and which slots were emitted, so that any number of beats fire each slot once.
public protocol ScheduleStore: Sendable {
    /// Takes or renews the leadership.
    ///
    /// - Returns: Whether the caller leads until `lease` from now.
    func lead(_ schedule: String, as owner: String, lease: Duration) async throws(CeleriacError) -> Bool

    /// Gives the leadership up, if the caller has it.
    func resign(_ schedule: String, as owner: String) async throws(CeleriacError)

    /// Claims one slot of an entry, checking the leadership in the same step.
    ///
    /// Slots of an entry only move forward. The leader that finds its predecessor's slot claimed but not sent emits it
    /// again, with the same task id.
    func claim(_ slot: Date, of entry: String, in schedule: String, as owner: String) async throws(CeleriacError)
        -> SlotClaim

    /// Notes that the claimed slot was published and confirmed.
    func markSent(_ slot: Date, of entry: String, in schedule: String) async throws(CeleriacError)

    /// The latest claimed slot of an entry; `nil` for one that never fired.
    func lastSlot(of entry: String, in schedule: String) async throws(CeleriacError) -> (slot: Date, isSent: Bool)?
}

public import CeleriacCore
public import FoundationEssentials

/// What a beat did, for whoever watches it.
public enum BeatEvent: Hashable, Sendable {
    /// This beat emits from now on.
    case becameLeader
    /// This beat does not emit any more, until it leads again.
    case lostLeadership
    /// A slot's task was published and confirmed.
    case sent(entry: String, slot: Date, id: TaskID)
    /// A slot's task is unique, and an earlier call of it is still queued or running: the slot is left out.
    case overlapped(entry: String, slot: Date, running: TaskID?)
    /// An attempt failed and is repeated within the misfire grace; the slot is `nil` if it was about none.
    case failed(entry: String, slot: Date?, reason: String)
    /// By the misfire policy, slots of that span were left out: the start included, the end excluded.
    case missed(entry: String, from: Date, before: Date)
    /// A slot could not be emitted within the misfire grace.
    case gaveUp(entry: String, slot: Date)
}

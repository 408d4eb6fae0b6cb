/// What becomes of slots that came due while no beat led, the broker was away, or the machine slept.
public enum MisfirePolicy: Hashable, Sendable {
    /// Late slots are left out: a slot is emitted within five seconds of its time, or the misfire grace given, or never.
    case skip
    /// The latest of the late slots is emitted, once; the earlier ones are left out.
    case once
    /// Late slots are emitted one after the other, oldest first; of more than the maximum, the latest.
    case all(maximum: Int)

    /// How late a slot is still on time for an entry that skips late ones.
    static let punctuality: Duration = .seconds(5)
}

/// What became of a call when it was made; other than ``sent`` only for unique tasks, see ``UniquePolicy``.
public enum CallDisposition: String, Sendable, Hashable, CaseIterable {
    /// It was queued.
    case sent
    /// An equal call is queued or running; the handle is that call's.
    case existing
    /// It was ignored in favour of an equal call, whose id the handle has.
    case ignored
    /// An equal call is queued that stands for this one, too; the handle is that call's.
    case joined
    /// An equal call is queued, and will run with this call's arguments; the handle is that call's.
    case replaced
}

internal import CeleriacCore

/// Which calls of this process are to be answered, and which have been, within bounds: a decision table without a broker.
///
/// It holds ids only. Beyond the bound the oldest are forgotten, so that a process which calls and never asks does not
/// grow for ever.
struct ExpectedReplies: Sendable {
    /// What is known of a call.
    enum Standing: Equatable, Sendable {
        /// Its end has not come.
        case awaited
        /// Its end has come.
        case ended
        /// This process has not made it, or it was forgotten.
        case unknown
    }

    private let limit: Int
    private var awaited = AgeOrder()
    private var ended = AgeOrder()

    /// - Parameter limit: Of either kind, at least one.
    init(limit: Int) { self.limit = max(1, limit) }

    func standing(of task: TaskID) -> Standing {
        if awaited.contains(task) { return .awaited }
        return ended.contains(task) ? .ended : .unknown
    }

    /// A call is about to be sent; one that is sent again under its id changes nothing.
    ///
    /// - Returns: The call that had to make room.
    mutating func expect(_ task: TaskID) -> TaskID? {
        guard standing(of: task) == .unknown else { return nil }
        awaited.append(task)
        return awaited.count > limit ? awaited.popOldest() : nil
    }

    /// A record has come.
    ///
    /// - Returns: Whether it is wanted, and the call that had to make room.
    mutating func arrived(_ task: TaskID, isFinal: Bool) -> (isWanted: Bool, evicted: TaskID?) {
        guard awaited.contains(task) else { return (ended.contains(task), nil) }
        guard isFinal else { return (true, nil) }
        _ = awaited.remove(task)
        ended.append(task)
        return (true, ended.count > limit ? ended.popOldest() : nil)
    }

    /// Nobody will ask for it any more.
    mutating func forget(_ task: TaskID) {
        if !awaited.remove(task) { _ = ended.remove(task) }
    }

    /// Takes out the call that ended first, to make room for what it holds.
    mutating func evict() -> TaskID? { ended.popOldest() }
}

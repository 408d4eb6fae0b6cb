import CeleriacCore

/// What of a task's records is to be seen: the rules, written down once more and as plainly as possible.
///
/// The drivers have them as a script and as a comparison; a test holds all three against each other.
struct ResultModel: Sendable {
    struct Stored: Sendable, Equatable {
        var document: [UInt8]
        var state: TaskState
        /// The run that nothing older may replace.
        var fence: Attempt
    }

    private(set) var stored: Stored?

    /// Stores a record, if it may be; whether it was.
    mutating func store(_ record: TaskRecord) -> Bool {
        if let stored {
            // A success stays.
            if stored.state == .success { return false }
            // An end gives way to an end only.
            if stored.state.isFinal, !record.state.isFinal { return false }
            // Nothing gives way to an earlier run.
            if record.attempt < stored.fence { return false }
        }
        // A dead letter that is published again counts anew, so that any run may replace its record; the record of no run
        // is one that any run may replace, too.
        let fence = record.isOpen ? .first : max(record.attempt, .first)
        stored = Stored(document: record.document, state: record.state, fence: fence)
        return true
    }

    /// Somebody else writes, who knows of no runs: what it replaces keeps its fence.
    mutating func overwrite(_ record: TaskRecord) {
        stored = Stored(document: record.document, state: record.state, fence: stored?.fence ?? .first)
    }

    /// The record is deleted, or its time is over.
    mutating func end() { stored = nil }
}

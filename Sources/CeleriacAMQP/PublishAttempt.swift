internal import AMQP

/// Judges the failures of one publish: whether and how it is tried again, and whether it may have arrived.
struct PublishAttempt {
    enum Step: Equatable {
        case giveUp
        /// The queue was deleted since it was declared.
        case declareAgain
        /// On a channel of its own.
        case repeatAlone
        case repeatAfter(Duration)
    }

    /// Whether the next try has a channel of its own.
    private(set) var isAlone = false
    private var hasDeclaredAgain = false
    private var losses = 0
    private var mayHaveBeenTaken = false
    private var wasRefusedTogether = false
    private var wasRefusedAlone = false

    /// Whether an earlier try may have reached its queue, so that the next one may be a duplicate.
    var mayHaveArrived: Bool { mayHaveBeenTaken || wasRefusedTogether }

    /// Whether the message may be queued although the publish failed.
    ///
    /// Refused on a channel of its own it was to blame for the earlier refusal, too.
    var isIndeterminate: Bool { mayHaveBeenTaken || (wasRefusedTogether && !wasRefusedAlone) }

    mutating func failed(_ error: AMQPError, wasConnected: Bool, declaresQueue: Bool) -> Step {
        if error.isRefusal, wasConnected {
            if isAlone {
                wasRefusedAlone = true
                return .giveUp
            }
            // The broker closes the channel and with it fails every publish on it; alone, blame is exact.
            wasRefusedTogether = wasRefusedTogether || error.isOutcomeUnknown
            isAlone = true
            return error.code == .notFound ? .declareAgain : .repeatAlone
        }
        mayHaveBeenTaken = mayHaveBeenTaken || error.isOutcomeUnknown
        if error.code == .returned, declaresQueue, !hasDeclaredAgain {
            hasDeclaredAgain = true
            return .declareAgain
        }
        // Blocked before its deadline, what has timed out is the declaration of its queue, for all who share that.
        guard error.isLoss || error.code == .channelLimit || error.code == .blocked else { return .giveUp }
        defer { losses += 1 }
        var generator = SystemRandomNumberGenerator()
        // A lost connection is waited for anyway; a channel that is closed again and again must not be a busy loop.
        return .repeatAfter(losses == 0 ? .zero : ReconnectPolicy().delay(attempt: losses, using: &generator))
    }
}

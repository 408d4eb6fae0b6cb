package import FoundationEssentials

/// Decides, answer by answer of the lock store, whether a unique call is sent or what it comes to instead.
package struct CallAdmission: Sendable {
    /// What to do next.
    package enum Step: Equatable, Sendable {
        /// Take the lock, and tell the answer.
        case acquire
        /// Reserve the place or join whoever has it, and tell the answer.
        case reserve(takingOver: Bool)
        /// Wait for so long, then reserve.
        case pause(Duration)
        /// The lock is held: send the call.
        case send
        /// Do not send it; its handle is that of the call which holds the lock.
        case give(owner: String, CallDisposition)
        /// Do not send it; the caller gets an error.
        case refuse(owner: String, remaining: Duration)
    }

    private let conflict: UniquePolicy.Conflict
    /// Whoever has not confirmed by then is taken for dead.
    private let deadline: Date
    private var pause = Duration.milliseconds(5)

    /// - Parameter deadline: How long to wait for a call that is being sent, to join it.
    package init(_ conflict: UniquePolicy.Conflict, deadline: Date) {
        self.conflict = conflict
        self.deadline = deadline
    }

    /// The first step.
    package var first: Step {
        switch conflict {
        case .refuse, .returnExisting, .ignore: .acquire
        case .replaceArguments, .trailing: .reserve(takingOver: false)
        }
    }

    package func received(_ outcome: LockOutcome) -> Step {
        switch outcome {
        case .acquired: return .send
        case .held(let owner, let remaining):
            switch conflict {
            case .returnExisting: return .give(owner: owner, .existing)
            case .ignore: return .give(owner: owner, .ignored)
            case .refuse, .replaceArguments, .trailing: return .refuse(owner: owner, remaining: remaining)
            }
        }
    }

    package mutating func received(_ outcome: ReserveOutcome, now: Date) -> Step {
        switch outcome {
        case .reserved: return .send
        case .joined(let owner, _): return .give(owner: owner, conflict == .trailing ? .joined : .replaced)
        // Joining it now could mean joining nothing: it may never be sent.
        case .unconfirmed:
            let left = Duration.seconds(deadline.timeIntervalSince(now))
            guard left > .zero else { return .reserve(takingOver: true) }
            defer { pause = min(pause * 2, .milliseconds(100)) }
            return .pause(min(pause, left))
        }
    }
}

internal import CeleriacCore

/// A unique call's lock as the worker has it: under which names it is held now, and what becomes of it next.
struct UniqueHold: Sendable, Equatable {
    let lock: UniqueLock
    let id: TaskID
    /// As whom the lock is held: by the call, or by the token of a Python program, once that is known.
    var owner: String
    /// Whether the lock was taken by a Python program, whose message does not tell its token.
    let isForeign: Bool
    /// Whether the body has begun, or may have.
    var hasStarted = false

    init(_ lock: UniqueLock, of id: TaskID, isForeign: Bool = false) {
        self.lock = lock
        self.id = id
        self.isForeign = isForeign
        owner = lock.owner(id)
    }

    /// What is renewed now.
    var kept: String? {
        if hasStarted { return lock.keptWhileRunning(by: id) }
        return lock.end == .lapsed ? nil : lock.key
    }

    /// What is freed when the call has ended for good.
    var freedAtEnd: [String] {
        guard lock.end != .lapsed else { return [] }
        if lock.joins { return hasStarted ? [lock.runningKey(of: id)] : [lock.runningKey(of: id), lock.key] }
        return hasStarted && lock.end == .started ? [] : [lock.key]
    }
}

/// A call on its way to its body.
struct UniqueCallState: Sendable {
    /// As it will run: with the arguments of those that have joined it.
    var message: TaskMessage
    /// Its lock, if it is unique.
    var hold: UniqueHold?
    /// The fencing number of its lock.
    var fence: UInt64?

    init(_ message: TaskMessage, _ hold: UniqueHold?) {
        self.message = message
        self.hold = hold
    }
}

/// How long a call waits for an equal one that runs.
struct UniqueWait: Sendable {
    /// Waits of the first second are spent in the worker, which is quick; longer ones in the broker.
    private static let localWaits = 4
    private static let header = "x-celeriac-unique-waits"

    private var local = 0

    enum Step: Sendable, Equatable {
        case sleep(Duration)
        case park(TaskMessage, for: Duration)
    }

    /// The next wait of a call that found an equal one running.
    ///
    /// - Parameter remaining: When the other's lock ends unless it is renewed.
    mutating func busy(_ message: TaskMessage, remaining: Duration) -> Step {
        local += 1
        guard local > Self.localWaits else { return .sleep(.milliseconds(250)) }
        let count = min(max(0, message.headers[Self.header]?.int ?? 0), 3)
        var next = message
        next.headers[Self.header] = .int(Int64(count + 1))
        return .park(next, for: min(.seconds([2, 4, 8, 15][count]), max(remaining, .seconds(2))))
    }

    /// The wait of a call that was put off.
    func early(_ message: TaskMessage, by wait: Duration) -> Step {
        wait > Admission.longestLocalWait ? .park(message, for: wait) : .sleep(wait)
    }

    /// The message as the body sees it.
    static func begun(_ message: TaskMessage) -> TaskMessage {
        var message = message
        message.headers[header] = nil
        return message
    }
}

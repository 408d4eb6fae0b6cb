/// What one call leaves to be published.
enum PublishSubmission: Sendable {
    case one(PublishCall)
    case batch(PublishBatch)

    var deadline: ContinuousClock.Instant {
        switch self {
        case .one(let call): call.deadline
        case .batch(let batch): batch.deadline
        }
    }

    var count: Int {
        switch self {
        case .one: 1
        case .batch(let batch): batch.messages.count
        }
    }

    /// Whether nobody waits any more.
    var isFinished: Bool {
        switch self {
        case .one(let call): call.waiter.isFinished
        case .batch(let batch): batch.waiter.isFinished
        }
    }

    /// The messages from an index on.
    func operations(from index: Int = 0) -> [PublishOperation] {
        switch self {
        case .one(let call): [.one(call)]
        case .batch(let batch): (index..<batch.messages.count).map { .part(of: batch, index: $0) }
        }
    }
}

/// Messages that wait to be published, in the order in which they came.
///
/// A batch stands here as one entry, however many messages it has.
struct PublishQueue: Sendable {
    private var submissions = RingBuffer<PublishSubmission>()
    /// Of the next message in the first submission.
    private var nextIndex = 0

    var isEmpty: Bool { submissions.isEmpty }

    mutating func append(_ submission: PublishSubmission) {
        if submission.count > 0 { submissions.append(submission) }
    }

    mutating func popFirst() -> PublishOperation? {
        switch submissions.first {
        case .none: return nil
        case .one(let call):
            _ = submissions.popFirst()
            return .one(call)
        case .batch(let batch):
            defer { dropRun(1) }
            return .part(of: batch, index: nextIndex)
        }
    }

    /// The next messages, if several are small and of one batch; they stay until they are dropped.
    ///
    /// - Parameters:
    ///   - count: The most messages.
    ///   - octets: The most octets of a body.
    func run(atMost count: Int, octets: Int) -> (batch: PublishBatch, indices: Range<Int>)? {
        guard case .batch(let batch) = submissions.first else { return nil }
        let indices = batch.run(from: nextIndex, atMost: count, octets: octets)
        return indices.count > 1 ? (batch, indices) : nil
    }

    /// Drops so many messages of the batch that is first.
    mutating func dropRun(_ count: Int) {
        guard case .batch(let batch) = submissions.first else { return }
        nextIndex += count
        if nextIndex == batch.messages.count {
            _ = submissions.popFirst()
            nextIndex = 0
        }
    }

    /// Calls and batches that wait, however many messages they have.
    var submissionCount: Int { submissions.count }

    /// Takes the messages whose deadline has passed.
    mutating func removeExpired(now: ContinuousClock.Instant) -> [PublishOperation] {
        var expired: [PublishOperation] = []
        remove { submission, first in
            guard submission.deadline <= now else { return false }
            expired += submission.operations(from: first)
            return true
        }
        return expired
    }

    /// Drops what nobody waits for any more.
    mutating func removeFinished() {
        remove { submission, _ in submission.isFinished }
    }

    /// Removes submissions; the closure is told of the first message of each that still waits.
    private mutating func remove(where isOver: (PublishSubmission, _ first: Int) -> Bool) {
        var first = nextIndex
        nextIndex = 0
        for submission in submissions.removeAll() {
            if !isOver(submission, first) {
                if submissions.isEmpty { nextIndex = first }
                submissions.append(submission)
            }
            first = 0
        }
    }

    var earliestDeadline: ContinuousClock.Instant? {
        (0..<submissions.count).map { submissions[$0].deadline }.min()
    }

    /// Takes all messages, in order.
    mutating func removeAll() -> [PublishOperation] {
        var operations: [PublishOperation] = []
        while let operation = popFirst() { operations.append(operation) }
        return operations
    }
}

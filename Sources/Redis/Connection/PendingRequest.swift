/// Whether a command may be sent again when its outcome is unknown.
public struct RedisRetry: Hashable, Sendable {
    private enum Raw { case never, idempotent }
    private let raw: Raw

    /// It fails with `.outcomeUnknown`.
    public static let never = RedisRetry(raw: .never)
    /// Running it twice is as good as once: it is sent again within its deadline.
    public static let idempotent = RedisRetry(raw: .idempotent)
}

/// Encoded commands and the caller that waits for their replies.
///
// Soundness of @unchecked Sendable: everything mutable is used on the event loop only; the rest is constant. The
// continuation is unsafe for speed; `settle` resumes it once, and `deinit` sees to it that it was.
final class PendingRequest: @unchecked Sendable {
    typealias Outcome = Result<RESPValue, RedisError>

    let bytes: [UInt8]
    let expected: Int
    let deadline: ContinuousClock.Instant
    let retry: RedisRetry
    /// Whether the first command is `MULTI` and the last `EXEC`.
    let isTransaction: Bool
    /// How often the server has refused it without running it.
    var refusals = 0
    /// What was asked, for messages; without arguments.
    let summary: String
    private var continuation: UnsafeContinuation<Outcome, Never>?
    private var early: Outcome?
    private(set) var isSettled = false

    init(
        _ bytes: [UInt8],
        expected: Int,
        isTransaction: Bool = false,
        summary: String,
        deadline: ContinuousClock.Instant,
        retry: RedisRetry
    ) {
        self.bytes = bytes
        self.isTransaction = isTransaction
        self.expected = expected
        self.summary = summary
        self.deadline = deadline
        self.retry = retry
    }

    deinit {
        precondition(continuation == nil, "a Redis request was dropped with its caller waiting")
    }

    /// What is to be done about its answer.
    func verdict(on answer: RESPValue) -> AnswerVerdict {
        // A list that one command returns is data: what it holds was not said about this request.
        if expected == 1, case .array = answer { return .deliver }
        return AnswerVerdict(answer, isTransaction: isTransaction, isIdempotent: retry == .idempotent)
    }

    /// Makes the caller wait here; false when the wait has already ended.
    func attach(_ continuation: UnsafeContinuation<Outcome, Never>) -> Bool {
        if let early {
            continuation.resume(returning: early)
            return false
        }
        self.continuation = continuation
        return true
    }

    /// Ends the wait, once; later outcomes are dropped.
    func settle(_ outcome: Outcome) {
        guard !isSettled else { return }
        isSettled = true
        if let continuation {
            self.continuation = nil
            continuation.resume(returning: outcome)
        } else {
            early = outcome
        }
    }

    func fail(_ code: RedisError.Code, _ message: String, cause: (any Error)? = nil, mayHaveExecuted: Bool = false) {
        guard !isSettled else { return }
        settle(.failure(RedisError(code, message, underlying: cause, mayHaveExecuted: mayHaveExecuted)))
    }

    func timeOut(wasSent: Bool, at place: String, cause: (any Error)? = nil) {
        let state = wasSent ? "was not answered" : "could not be sent"
        fail(.timedOut, "\(summary) \(state) in time by \(place)", cause: cause, mayHaveExecuted: wasSent)
    }
}

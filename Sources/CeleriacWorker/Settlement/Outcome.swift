package import CeleriacCore

/// What a run of a task came to: decides what is published, what is stored and how the delivery ends.
package enum Outcome: Sendable, Equatable {
    /// It returned a value, as JSON.
    case success([UInt8])
    /// It failed for good.
    case failure(TaskFailure)
    /// It failed and runs again after a pause.
    case retry(after: Duration, TaskFailure)
    /// It must not run again and is kept in the dead-letter queue.
    case deadLetter(Admission.Reason, TaskFailure)
    /// It is done and leaves no result.
    case ignored
    /// Something outside allows no more for now; it runs again after a pause, uncharged.
    case rateLimited(for: Duration)
    /// It was not run to its end for reasons that are not its own: the message goes back uncharged.
    case givenBack

    /// Judges the end of a body.
    ///
    /// - Parameters:
    ///   - retries: How often the call has been retried before.
    ///   - wasTimeLimited: Whether the soft time limit cancelled the body.
    ///   - wasStopped: Whether the stopping worker cancelled it.
    package static func judge(
        _ error: any Error,
        of message: TaskMessage,
        policy: RetryPolicy,
        wasTimeLimited: Bool,
        wasStopped: Bool,
        using generator: inout some RandomNumberGenerator
    ) -> Outcome {
        switch error {
        case CallDefect.malformed(let text): return .deadLetter(.malformed, .malformed(text))
        case CallDefect.wrongArguments(let text):
            return .deadLetter(.wrongArguments, .wrongArguments("\(message.task): \(text)"))
        case CallDefect.unsupportedFollowUps(let text): return .deadLetter(.unsupported, .malformed(text))
        case let defect as ResultDefect: return .failure(.unencodable(defect.description))
        case TaskEnding.ignore: return .ignored
        case TaskEnding.reject(let reason): return .deadLetter(.rejected, .rejected(reason))
        case TaskEnding.rateLimited(let pause): return .rateLimited(for: max(.zero, pause))
        case TaskEnding.retry(let pause, let cause):
            // The policy still counts the attempts; without one, a task that asks for it has three more, as in Celery.
            let policy = policy.attempts > 1 ? policy : .fixed(attempts: 4, delay: .seconds(180))
            let failure = cause.map { TaskFailure($0) } ?? exhausted(message)
            guard let delay = policy.delay(afterRetries: message.retries, using: &generator) else {
                return .failure(failure)
            }
            return .retry(after: pause ?? delay, failure)
        default: break
        }
        // A body that the stopping worker cancelled is not to blame for whatever it then threw.
        if wasStopped { return .givenBack }
        let failure = wasTimeLimited ? TaskFailure.softTimeLimitExceeded : TaskFailure(error)
        guard policy.shouldRetry(wasTimeLimited ? failure : error),
            let delay = policy.delay(afterRetries: message.retries, using: &generator)
        else { return .failure(failure) }
        return .retry(after: delay, failure)
    }

    private static func exhausted(_ message: TaskMessage) -> TaskFailure {
        let call = "args:\(message.argumentsText ?? "()") kwargs:\(message.keywordsText ?? "{}")"
        return TaskFailure(
            type: "MaxRetriesExceededError",
            arguments: [.string("Can't retry \(message.task)[\(message.id)] \(call)")],
            module: "celery.exceptions"
        )
    }
}

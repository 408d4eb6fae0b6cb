package import CeleriacCore
package import FoundationEssentials

/// What is to become of a message that has just arrived: decided from the message and the time alone.
package enum Admission: Sendable, Equatable {
    /// Why a message goes to the dead-letter queue, as a word for programs.
    package enum Reason: String, Sendable {
        case malformed
        case unknownTask = "unknown-task"
        case wrongArguments = "wrong-arguments"
        case unsupported
        case tooLarge = "too-large"
        case rejected
    }

    /// Run it, now or after a pause of a second at most.
    case run(TaskMessage, after: Duration?)
    /// It is due later: put it back into the broker's keeping until then.
    case park(TaskMessage, for: Duration)
    /// It was to have started by now: record that, and drop it.
    case expired(TaskMessage)
    /// It can never run: keep it in the dead-letter queue.
    case deadLetter(Reason, TaskFailure, TaskID?)

    /// A wait up to this long is spent in the worker; the broker's delay queues count whole seconds.
    package static let longestLocalWait = Duration.seconds(1)

    package static func decide(
        _ message: Message,
        now: Date,
        maximumBodySize: Int,
        isRegistered: (TaskName) -> Bool
    ) -> Admission {
        func tooLarge(_ count: Int, _ id: TaskID?) -> Admission {
            let text = "the body takes \(count) octets; the limit is \(maximumBodySize)"
            return .deadLetter(.tooLarge, .malformed(text), id)
        }
        // Before decoding, because a message of protocol 1 has its id in the body.
        let id = message.headers["id"]?.string.flatMap { $0.isEmpty ? nil : TaskID($0) }
        guard message.body.count <= maximumBodySize else { return tooLarge(message.body.count, id) }
        let plain: Message
        do {
            plain = try message.decompressed(limit: maximumBodySize)
        } catch {
            let failure = TaskFailure.malformed(error.description)
            switch error {
            case .unknownMethod: return .deadLetter(.unsupported, failure, id)
            case .tooLarge: return .deadLetter(.tooLarge, failure, id)
            case .damaged: return .deadLetter(.malformed, failure, id)
            }
        }
        let task: TaskMessage
        do {
            task = try TaskMessage(decoding: plain)
        } catch {
            return .deadLetter(.malformed, .malformed(error.reason), error.task)
        }
        if let unsupported = unsupportedEncoding(of: task) {
            return .deadLetter(.unsupported, .malformed(unsupported), task.id)
        }
        guard task.body.count <= maximumBodySize else { return tooLarge(task.body.count, task.id) }
        guard isRegistered(task.task) else { return .deadLetter(.unknownTask, .notRegistered(task.task), task.id) }
        if let expires = task.expires, expires < now { return .expired(task) }
        guard let eta = task.eta, eta > now else { return .run(task, after: nil) }
        let wait = Duration.seconds(eta.timeIntervalSince(now))
        return wait > longestLocalWait ? .park(task, for: wait) : .run(task, after: wait)
    }

    private static func unsupportedEncoding(of task: TaskMessage) -> String? {
        guard task.contentType?.lowercased() == "application/json" else {
            return "content type \(task.contentType ?? "(none)") is not accepted; accepted: application/json"
        }
        guard let encoding = task.contentEncoding?.lowercased(), encoding != "utf-8", encoding != "utf8" else {
            return nil
        }
        return "content encoding \(encoding) is not accepted; accepted: utf-8"
    }
}

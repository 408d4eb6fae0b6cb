/// How a task failed, as its worker recorded it: thrown by ``TaskHandle/value(within:)``.
///
/// Failures are data and cross languages: a Python exception arrives with its class, module and arguments; a Swift error
/// arrives in Python as an exception class of its type's name.
public struct TaskFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The error's type: `ValueError`, `TimeLimitExceeded`, or a Swift type's name.
    public var type: String
    /// What the error was made of; usually one text.
    public var arguments: [JSONValue]
    /// The module the type is from; `swift` for Swift errors, `nil` if unknown.
    public var module: String?
    /// Where it happened, for people: a Python traceback or the Swift error in full.
    public var traceback: String?

    /// A failure.
    public init(type: String, arguments: [JSONValue], module: String?, traceback: String? = nil) {
        self.type = type
        self.arguments = arguments
        self.module = module
        self.traceback = traceback
    }

    /// The record of a Swift error: its type's name and its description, or what a ``TaskError`` says of itself.
    public init(_ error: any Error) {
        if let failure = error as? TaskFailure {
            self = failure
            return
        }
        let text = String(describing: error)
        if let error = error as? any TaskError {
            self.init(
                type: Swift.type(of: error).failureType,
                arguments: error.failureArguments,
                module: Swift.type(of: error).failureModule,
                traceback: "\(String(reflecting: Swift.type(of: error))): \(text)"
            )
            return
        }
        self.init(
            type: String(describing: Swift.type(of: error)),
            arguments: [.string(text)],
            module: "swift",
            traceback: "\(String(reflecting: Swift.type(of: error))): \(text)"
        )
    }

    /// The arguments as one text.
    public var message: String {
        arguments.map { argument in
            if case .string(let text) = argument { text } else { PythonText.repr(of: argument) }
        }.joined(separator: ", ")
    }

    /// Type and message on one line.
    public var description: String { message.isEmpty ? type : "\(type): \(message)" }
}

extension TaskFailure {
    /// No code is registered under the name.
    public static func notRegistered(_ task: TaskName) -> TaskFailure {
        TaskFailure(type: "NotRegistered", arguments: [.string(task.rawValue)], module: "celery.exceptions")
    }

    /// The call's arguments do not fit the task.
    public static func wrongArguments(_ text: String) -> TaskFailure {
        TaskFailure(type: "TypeError", arguments: [.string(text)], module: "builtins")
    }

    /// The message cannot be read as a task.
    public static func malformed(_ text: String) -> TaskFailure {
        TaskFailure(type: "InvalidTaskError", arguments: [.string(text)], module: "celery.exceptions")
    }

    /// The soft time limit passed and the task did not handle its cancellation.
    public static let softTimeLimitExceeded = TaskFailure(
        type: "SoftTimeLimitExceeded",
        arguments: [],
        module: "billiard.exceptions"
    )

    /// The task returned a value that has no JSON form.
    public static func unencodable(_ text: String) -> TaskFailure {
        TaskFailure(type: "EncodeError", arguments: [.string(text)], module: "kombu.exceptions")
    }

    /// The task returned more than ``Configuration/maximumResultSize``.
    public static func resultTooLarge(octets: Int, limit: Int) -> TaskFailure {
        TaskFailure(
            type: "ResultTooLarge",
            arguments: [.string("the result takes \(octets) octets; the limit is \(limit)")],
            module: "swift"
        )
    }

    /// The failure without its traceback and with a message of so many characters at most.
    package func shortened(to limit: Int) -> TaskFailure {
        TaskFailure(
            type: String(type.prefix(limit)),
            arguments: [.string(String(message.prefix(limit)))],
            module: module
        )
    }

    /// The task asked to be rejected.
    public static func rejected(_ reason: String) -> TaskFailure {
        TaskFailure(type: "Reject", arguments: [.string(reason), false], module: "celery.exceptions")
    }

    /// The task expired before it began.
    public static let expired = TaskFailure(
        type: "TaskRevokedError",
        arguments: ["expired"],
        module: "celery.exceptions"
    )
}

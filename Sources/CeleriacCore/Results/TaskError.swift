/// An error that is the same type on both sides of a result, and in Python.
///
/// A task that throws one records its type, module and arguments as Celery does with an exception. A program that has
/// registered the type, by ``TaskApp/register(error:)``, gets it back from ``TaskHandle/value(within:)``, whoever threw it:
///
/// ```swift
/// struct OutOfStock: TaskError {
///     static let failureModule = "shop.errors"
///     let article: String
///
///     var failureArguments: [JSONValue] { [.string(article)] }
///     init?(failureArguments: [JSONValue]) {
///         guard let article = failureArguments.first?.string else { return nil }
///         self.article = article
///     }
/// }
/// ```
///
/// Python raises `shop.errors.OutOfStock("…")` if it has imported that module, and a class made up under the name
/// otherwise.
public protocol TaskError: Error {
    /// The class' name in Python, with dots for nested ones; the Swift type's name unless given.
    static var failureType: String { get }
    /// The Python module; `swift` unless given.
    static var failureModule: String { get }
    /// What a constructor needs.
    var failureArguments: [JSONValue] { get }

    /// The error of recorded arguments; `nil` if they do not fit, and then the ``TaskFailure`` is thrown.
    init?(failureArguments: [JSONValue])
}

extension TaskError {
    /// The type's name.
    public static var failureType: String { String(describing: Self.self) }
    /// `swift`.
    public static var failureModule: String { "swift" }
}

extension TaskError where Self: Codable {
    /// The whole error as one object.
    public var failureArguments: [JSONValue] {
        guard let json = try? PayloadCoding.encode(self),
            let value = try? PayloadCoding.decode(JSONValue.self, from: json)
        else { return [] }
        return [value]
    }

    /// The error that is the only argument.
    public init?(failureArguments: [JSONValue]) {
        guard failureArguments.count == 1,
            let error = try? PayloadCoding.decode(Self.self, from: JSONText.value(failureArguments[0]))
        else { return nil }
        self = error
    }
}

/// The error types that a program knows, by the names on the wire.
struct KnownErrors: Sendable {
    private struct Name: Hashable {
        let module: String
        let type: String
    }

    private var makers: [Name: @Sendable ([JSONValue]) -> (any TaskError)?] = [:]

    mutating func insert<Failure: TaskError>(_ type: Failure.Type) {
        let name = Name(module: Failure.failureModule, type: Failure.failureType)
        makers[name] = { Failure(failureArguments: $0) }
    }

    /// The error that a failure stands for, if it is known.
    func error(of failure: TaskFailure) -> (any TaskError)? {
        guard let module = failure.module else { return nil }
        return makers[Name(module: module, type: failure.type)]?(failure.arguments)
    }
}

extension TaskApp {
    /// Makes an error type known: failures of that type and module are thrown as such by ``TaskHandle/value(within:)`` and
    /// ``TaskCompletion/value()``, in place of a ``TaskFailure``.
    ///
    /// What else was recorded, such as a traceback, remains in ``TaskRecord/failure``.
    public func register<Failure: TaskError>(error type: Failure.Type) {
        know(type)
    }
}

/// A task as a type: its stored properties are the call's keyword arguments.
///
/// ```swift
/// struct Resize: StructTask {
///     static let name: TaskName = "images.resize"
///     let source: String
///     let width: Int
///     func run(context: TaskContext) async throws -> String { ... }
/// }
/// let resize = app.task(Resize.self)
/// let handle = try await resize.delay(Resize(source: "cat.png", width: 320))
/// ```
public protocol StructTask: Codable, Sendable {
    /// What the task returns; ``NoValue`` for nothing.
    associatedtype Output: Codable & Sendable

    /// The name, part of the wire contract.
    static var name: TaskName { get }

    /// Runs the task.
    func run(context: TaskContext) async throws -> Output
}

/// A ``StructTask`` that belongs to an application.
public struct StructTaskDefinition<Payload: StructTask>: Sendable {
    /// How calls are sent and run.
    public let options: TaskOptions
    private let app: TaskApp

    /// The name, part of the wire contract.
    public var name: TaskName { Payload.name }

    init(options: TaskOptions, app: TaskApp) {
        self.options = options
        self.app = app
        app.register(
            TaskRegistration(
                name: Payload.name,
                options: options,
                type: "(\(Payload.self)) -> \(Payload.Output.self)"
            ) { context, body in
                let call = try TaskRegistration.decode(KeywordBody<Payload>.self, from: body, parameters: [])
                return try TaskRegistration.encode(try await call.payload.run(context: context))
            }
        )
    }

    /// Describes one call without sending it.
    public func callAsFunction(_ task: Payload) -> Signature<Payload.Output> {
        let payload = Result { () throws(CeleriacError) in
            let keywords = try PayloadCoding.encode(task)
            guard keywords.first == UInt8(ascii: "{") else {
                throw CeleriacError(.invalidPayload, "\(Payload.self) does not encode as an object of its properties")
            }
            return CeleriacCore.Payload(keywords: keywords)
        }
        return Signature(task: name, payload: payload, options: options, app: app)
    }

    /// Sends one call; returns once the broker has confirmed it.
    ///
    /// - Throws: ``CeleriacError``; see ``Signature/apply(_:)``.
    @discardableResult
    public func delay(_ task: Payload) async throws(CeleriacError) -> TaskHandle<Payload.Output> {
        try await self(task).apply()
    }

    /// Sends one call with options of its own.
    ///
    /// - Throws: ``CeleriacError``; see ``Signature/apply(_:)``.
    @discardableResult
    public func apply(
        _ task: Payload,
        options: CallOptions
    ) async throws(CeleriacError) -> TaskHandle<Payload.Output> {
        try await self(task).apply(options)
    }
}

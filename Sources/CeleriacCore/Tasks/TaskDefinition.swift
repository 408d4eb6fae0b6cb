/// A named unit of work: producers call it, workers run it.
///
/// ```swift
/// let add = app.task("shop.add") { (x: Int, y: Int) in x + y }
/// let handle = try await add.delay(2, 3)
/// let sum = try await handle.value(within: .seconds(10))
/// ```
///
/// Wrong types or a wrong number of arguments do not compile. On the wire the arguments are positional; tell
/// `TaskApp.task` the parameters' names to accept keyword arguments too.
public struct TaskDefinition<Output: Codable & Sendable, each Argument: Codable & Sendable>: Sendable {
    /// The name, part of the wire contract.
    public let name: TaskName
    /// How calls are sent and run.
    public let options: TaskOptions
    private let app: TaskApp

    init(
        name: TaskName,
        parameters: [String],
        options: TaskOptions,
        app: TaskApp,
        perform: @escaping @Sendable @concurrent (TaskContext, repeat each Argument) async throws -> Output
    ) {
        self.name = name
        self.options = options
        self.app = app
        var types: [String] = []
        for type in repeat (each Argument).self { types.append("\(type)") }
        app.register(
            TaskRegistration(
                name: name,
                options: options,
                type: "(\(types.joined(separator: ", "))) -> \(Output.self)",
                parameters: parameters
            ) { context, body in
                let arguments = try Self.arguments(of: body, parameters)
                return try TaskRegistration.encode(try await perform(context, repeat each arguments))
            }
        )
    }

    private static func arguments(of body: [UInt8], _ parameters: [String]) throws -> (repeat each Argument) {
        if let positional = Payload.positionalAlone(in: body),
            let plain = try? PayloadCoding.decode(PlainArguments<repeat each Argument>.self, from: positional)
        {
            return plain.arguments
        }
        let call = try TaskRegistration.decode(
            PositionalBody<repeat each Argument>.self,
            from: body,
            parameters: parameters
        )
        return call.arguments
    }

    /// Describes one call without sending it.
    public func callAsFunction(_ argument: repeat each Argument) -> Signature<Output> {
        let payload = Result { () throws(CeleriacError) in
            Payload(positional: try PayloadCoding.encode(PositionalArguments(repeat each argument)))
        }
        return Signature(task: name, payload: payload, options: options, app: app)
    }

    /// Sends one call; returns once the broker has confirmed it.
    ///
    /// - Throws: ``CeleriacError``; see ``Signature/apply(_:)``.
    @discardableResult
    public func delay(_ argument: repeat each Argument) async throws(CeleriacError) -> TaskHandle<Output> {
        try await self(repeat each argument).apply()
    }

    /// Sends one call with options of its own.
    ///
    /// - Throws: ``CeleriacError``; see ``Signature/apply(_:)``.
    @discardableResult
    public func apply(
        _ argument: repeat each Argument,
        options: CallOptions
    ) async throws(CeleriacError) -> TaskHandle<Output> {
        try await self(repeat each argument).apply(options)
    }
}

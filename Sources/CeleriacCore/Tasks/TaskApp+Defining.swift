// Bodies are `@concurrent`: they run on the global executor, never on the event loop that received their message. (The
// compiler, 6.3.1, also crashes on a synchronous closure given for a pack-typed `nonisolated(nonsending)` one.)
extension TaskApp {
    /// Defines a task that returns a value.
    ///
    /// - Parameters:
    ///   - name: Part of the wire contract: it stays when the code moves.
    ///   - parameters: The parameters' names in order, so that callers may pass them by keyword.
    public func task<Output: Codable & Sendable, each Argument: Codable & Sendable>(
        _ name: TaskName,
        parameters: [String] = [],
        options: TaskOptions = TaskOptions(),
        _ body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Output
    ) -> TaskDefinition<Output, repeat each Argument> {
        TaskDefinition(name: name, parameters: parameters, options: options, app: self) {
            (_: TaskContext, argument: repeat each Argument) in
            try await body(repeat each argument)
        }
    }

    /// Defines a task that returns a value and wants to know of its call.
    public func task<Output: Codable & Sendable, each Argument: Codable & Sendable>(
        _ name: TaskName,
        parameters: [String] = [],
        options: TaskOptions = TaskOptions(),
        _ body: @escaping @Sendable @concurrent (TaskContext, repeat each Argument) async throws -> Output
    ) -> TaskDefinition<Output, repeat each Argument> {
        TaskDefinition(name: name, parameters: parameters, options: options, app: self, perform: body)
    }

    /// Defines a task that returns nothing.
    public func task<each Argument: Codable & Sendable>(
        _ name: TaskName,
        parameters: [String] = [],
        options: TaskOptions = TaskOptions(),
        _ body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Void
    ) -> TaskDefinition<NoValue, repeat each Argument> {
        TaskDefinition(name: name, parameters: parameters, options: options, app: self) {
            (_: TaskContext, argument: repeat each Argument) in
            try await body(repeat each argument)
            return NoValue()
        }
    }

    /// Defines a task that returns nothing and wants to know of its call.
    public func task<each Argument: Codable & Sendable>(
        _ name: TaskName,
        parameters: [String] = [],
        options: TaskOptions = TaskOptions(),
        _ body: @escaping @Sendable @concurrent (TaskContext, repeat each Argument) async throws -> Void
    ) -> TaskDefinition<NoValue, repeat each Argument> {
        TaskDefinition(name: name, parameters: parameters, options: options, app: self) {
            (context: TaskContext, argument: repeat each Argument) in
            try await body(context, repeat each argument)
            return NoValue()
        }
    }

    /// Takes on a task that is a type of its own.
    public func task<Payload: StructTask>(
        _ type: Payload.Type,
        options: TaskOptions = TaskOptions()
    ) -> StructTaskDefinition<Payload> {
        StructTaskDefinition(options: options, app: self)
    }
}

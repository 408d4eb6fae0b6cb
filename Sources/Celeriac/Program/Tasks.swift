public import CeleriacCore

/// The tasks of a program, written down as a list.
///
/// Tasks are registered when they are defined, and a static property is not defined before it is first read: naming a
/// task here is what makes workers know it.
///
/// ```swift
/// static let tasks = Tasks { add; thumbnail }
/// ```
public struct Tasks: Sendable {
    /// The tasks' names, in the order given.
    public let names: [TaskName]

    /// A list of tasks.
    public init(@TasksBuilder _ tasks: () -> [TaskName]) { names = tasks() }
}

/// Builds the list in `Tasks { … }`; takes `if`, `for` and `switch`.
@resultBuilder
public enum TasksBuilder {
    /// A task that is a closure.
    public static func buildExpression<Output, each Argument>(
        _ task: TaskDefinition<Output, repeat each Argument>
    ) -> [TaskName] { [task.name] }
    /// A task that is a type.
    public static func buildExpression<Payload>(_ task: StructTaskDefinition<Payload>) -> [TaskName] { [task.name] }
    /// Tasks listed elsewhere.
    public static func buildExpression(_ tasks: Tasks) -> [TaskName] { tasks.names }
    /// The tasks in order.
    public static func buildBlock(_ parts: [TaskName]...) -> [TaskName] { parts.flatMap(\.self) }
    /// An `if` without `else`.
    public static func buildOptional(_ part: [TaskName]?) -> [TaskName] { part ?? [] }
    /// The first branch.
    public static func buildEither(first part: [TaskName]) -> [TaskName] { part }
    /// The second branch.
    public static func buildEither(second part: [TaskName]) -> [TaskName] { part }
    /// A loop.
    public static func buildArray(_ parts: [[TaskName]]) -> [TaskName] { parts.flatMap(\.self) }
}

/// What was awaited did not happen in time.
public struct NotInTime: Error, CustomStringConvertible {
    /// What was awaited.
    public let description: String

    /// An error that says what was awaited.
    public init(description: String) { self.description = description }
}

/// Waits until a condition holds, looking again and again.
public func eventually(
    within limit: Duration = .seconds(20),
    every interval: Duration = .milliseconds(2),
    _ what: String = "the condition holds",
    condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now.advanced(by: limit)
    while !(try await condition()) {
        guard ContinuousClock.now < deadline else { throw NotInTime(description: "not within \(limit): \(what)") }
        try await Task.sleep(for: interval)
    }
}

/// Runs an operation that is cancelled when it does not end in time.
public func withDeadline<Value: Sendable>(
    _ limit: Duration = .seconds(20),
    _ what: String = "the operation ends",
    _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: RaceEnd<Value>.self) { group in
        group.addTask { .value(try await operation()) }
        group.addTask { (try? await Task.sleep(for: limit)) == nil ? .cancelled : .late }
        while let end = try await group.next() {
            switch end {
            case .value(let value):
                group.cancelAll()
                return value
            case .late:
                group.cancelAll()
                throw NotInTime(description: "not within \(limit): \(what)")
            // The caller was cancelled: how the operation takes it is the answer.
            case .cancelled: continue
            }
        }
        throw CancellationError()
    }
}

private enum RaceEnd<Value: Sendable>: Sendable {
    case value(Value)
    case late
    case cancelled
}

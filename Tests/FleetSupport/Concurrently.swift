/// Applies an operation to many values, so many at a time.
package func concurrently<Element: Sendable, Value: Sendable>(
    _ elements: some Sequence<Element>,
    width: Int,
    _ operation: @escaping @Sendable (Element) async throws -> Value
) async throws -> [Value] {
    try await withThrowingTaskGroup(of: Value.self) { group in
        var values: [Value] = []
        var running = 0
        for element in elements {
            if running == width, let value = try await group.next() {
                values.append(value)
                running -= 1
            }
            group.addTask { try await operation(element) }
            running += 1
        }
        for try await value in group { values.append(value) }
        return values
    }
}

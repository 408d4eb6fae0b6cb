import Synchronization

/// Lets only a few tests at a time have a RabbitMQ of their own.
///
/// A RabbitMQ keeps a processor busy for seconds while it starts: a dozen at once would starve every other test past its
/// deadline. Waiting counts for a test's time limit, so whoever takes a turn has a generous one.
public enum ServerTurn {
    private struct State: Sendable {
        var free = 2
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private static let state = Mutex(State())

    /// Runs a closure when it is this caller's turn; turns are not nested.
    public static func take<Value>(_ body: () async throws -> Value) async throws -> Value {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                guard state.free > 0 else {
                    state.waiting.append(continuation)
                    return false
                }
                state.free -= 1
                return true
            }
            if isFree { continuation.resume() }
        }
        defer {
            let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
                guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
                state.free += 1
                return nil
            }
            next?.resume()
        }
        return try await body()
    }
}

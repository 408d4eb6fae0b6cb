internal import Synchronization

extension RecoveringConnection {
    /// How a logical connection fares.
    public enum State: Equatable, Sendable {
        /// The first connection is being opened.
        case connecting
        /// Everything is there.
        case open
        /// The broker takes no messages for now, for a reason such as `low on memory`; publishes wait.
        case blocked(reason: String)
        /// The connection was lost or did not come about; `attempt` counts from one and is made at `nextTry`, or is
        /// being made, or is bringing channels and topology back.
        case recovering(attempt: Int, reason: AMQPError, nextTry: ContinuousClock.Instant?)
        /// The end: `.closed` if this side wanted it.
        case closed(AMQPError)
    }
}

/// The states of a ``RecoveringConnection``, the present one first, up to `.closed`.
///
/// Each iteration gets all states of its own. One that falls behind by more than 64 misses the oldest; the
/// connection never waits for it.
public struct ConnectionStates: AsyncSequence, Sendable {
    /// A state.
    public typealias Element = RecoveringConnection.State
    /// It does not fail: the reason of the end is an element.
    public typealias Failure = Never

    let board: StateBoard

    /// One observer's states.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var base: AsyncStream<RecoveringConnection.State>.AsyncIterator

        /// The next state; `nil` after the last one, or when the task is cancelled.
        public mutating func next(isolation actor: isolated (any Actor)?) async -> RecoveringConnection.State? {
            await base.next(isolation: actor)
        }
    }

    /// Begins to observe.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(base: board.subscribe().makeAsyncIterator())
    }
}

/// Tells states to all who observe.
final class StateBoard: Sendable {
    private struct Board: Sendable {
        var present: RecoveringConnection.State
        var last = 0
        var observers: [Int: AsyncStream<RecoveringConnection.State>.Continuation] = [:]
    }

    private static let limit = 64
    private let board: Mutex<Board>

    init(_ state: RecoveringConnection.State) {
        board = Mutex(Board(present: state))
    }

    var present: RecoveringConnection.State { board.withLock { $0.present } }

    /// Tells a state, unless it is the one told last.
    ///
    /// Called by one at a time, so that the order is that of the changes.
    func tell(_ state: RecoveringConnection.State) {
        let observers: [AsyncStream<RecoveringConnection.State>.Continuation] = board.withLock { board in
            guard board.present != state else { return [] }
            board.present = state
            return Array(board.observers.values)
        }
        for observer in observers {
            observer.yield(state)
            if case .closed = state { observer.finish() }
        }
    }

    func subscribe() -> AsyncStream<RecoveringConnection.State> {
        let (stream, observer) = AsyncStream.makeStream(
            of: RecoveringConnection.State.self,
            bufferingPolicy: .bufferingNewest(Self.limit)
        )
        let number = board.withLock { board in
            observer.yield(board.present)
            board.last += 1
            if case .closed = board.present { return 0 }
            board.observers[board.last] = observer
            return board.last
        }
        if number == 0 {
            observer.finish()
        } else {
            observer.onTermination = { [weak self] _ in
                self?.board.withLock { _ = $0.observers.removeValue(forKey: number) }
            }
        }
        return stream
    }
}

internal import Synchronization
internal import Transport

/// The events of one subscription that have not been taken, and who waits for them.
///
// Soundness of @unchecked Sendable: `waits` is atomic; everything else mutable is used on the event loop only.
final class Mailbox: @unchecked Sendable {
    typealias Event = RedisSubscription.Event
    typealias Outcome = Result<Event?, RedisError>

    private struct Waiter {
        let number: UInt64
        let continuation: CheckedContinuation<Outcome, Never>
        let timer: TimerID?
        let loop: EventLoop
    }

    let id: SubscriptionTable.ID
    private let capacity: Int
    /// Takes the events in place of the mailbox, and nothing at the end.
    private let sink: (@Sendable (Event?) -> Void)?
    private let waits = Atomic<UInt64>(0)
    private var events = FIFO<Event>()
    private var droppedCount = 0
    private var waiter: Waiter?
    private var lastCancelled: UInt64 = 0
    private var ending: RedisError?

    init(_ id: SubscriptionTable.ID, capacity: Int, sink: (@Sendable (Event?) -> Void)? = nil) {
        self.id = id
        self.sink = sink
        self.capacity = max(1, capacity)
    }

    /// Numbers a wait, so that a cancellation which overtakes it still finds it.
    func nextWait() -> UInt64 { waits.add(1, ordering: .relaxed).newValue }

    func put(_ event: Event) {
        if let sink { return sink(event) }
        if let waiter {
            finish(waiter, .success(event))
            return
        }
        if events.count >= capacity {
            _ = events.popFirst()
            droppedCount += 1
        }
        events.append(event)
    }

    func wait(
        _ number: UInt64,
        _ continuation: CheckedContinuation<Outcome, Never>,
        timeout: Duration?,
        on loop: EventLoop
    ) {
        if number <= lastCancelled { return continuation.resume(returning: .failure(Self.cancelled)) }
        if droppedCount > 0 {
            defer { droppedCount = 0 }
            return continuation.resume(returning: .success(.dropped(droppedCount)))
        }
        if let event = events.popFirst() { return continuation.resume(returning: .success(event)) }
        if let ending { return continuation.resume(returning: .failure(ending)) }
        guard waiter == nil else {
            let error = RedisError(.overloaded, "two tasks wait for one subscription; use one subscription each")
            return continuation.resume(returning: .failure(error))
        }
        let timer = timeout.map { timeout in
            loop.schedule(after: timeout) { [weak self] in self?.timeOut(number) }
        }
        waiter = Waiter(number: number, continuation: continuation, timer: timer, loop: loop)
    }

    private static let cancelled = RedisError(.cancelled, "the wait for a message was cancelled")

    private func timeOut(_ number: UInt64) {
        guard let waiter, waiter.number == number else { return }
        finish(waiter, .success(nil))
    }

    func cancel(_ number: UInt64) {
        lastCancelled = max(lastCancelled, number)
        guard let waiter, waiter.number <= number else { return }
        finish(waiter, .failure(Self.cancelled))
    }

    func end(_ error: RedisError) {
        if ending == nil { sink?(nil) }
        ending = ending ?? error
        if let waiter { finish(waiter, .failure(error)) }
    }

    private func finish(_ waiter: Waiter, _ outcome: Outcome) {
        self.waiter = nil
        if let timer = waiter.timer { waiter.loop.cancel(timer) }
        waiter.continuation.resume(returning: outcome)
    }
}

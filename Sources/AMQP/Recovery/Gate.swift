internal import Synchronization
internal import Transport

/// Hands out the present instance of something that is replaced now and then; whoever comes in between waits.
///
/// Decides under its lock and resumes outside it.
final class Gate<Value: AnyObject & Sendable>: Sendable {
    private enum Phase: Sendable {
        case open(Value)
        /// Another one is to come.
        case shut(AMQPError?)
        /// None is to come; the last one serves for what was begun with it.
        case closed(AMQPError, last: Value?)
    }

    private struct State: Sendable {
        var phase: Phase
        var waiters = RingBuffer<Waiter<Value>>()
    }

    private let state: Mutex<State>
    private let what: String

    init(_ value: Value?, _ what: String) {
        state = Mutex(State(phase: value.map { .open($0) } ?? .shut(nil)))
        self.what = what
    }

    /// What the gate is open with, or was when it was closed.
    var latest: Value? {
        state.withLock { state in
            switch state.phase {
            case .open(let value): value
            case .shut: nil
            case .closed(_, let last): last
            }
        }
    }

    /// What the gate is open with, if it is.
    var current: Value? {
        state.withLock { state in
            if case .open(let value) = state.phase { value } else { nil }
        }
    }

    /// Why the gate is closed for good, if it is.
    var closeReason: AMQPError? {
        state.withLock { state in
            if case .closed(let error, _) = state.phase { error } else { nil }
        }
    }

    /// - Returns: False if the gate is closed for good.
    @discardableResult
    func open(_ value: Value) -> Bool {
        let waiters: [Waiter<Value>]? = state.withLock { state in
            if case .closed = state.phase { return nil }
            state.phase = .open(value)
            return state.waiters.removeAll()
        }
        guard let waiters else { return false }
        for waiter in waiters { waiter.finish(.success(value)) }
        return true
    }

    /// - Parameter value: Shuts only if this is what the gate is open with.
    func shut(_ value: Value? = nil, because reason: AMQPError?) {
        state.withLock { state in
            switch state.phase {
            case .open(let present): if value == nil || present === value { state.phase = .shut(reason) }
            case .shut: state.phase = .shut(reason)
            case .closed: break
            }
        }
    }

    /// Ends all waiting; the last instance can still be had for what was begun with it.
    func close(_ error: AMQPError) {
        let waiters = state.withLock { state in
            switch state.phase {
            case .open(let value): state.phase = .closed(error, last: value)
            case .shut: state.phase = .closed(error, last: nil)
            case .closed: break
            }
            return state.waiters.removeAll()
        }
        for waiter in waiters { waiter.finish(.failure(error)) }
    }

    private enum Entry {
        case value(Value)
        case error(AMQPError)
        case wait(Waiter<Value>, AMQPError?)
    }

    /// An instance other than the one that was found dead, now or when there is one.
    ///
    /// - Parameter lastServes: Whether a closed gate still hands out its last instance.
    /// - Throws: ``AMQPError``: why the gate was closed; `.timedOut`; `.cancelled`.
    func value(
        besides dead: Value?,
        before deadline: ContinuousClock.Instant?,
        lastServes: Bool = false
    ) async throws(AMQPError) -> Value {
        let entry: Entry = state.withLock { state in
            switch state.phase {
            case .open(let value) where value !== dead: return .value(value)
            case .closed(_, let last?) where lastServes && last !== dead: return .value(last)
            case .closed(let error, _): return .error(error)
            case .open, .shut:
                let waiter = Waiter<Value>()
                state.waiters.append(waiter)
                if case .shut(let reason) = state.phase { return .wait(waiter, reason) }
                return .wait(waiter, nil)
            }
        }
        switch entry {
        case .value(let value): return value
        case .error(let error): throw error
        case .wait(let waiter, let reason):
            let alarm = deadline.map { deadline in
                Alarm(at: deadline) { [what] in
                    let cause = reason.map { ": \($0.message)" } ?? ""
                    waiter.finish(.failure(AMQPError(.timedOut, "no \(what) in time\(cause)")))
                }
            }
            defer { alarm?.cancel() }
            do throws(AMQPError) {
                return try await waiter.value("the recovery of a connection")
            } catch {
                state.withLock { _ = $0.waiters.removeFirst { $0 === waiter } }
                // Nothing had been sent while it waited.
                throw error.publishing(wasSent: false)
            }
        }
    }
}

/// A call at an instant, on the event loop, unless cancelled before.
final class Alarm: Sendable {
    private let timer = Mutex<TimerID?>(nil)
    private let loop: EventLoop

    init(at instant: ContinuousClock.Instant, on loop: EventLoop = .shared, _ body: @escaping @Sendable () -> Void) {
        self.loop = loop
        loop.execute { [self] in
            let id = loop.schedule(at: instant, body)
            timer.withLock { $0 = id }
        }
    }

    func cancel() {
        loop.execute { [self] in
            if let id = timer.withLock({ $0 }) { loop.cancel(id) }
        }
    }
}

/// Wakes one task that waits for something to do; what happens before it waits is not lost.
final class WakeUp: Sendable {
    private struct State: Sendable {
        var isPending = false
        var waiter: Waiter<Void>?
    }

    private let state = Mutex(State())

    func wake() {
        let waiter: Waiter<Void>? = state.withLock { state in
            guard let waiter = state.waiter.take() else {
                state.isPending = true
                return nil
            }
            return waiter
        }
        waiter?.finish(.success(()))
    }

    /// Waits for a wake-up, for an instant, or for the task to be cancelled.
    func wait(until instant: ContinuousClock.Instant?) async {
        let waiter: Waiter<Void>? = state.withLock { state in
            guard !state.isPending else {
                state.isPending = false
                return nil
            }
            let waiter = Waiter<Void>()
            state.waiter = waiter
            return waiter
        }
        guard let waiter else { return }
        let alarm = instant.map { Alarm(at: $0) { [weak self] in self?.wake() } }
        // However the wait ends, the loop that called looks at everything anew.
        _ = try? await waiter.value("something to do")
        alarm?.cancel()
    }
}

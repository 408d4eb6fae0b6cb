internal import Glibc

/// A thread for work that blocks, which must not happen on Swift's pool.
public final class BlockingThread: Sendable {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private let handle: pthread_t

    /// Starts running.
    public init(_ body: @escaping @Sendable () -> Void) {
        var handle = pthread_t()
        let started = pthread_create(
            &handle,
            nil,
            { context in
                guard let context else { return nil }
                Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
                return nil
            },
            Unmanaged.passRetained(Body(body)).toOpaque()
        )
        precondition(started == 0, "cannot start a thread: \(String(cString: strerror(started)))")
        self.handle = handle
    }

    /// Waits for its end; called once.
    public func join() { pthread_join(handle, nil) }
}

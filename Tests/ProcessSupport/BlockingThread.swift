internal import Glibc

/// A thread for work that blocks, which must not happen on Swift's pool.
public final class BlockingThread: Sendable {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private let handle: pthread_t

    /// Starts running.
    public init(_ body: @escaping @Sendable () -> Void) { handle = Self.start(body) }

    /// Starts running, and is waited for by nobody.
    public static func detach(_ body: @escaping @Sendable () -> Void) { pthread_detach(start(body)) }

    private static func start(_ body: @escaping @Sendable () -> Void) -> pthread_t {
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
        return handle
    }

    /// Waits for its end; called once.
    public func join() { pthread_join(handle, nil) }
}

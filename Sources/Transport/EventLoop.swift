internal import CShims
internal import Glibc
internal import Synchronization

/// One thread that waits for sockets and timers, and runs the actors confined to it.
///
/// As a `SerialExecutor` it is the home of connection actors: a socket's event, the protocol decision it causes and the
/// bytes that decision writes all happen in one turn, without locks or hops. At the end of each turn every stream that
/// was written to sends what it gathered with a single `writev`.
///
/// Work must never block here: user code runs elsewhere.
///
// Soundness of @unchecked Sendable: `incoming` is guarded by its mutex, `identity` is atomic, and every other variable is touched by the loop's thread alone, which
// `preconditionOnLoop` checks at each entry.
package final class EventLoop: SerialExecutor, @unchecked Sendable {
    /// The loop that connections use unless told otherwise; one thread for the whole process.
    package static let shared = EventLoop(name: "celeriac-io")

    /// Receives the readiness of one descriptor.
    protocol Source: AnyObject {
        func ready(readable: Bool, writable: Bool, failed: Bool)
    }

    /// Which readiness a source waits for.
    struct Interest: OptionSet {
        let rawValue: UInt32
        static let read = Interest(rawValue: celeriac_epoll_in | celeriac_epoll_read_hangup)
        static let write = Interest(rawValue: celeriac_epoll_out)
    }

    private enum Work {
        case job(UnownedJob)
        case closure(@Sendable () -> Void)
    }

    private struct Incoming {
        var work: [Work] = []
        var isAsleep = false
    }

    private let incoming = Mutex(Incoming())
    private let epoll: Int32
    private let wake: Int32
    private let name: StaticString
    private let identity = Atomic<pthread_t>(0)
    private var sources: [UInt64: any Source] = [:]
    private var lastTag: UInt64 = 0
    private var timers = TimerQueue<ContinuousClock.Instant, @Sendable () -> Void>()
    private var unflushed: [ByteStream] = []
    private var batch: [Work] = []
    private var due: [TimerID] = []

    /// Starts the thread, which lives as long as the process.
    package init(name: StaticString) {
        self.name = name
        epoll = epoll_create1(Int32(celeriac_epoll_cloexec))
        wake = eventfd(0, Int32(celeriac_eventfd_flags))
        // Without descriptors for its own loop the process cannot do anything this library is for.
        precondition(
            epoll >= 0 && wake >= 0,
            "no descriptors left for an event loop: \(String(cString: strerror(errno)))"
        )
        precondition(celeriac_epoll_control(epoll, EPOLL_CTL_ADD, wake, celeriac_epoll_in, 0) == 0)

        var handle = pthread_t()
        let started = pthread_create(
            &handle,
            nil,
            { context in
                guard let context else { return nil }
                let loop = Unmanaged<EventLoop>.fromOpaque(context).takeRetainedValue()
                loop.identity.store(pthread_self(), ordering: .relaxed)
                // Writing to a peer that is gone must be an error, not the end of the process.
                var broken = sigset_t()
                sigemptyset(&broken)
                sigaddset(&broken, SIGPIPE)
                pthread_sigmask(SIG_BLOCK, &broken, nil)
                loop.name.withUTF8Buffer { celeriac_name_thread($0.baseAddress) }
                loop.run()
            },
            Unmanaged.passRetained(self).toOpaque()
        )
        precondition(started == 0, "cannot start the event loop's thread: \(String(cString: strerror(started)))")
        identity.store(handle, ordering: .relaxed)
    }

    // MARK: Executor

    package func enqueue(_ job: consuming ExecutorJob) {
        submit(.job(UnownedJob(job)))
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    package func checkIsolated() {
        preconditionOnLoop()
    }

    package func isIsolatingCurrentContext() -> Bool? {
        isOnLoop
    }

    /// Whether the caller runs on this loop's thread.
    package var isOnLoop: Bool { pthread_self() == identity.load(ordering: .relaxed) }

    package func preconditionOnLoop() {
        precondition(isOnLoop, "called off the event loop that owns this value")
    }

    /// Runs a closure on the loop in a later turn, or later in this one.
    package func execute(_ body: @escaping @Sendable () -> Void) {
        submit(.closure(body))
    }

    private func submit(_ work: Work) {
        let mustWake = incoming.withLock { incoming in
            incoming.work.append(work)
            defer { incoming.isAsleep = false }
            return incoming.isAsleep
        }
        if mustWake {
            var one: UInt64 = 1
            // A full counter (EAGAIN) means that the loop has been woken already.
            _ = write(wake, &one, MemoryLayout<UInt64>.size)
        }
    }

    // MARK: Timers; on the loop only

    /// Calls back on the loop at an instant of the monotonic clock, unless cancelled.
    package func schedule(at deadline: ContinuousClock.Instant, _ body: @escaping @Sendable () -> Void) -> TimerID {
        preconditionOnLoop()
        return timers.schedule(at: deadline, body)
    }

    package func schedule(after delay: Duration, _ body: @escaping @Sendable () -> Void) -> TimerID {
        schedule(at: .now + delay, body)
    }

    package func cancel(_ timer: TimerID) {
        preconditionOnLoop()
        timers.cancel(timer)
    }

    // MARK: Sources and streams; on the loop only

    func add(_ source: any Source, descriptor: Int32, interest: Interest) throws(TransportError) -> UInt64 {
        preconditionOnLoop()
        lastTag += 1  // never reused: an event already fetched for a closed source finds nobody
        guard celeriac_epoll_control(epoll, EPOLL_CTL_ADD, descriptor, interest.rawValue, lastTag) == 0 else {
            throw TransportError(system: errno, "epoll_ctl")
        }
        sources[lastTag] = source
        return lastTag
    }

    func change(_ tag: UInt64, descriptor: Int32, interest: Interest) {
        preconditionOnLoop()
        guard sources[tag] != nil else { return }
        _ = celeriac_epoll_control(epoll, EPOLL_CTL_MOD, descriptor, interest.rawValue, tag)
    }

    func remove(_ tag: UInt64, descriptor: Int32) {
        preconditionOnLoop()
        guard sources.removeValue(forKey: tag) != nil else { return }
        _ = celeriac_epoll_control(epoll, EPOLL_CTL_DEL, descriptor, 0, tag)
    }

    func flushAtEndOfTurn(_ stream: ByteStream) {
        unflushed.append(stream)
    }

    // MARK: The turn

    private func run() -> Never {
        let capacity = 128
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: capacity)
        let executor = asUnownedSerialExecutor()
        while true {
            runSubmitted(on: executor)
            fireTimers()
            flushStreams()
            let timeout = prepareToWait()
            let count = celeriac_epoll_wait(epoll, events, Int32(capacity), timeout)
            if timeout != 0 { incoming.withLock { $0.isAsleep = false } }
            for index in 0..<max(0, Int(count)) { dispatch(events[index]) }
        }
    }

    private func runSubmitted(on executor: UnownedSerialExecutor) {
        incoming.withLock { swap(&$0.work, &batch) }
        for work in batch {
            switch work {
            case .job(let job): job.runSynchronously(on: executor)
            case .closure(let body): body()
            }
        }
        batch.removeAll(keepingCapacity: batch.capacity <= 4096)
    }

    private func fireTimers() {
        guard timers.count > 0 else { return }
        timers.collectDue(now: .now, into: &due)
        for timer in due { timers.take(timer)?() }
        due.removeAll(keepingCapacity: true)
    }

    private func flushStreams() {
        guard !unflushed.isEmpty else { return }
        let streams = unflushed
        unflushed.removeAll(keepingCapacity: true)
        for stream in streams { stream.flush() }
    }

    /// Nanoseconds to wait for sockets: none while work is queued, for ever (-1) without timers.
    private func prepareToWait() -> Int64 {
        guard unflushed.isEmpty else { return 0 }
        let timeout: Int64 =
            if let deadline = timers.nextDeadline() {
                Int64(
                    min(86_400e9, max(0, (ContinuousClock.now.duration(to: deadline) / .nanoseconds(1)).rounded(.up)))
                )
            } else {
                -1
            }
        guard timeout != 0 else { return 0 }
        return incoming.withLock { incoming in
            guard incoming.work.isEmpty else { return 0 }
            incoming.isAsleep = true
            return timeout
        }
    }

    private func dispatch(_ event: epoll_event) {
        let (tag, flags) = withUnsafePointer(to: event) { (celeriac_epoll_tag($0), celeriac_epoll_events($0)) }
        guard tag != 0 else {
            var counter: UInt64 = 0
            _ = read(wake, &counter, MemoryLayout<UInt64>.size)
            return
        }
        sources[tag]?.ready(
            readable: flags & (celeriac_epoll_in | celeriac_epoll_read_hangup) != 0,
            writable: flags & celeriac_epoll_out != 0,
            failed: flags & (celeriac_epoll_error | celeriac_epoll_hangup) != 0
        )
    }
}

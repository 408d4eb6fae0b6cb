internal import CShims
internal import Glibc
internal import ProcessSupport
internal import Synchronization

/// A TCP relay on the loopback interface that goes wrong when and how a test wants it to.
///
/// ```swift
/// let proxy = try FaultProxy(upstream: 5672, seed: 7)
/// defer { proxy.stop() }
/// // The connection dies between the broker's confirmation and the client.
/// proxy.arm(.cut(.reset), at: .method(.basicAck, .fromServer, .before))
/// // The client hears nothing more, although the server hears it.
/// proxy.apply(.blackhole, to: [.fromServer])
/// ```
///
/// It works on a thread of its own, so that it goes on when tests block every thread of Swift's pool, keeps at most
/// 256 KiB in each direction of each link, and draws from a seeded generator only. Commands return when they are in
/// effect; all of it may be called from any thread. Several proxies may lead to one server.
public final class FaultProxy: Sendable {
    /// What becomes of clients that come.
    public enum Arrivals: Hashable, Sendable {
        /// They are connected to the server.
        case accept
        /// They are connected, and reset at once.
        case reset
        /// Their connection is refused, as by a host on which nobody listens.
        case refuse
        /// Their connection comes about, and nobody ever answers.
        case ignore
    }

    /// Where clients find the proxy, on 127.0.0.1; it stays the same when clients are refused.
    public let port: UInt16

    private let state: Mutex<ProxyState>
    private let listener: Int32
    private let wake: Int32
    private let thread = Mutex<BlockingThread?>(nil)

    /// Starts a proxy.
    ///
    /// - Parameters:
    ///   - upstream: The server's port on 127.0.0.1.
    ///   - seed: Decides where octets are corrupted.
    ///   - recordingLimit: How many octets of conversations are recorded at most, all links together; zero for none.
    public init(upstream: UInt16, seed: UInt64 = 1, recordingLimit: Int = 0) throws {
        let (listener, port) = try Socket.bound()
        guard listen(listener, 128) == 0 else { throw Socket.Failure("listen") }
        let wake = eventfd(0, Int32(celeriac_eventfd_flags))
        guard wake >= 0 else { throw Socket.Failure("eventfd") }
        self.port = port
        self.listener = listener
        self.wake = wake
        state = Mutex(
            ProxyState(listener: listener, upstream: upstream, seed: seed, recordingLimit: recordingLimit)
        )
        let thread = BlockingThread { [self] in run() }
        self.thread.withLock { $0 = thread }
    }

    /// Resets every link and ends the thread; a proxy that is not stopped lives as long as the process.
    public func stop() {
        command { $0.isStopping = true }
        guard let thread = thread.withLock({ $0.take() }) else { return }
        thread.join()
        close(listener)
        close(wake)
    }

    // MARK: Faults

    /// Does something to every link there is, now.
    public func apply(_ fault: Fault, to directions: [Direction] = Direction.allCases) {
        command { state in
            if fault == .pass { return state.heal() }
            for number in state.links.keys.sorted() { state.apply(fault, to: directions, of: number, at: nil) }
        }
    }

    /// Does something, once, to the link that reaches a point of the conversation first.
    ///
    /// - Parameter directions: What is hit, which need not be where the point is; a cut ends both.
    /// - Returns: The number of the arming, for ``isArmed(_:)``.
    @discardableResult
    public func arm(_ fault: Fault, to directions: [Direction] = Direction.allCases, at point: FaultPoint) -> Int {
        command { state in
            state.lastArmed += 1
            state.armed.append(
                .init(id: state.lastArmed, fault: fault, directions: directions, point: point, remaining: point.count)
            )
            return state.lastArmed
        }
    }

    /// Whether an armed fault has yet to happen.
    public func isArmed(_ arming: Int) -> Bool {
        state.withLock { $0.armed.contains { $0.id == arming } }
    }

    /// Does something to every link that comes about from now on, from its first octet; replaces what was said before.
    public func greetNewLinks(with fault: Fault?, to directions: [Direction] = Direction.allCases) {
        command { state in
            state.ofNewLinks = fault.map { [($0, directions)] } ?? []
        }
    }

    /// Sets what becomes of clients that come.
    public func setArrivals(_ arrivals: Arrivals) {
        command { state in
            if arrivals == .refuse, state.arrivals != .refuse {
                // Ends the listening; the port stays bound, so nobody else can take it.
                shutdown(state.listener, Int32(SHUT_RDWR))
            } else if arrivals != .refuse, state.arrivals == .refuse {
                precondition(listen(state.listener, 128) == 0, "cannot listen again: errno \(errno)")
            }
            state.arrivals = arrivals
        }
    }

    /// Resets links over which nothing has come for so long, as load balancers do; never if `nil`.
    public func setIdleLimit(_ limit: Duration?) {
        command { $0.idleLimit = limit }
    }

    /// Undoes everything: disarms, lets every link and every client pass.
    public func heal() {
        setArrivals(.accept)
        command { state in
            state.armed = []
            state.ofNewLinks = []
            state.idleLimit = nil
            state.heal()
        }
    }

    /// Leads clients that come from now on to another port.
    public func setUpstream(_ port: UInt16) {
        command { $0.upstream = port }
    }

    // MARK: What has happened

    /// Faults that have happened, in order.
    public var occurrences: [FaultOccurrence] { state.withLock { $0.occurrences } }
    /// Links that are open at the moment, by their numbers.
    public var openLinks: [Int] { state.withLock { $0.links.keys.sorted() } }
    /// Octets that the links open at the moment have let through.
    public func octets(_ direction: Direction) -> Int {
        state.withLock { $0.links.values.reduce(0) { $0 + $1[direction].passed } }
    }
    /// How many links there have been.
    public var linkCount: Int { state.withLock { $0.lastLink } }
    /// How many clients were reset at once, because they were to be or because there was no server.
    public var rejectedCount: Int { state.withLock { $0.rejected } }
    /// The conversations that were recorded.
    public var recordings: [Recording] { state.withLock { $0.recordings } }

    // MARK: The thread

    private func command<Value: Sendable>(_ body: (inout ProxyState) -> Value) -> Value {
        let value = state.withLock { body(&$0) }
        var one: UInt64 = 1
        _ = write(wake, &one, MemoryLayout<UInt64>.size)
        return value
    }

    private func run() {
        while true {
            var (descriptors, owners, timeout) = state.withLock { $0.interests(wake: wake) }
            let count = poll(&descriptors, nfds_t(descriptors.count), timeout)
            if count < 0, errno != EINTR { break }
            var counter: UInt64 = 0
            if descriptors[0].revents != 0 { _ = read(wake, &counter, MemoryLayout<UInt64>.size) }
            let isStopping = state.withLock { state in
                if state.isStopping {
                    for number in state.links.keys { state.end(number, .reset) }
                    return true
                }
                defer { state.endIdle() }
                guard count > 0 else { return false }
                for (descriptor, owner) in zip(descriptors, owners) where descriptor.revents != 0 {
                    state.handle(owner, Int32(descriptor.revents))
                }
                return false
            }
            if isStopping { return }
        }
    }
}

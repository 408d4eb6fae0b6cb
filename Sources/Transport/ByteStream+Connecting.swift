internal import CShims
internal import Glibc
internal import Synchronization

extension ByteStream {
    /// Opens a stream, trying each address of the endpoint in turn.
    ///
    /// - Parameter timeout: For the whole attempt, name service included.
    /// - Throws: ``TransportError``; of several failed addresses, the last one's. Cancelling ends the wait with
    ///   `.cancelled` and closes a half-open socket.
    package static func connect(
        to endpoint: Endpoint,
        on loop: EventLoop = .shared,
        timeout: Duration,
        limits: Limits = Limits()
    ) async throws(TransportError) -> ByteStream {
        let attempt = ConnectAttempt(endpoint: endpoint, loop: loop, limits: limits)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.execute { attempt.start(timeout: timeout) { continuation.resume(returning: $0) } }
            }
        } onCancel: {
            loop.execute { attempt.fail(TransportError(.cancelled, "connect to \(endpoint) was cancelled")) }
        }
        return try result.get()
    }
}

/// One attempt to open a stream, over all addresses of an endpoint.
///
// Soundness of @unchecked Sendable: all members are used on the loop's thread only.
private final class ConnectAttempt: EventLoop.Source, @unchecked Sendable {
    private let endpoint: Endpoint
    private let loop: EventLoop
    private let limits: ByteStream.Limits
    private var untried: ArraySlice<SocketAddress> = []
    private var lastError: TransportError?
    private var descriptor: Int32 = -1
    private var tag: UInt64 = 0
    private var timer: TimerID?
    private var completion: (@Sendable (Result<ByteStream, TransportError>) -> Void)?
    private var earlyFailure: TransportError?

    init(endpoint: Endpoint, loop: EventLoop, limits: ByteStream.Limits) {
        self.endpoint = endpoint
        self.loop = loop
        self.limits = limits
    }

    func start(timeout: Duration, completion: @escaping @Sendable (Result<ByteStream, TransportError>) -> Void) {
        self.completion = completion
        if let earlyFailure { return finish(.failure(earlyFailure)) }
        timer = loop.schedule(after: timeout) { [self] in
            fail(TransportError(.timedOut, "connect to \(endpoint) took longer than \(timeout)"))
        }
        Resolver.lookUp(endpoint) { [self] addresses in
            loop.execute { self.resolved(addresses) }
        }
    }

    private func resolved(_ result: Result<[SocketAddress], TransportError>) {
        guard completion != nil else { return }
        switch result {
        case .success(let addresses):
            untried = addresses[...]
            tryNext()
        case .failure(let error): fail(error)
        }
    }

    private func tryNext() {
        guard let address = untried.popFirst() else {
            return fail(lastError ?? TransportError(.unresolvable, "\(endpoint) has no address"))
        }
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        descriptor = socket(address.family, type, 0)
        guard descriptor >= 0 else { return giveUpAddress(errno) }
        if address.family != AF_UNIX { _ = celeriac_set_no_delay(descriptor) }
        let status = address.withSockaddr { Glibc.connect(descriptor, $0, $1) }
        if status == 0 { return connected() }
        // A Unix socket whose backlog is full answers EAGAIN at once and is never signalled.
        guard errno == EINPROGRESS else { return giveUpAddress(errno) }
        do {
            tag = try loop.add(self, descriptor: descriptor, interest: .write)
        } catch {
            fail(error)
        }
    }

    func ready(readable: Bool, writable: Bool, failed: Bool) {
        loop.remove(tag, descriptor: descriptor)
        let error = celeriac_socket_error(descriptor)
        error == 0 ? connected() : giveUpAddress(error > 0 ? error : errno)
    }

    private func giveUpAddress(_ error: Int32) {
        lastError = TransportError(system: error, "connect to \(endpoint)")
        closeDescriptor()
        tryNext()
    }

    private func connected() {
        let stream = ByteStream(descriptor: descriptor, peer: endpoint.description, on: loop, limits: limits)
        descriptor = -1
        finish(.success(stream))
    }

    func fail(_ error: TransportError) {
        guard completion != nil else {
            earlyFailure = error
            return
        }
        closeDescriptor()
        finish(.failure(error))
    }

    private func closeDescriptor() {
        guard descriptor >= 0 else { return }
        loop.remove(tag, descriptor: descriptor)
        Glibc.close(descriptor)
        descriptor = -1
    }

    private func finish(_ result: Result<ByteStream, TransportError>) {
        if let timer { loop.cancel(timer) }
        let completion = self.completion
        self.completion = nil
        completion?(result)
    }
}

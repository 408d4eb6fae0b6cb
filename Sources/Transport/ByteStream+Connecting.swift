internal import CShims
internal import Glibc
internal import Synchronization

extension ByteStream {
    /// Opens a stream: looks the endpoint up, races its addresses and, if asked to, shakes hands for TLS.
    ///
    /// - Parameters:
    ///   - tls: Encrypts the stream; its files are read first.
    ///   - timeout: For the whole attempt, name service and handshake included.
    /// - Throws: ``TransportError``; of several failed addresses, the last one's. Cancelling ends the wait with
    ///   `.cancelled` and closes half-open sockets.
    package static func connect(
        to endpoint: Endpoint,
        on loop: EventLoop = .shared,
        timeout: Duration,
        tls: TLSConfiguration? = nil,
        options: SocketOptions = SocketOptions(),
        limits: Limits = Limits()
    ) async throws(TransportError) -> ByteStream {
        let attempt = ConnectAttempt(endpoint: endpoint, tls: tls, options: options, loop: loop, limits: limits)
        return try await connect(attempt, to: endpoint, on: loop, timeout: timeout)
    }

    /// The same with another name service.
    static func connect(
        to endpoint: Endpoint,
        on loop: EventLoop = .shared,
        timeout: Duration,
        options: SocketOptions,
        lookUp: @escaping Resolver.LookUp
    ) async throws(TransportError) -> ByteStream {
        let attempt = ConnectAttempt(
            endpoint: endpoint,
            tls: nil,
            options: options,
            loop: loop,
            limits: Limits(),
            lookUp: lookUp
        )
        return try await connect(attempt, to: endpoint, on: loop, timeout: timeout)
    }

    private static func connect(
        _ attempt: ConnectAttempt,
        to endpoint: Endpoint,
        on loop: EventLoop,
        timeout: Duration
    ) async throws(TransportError) -> ByteStream {
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
private final class ConnectAttempt: @unchecked Sendable {
    private let endpoint: Endpoint
    private let tls: TLSConfiguration?
    private let options: SocketOptions
    private let loop: EventLoop
    private let limits: ByteStream.Limits
    private let nameService: Resolver.LookUp
    private var context: TLSContext?
    private var addresses: [SocketAddress] = []
    private var race: ConnectRace<ContinuousClock.Instant>
    private var sockets: [Int: ConnectingSocket] = [:]
    private var lastError: TransportError?
    /// Connected, with the handshake under way.
    private var stream: ByteStream?
    private var timer: TimerID?
    private var raceTimer: TimerID?
    private var completion: (@Sendable (Result<ByteStream, TransportError>) -> Void)?
    private var earlyFailure: TransportError?

    init(
        endpoint: Endpoint,
        tls: TLSConfiguration?,
        options: SocketOptions,
        loop: EventLoop,
        limits: ByteStream.Limits,
        lookUp: @escaping Resolver.LookUp = { Resolver.lookUp($0, completion: $1) }
    ) {
        nameService = lookUp
        self.endpoint = endpoint
        self.tls = tls
        self.options = options
        self.loop = loop
        self.limits = limits
        race = ConnectRace(families: [], delay: options.attemptDelay, addressTimeout: options.addressTimeout)
    }

    func start(timeout: Duration, completion: @escaping @Sendable (Result<ByteStream, TransportError>) -> Void) {
        self.completion = completion
        if let earlyFailure { return finish(.failure(earlyFailure)) }
        timer = loop.schedule(after: timeout) { [self] in
            let text =
                stream == nil
                ? "connect to \(endpoint) took longer than \(timeout)"
                : "the TLS handshake with \(endpoint) was not over after \(timeout); does it speak TLS at all?"
            fail(TransportError(.timedOut, text))
        }
        guard let tls else { return lookUp() }
        TLSContextCache.shared.load(tls) { [self] result in
            loop.execute { self.loaded(result) }
        }
    }

    private func loaded(_ result: Result<TLSContext, TransportError>) {
        guard completion != nil else { return }
        switch result {
        case .success(let context):
            self.context = context
            lookUp()
        case .failure(let error): fail(error)
        }
    }

    private func lookUp() {
        nameService(endpoint) { [self] addresses in
            loop.execute { self.resolved(addresses) }
        }
    }

    private func resolved(_ result: Result<[SocketAddress], TransportError>) {
        guard completion != nil else { return }
        switch result {
        case .success(let addresses):
            self.addresses = addresses
            race = ConnectRace(
                families: addresses.map(\.family),
                delay: options.attemptDelay,
                addressTimeout: options.addressTimeout
            )
            perform(race.start(now: .now))
        case .failure(let error): fail(error)
        }
    }

    // MARK: The race

    private func perform(_ actions: [ConnectRace<ContinuousClock.Instant>.Action]) {
        for action in actions {
            guard completion != nil, stream == nil else { return }
            switch action {
            case .connect(let index): connect(index)
            case .abandon(let index):
                sockets.removeValue(forKey: index)?.close()
                lastError = TransportError(.timedOut, "an address of \(endpoint) did not answer")
            case .lost: return fail(lastError ?? TransportError(.unresolvable, "\(endpoint) has no address"))
            }
        }
        if let raceTimer { loop.cancel(raceTimer) }
        raceTimer = nil
        guard completion != nil, stream == nil, let deadline = race.deadline else { return }
        raceTimer = loop.schedule(at: deadline) { [self] in
            guard completion != nil, stream == nil else { return }
            perform(race.tick(now: .now))
        }
    }

    private func connect(_ index: Int) {
        let socket = ConnectingSocket(loop) { [self] outcome in
            guard completion != nil else { return }
            switch outcome {
            case .success(let descriptor): connected(index, descriptor)
            case .failure(let error): failed(index, error)
            }
        }
        sockets[index] = socket
        socket.connect(to: addresses[index], keepAlive: options.keepAlive, for: endpoint)
    }

    private func failed(_ index: Int, _ error: TransportError) {
        sockets[index] = nil
        lastError = error
        perform(race.failed(index, now: .now))
    }

    private func connected(_ index: Int, _ descriptor: Int32) {
        sockets[index] = nil
        for action in race.connected(index) {
            if case .abandon(let loser) = action { sockets.removeValue(forKey: loser)?.close() }
        }
        let stream = ByteStream(descriptor: descriptor, peer: endpoint.description, on: loop, limits: limits)
        if let timeout = options.userTimeout { stream.setUserTimeout(timeout) }
        guard let context else { return finish(.success(stream)) }
        do throws(TransportError) {
            let engine = try TLSEngine(context, host: endpoint.host, peer: endpoint.description)
            self.stream = stream
            stream.secure(with: engine) { [self] result in
                guard completion != nil else { return }
                switch result {
                case .success: finish(.success(stream))
                case .failure(let error): finish(.failure(error))
                }
            }
        } catch {
            fail(error)
        }
    }

    // MARK: The end

    func fail(_ error: TransportError) {
        guard completion != nil else {
            earlyFailure = error
            return
        }
        finish(.failure(error))
    }

    private func finish(_ result: Result<ByteStream, TransportError>) {
        for timer in [timer, raceTimer].compactMap({ $0 }) { loop.cancel(timer) }
        let (completion, stream) = (self.completion, self.stream)
        self.completion = nil
        self.stream = nil
        for socket in sockets.values { socket.close() }
        sockets = [:]
        if case .failure(let error) = result { stream?.abort(error) }
        completion?(result)
    }
}

/// One socket that is being connected.
private final class ConnectingSocket: EventLoop.Source {
    private let loop: EventLoop
    private var descriptor: Int32 = -1
    private var tag: UInt64 = 0
    private var attempt = ""
    private var completion: ((Result<Int32, TransportError>) -> Void)?

    init(_ loop: EventLoop, completion: @escaping (Result<Int32, TransportError>) -> Void) {
        self.loop = loop
        self.completion = completion
    }

    func connect(to address: SocketAddress, keepAlive: SocketOptions.KeepAlive?, for endpoint: Endpoint) {
        attempt = "connect to \(endpoint)"
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        descriptor = socket(address.family, type, 0)
        guard descriptor >= 0 else { return fail(errno) }
        if address.family != AF_UNIX {
            _ = celeriac_set_no_delay(descriptor)
            if let keepAlive { set(keepAlive) }
        }
        if address.withSockaddr({ Glibc.connect(descriptor, $0, $1) }) == 0 { return succeed() }
        // A Unix socket whose backlog is full answers EAGAIN at once and is never signalled.
        guard errno == EINPROGRESS else { return fail(errno) }
        do throws(TransportError) {
            tag = try loop.add(self, descriptor: descriptor, interest: .write)
        } catch {
            finish(.failure(error))
        }
    }

    private func set(_ keepAlive: SocketOptions.KeepAlive) {
        func seconds(_ duration: Duration) -> Int32 { Int32(clamping: max(1, duration.components.seconds)) }
        let probes = Int32(clamping: max(1, keepAlive.probes))
        _ = celeriac_set_keep_alive(descriptor, seconds(keepAlive.idle), seconds(keepAlive.interval), probes)
    }

    func ready(readable: Bool, writable: Bool, failed: Bool) {
        let error = celeriac_socket_error(descriptor)
        error == 0 ? succeed() : fail(error > 0 ? error : errno)
    }

    /// Gives up without telling anybody.
    func close() {
        completion = nil
        release()
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    private func release() {
        if tag != 0 { loop.remove(tag, descriptor: descriptor) }
        tag = 0
    }

    private func succeed() {
        release()
        let connected = descriptor
        descriptor = -1
        finish(.success(connected))
    }

    private func fail(_ error: Int32) { finish(.failure(TransportError(system: error, attempt))) }

    private func finish(_ result: Result<Int32, TransportError>) {
        let completion = self.completion
        close()
        completion?(result)
    }
}

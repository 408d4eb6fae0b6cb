internal import CShims
internal import Glibc

/// What a stream tells its owner, always on the stream's event loop.
package protocol ByteStreamHandler: AnyObject, Sendable {
    /// Takes octets from the front of what has arrived and not yet been taken.
    ///
    /// What is left comes again, at the front, when more has arrived. The pointer is valid during the call only.
    ///
    /// - Returns: How many octets were taken, 0 through `bytes.count`.
    func received(_ bytes: UnsafeRawBufferPointer) -> Int

    /// The output has passed its high watermark (false), or has drained below the low one (true).
    func writabilityChanged(_ isWritable: Bool)

    /// The stream has ended; nothing follows. Comes exactly once, also after `close` and `abort`.
    func closed(_ reason: TransportError)
}

/// A connected TCP or Unix-socket stream, confined to its event loop.
///
/// What is written during one turn of the loop leaves together in one `writev` at its end, but for small writes that fill
/// a chunk, which leaves at once. Input is handed over in place, from the receive buffer. Both directions are bounded:
/// input grows to `Limits.input` while the owner takes nothing; output is reported unwritable past
/// `Limits.highWatermark`, and the owner makes its callers wait.
///
// Soundness of @unchecked Sendable: every member is used on the loop's thread only; the entry points check it.
package final class ByteStream: EventLoop.Source, @unchecked Sendable {
    package struct Limits: Sendable {
        /// The most octets kept for an owner that does not take them; past it the stream fails with `.overflow`.
        package var input = 16 << 20
        /// Pending output above which ``ByteStream/isWritable`` turns false.
        package var highWatermark = 1 << 20
        /// Pending output at which it turns true again.
        package var lowWatermark = 256 << 10

        package init() {}
    }

    package let loop: EventLoop
    /// Where the stream leads, for messages: `127.0.0.1:5672`, `/run/redis.sock`.
    package let peer: String
    package private(set) var isWritable = true
    /// Octets written and not yet accepted by the kernel.
    package private(set) var pendingOutput = 0

    enum State { case open, closing, closed }

    // What is not private serves ByteStream+TLS and ByteStream+Pacing.
    private(set) var state = State.open
    private(set) var descriptor: Int32
    var tag: UInt64 = 0
    var interest: EventLoop.Interest = .read
    var tls: TLSLayer?
    /// Present once ``gatherInput()`` was called.
    var pacing: Pacing?
    private var handler: (any ByteStreamHandler)?
    let limits: Limits

    private(set) var input: UnsafeMutableRawBufferPointer
    /// Octets taken from the kernel so far.
    var readOctets = 0
    private var inputStart = 0
    var inputEnd = 0

    private(set) var chunks: [[UInt8]] = []
    private(set) var firstChunkOffset = 0
    private var isFlushScheduled = false
    private var closeTimer: TimerID?

    private static let chunkSize = 64 << 10
    /// What the input buffer grows to on a busy stream, whose owner takes all of it.
    private static let busyInput = 512 << 10
    /// A kernel tells its peer of new room only when it is a good part of all; this is enough for its largest buffers.
    private static let aheadAtOnce = 512 << 10
    /// Freed memory that stays with a process that has a busy stream: large messages come and go, and the kernel would
    /// clear each page before it lends it again, which costs half as much as receiving them.
    private static let keptMemory = 16 << 20

    /// Takes over a connected, non-blocking descriptor.
    package init(descriptor: Int32, peer: String, on loop: EventLoop, limits: Limits = Limits()) {
        self.descriptor = descriptor
        self.peer = peer
        self.loop = loop
        self.limits = limits
        input = .allocate(byteCount: 64 << 10, alignment: 16)
    }

    deinit {
        if descriptor >= 0 { Glibc.close(descriptor) }
        input.deallocate()
    }

    /// Begins to deliver events.
    ///
    /// The handler is kept until it has been told of the end.
    package func start(_ handler: any ByteStreamHandler) {
        loop.preconditionOnLoop()
        guard state == .open, self.handler == nil else { return }
        self.handler = handler
        do {
            tag = try loop.add(self, descriptor: descriptor, interest: interest)
        } catch {
            return abort(error)
        }
        if let tls { resume(tls) }
    }

    // MARK: Output

    /// Queues octets by encoding them straight into the output buffer; they leave at the end of this turn, or when they
    /// are many.
    package func write(_ encode: (inout [UInt8]) -> Void) {
        loop.preconditionOnLoop()
        guard state == .open else { return }
        if chunks.last.map({ $0.count >= Self.chunkSize }) ?? true { chunks.append([]) }
        let last = chunks.count - 1
        let before = chunks[last].count
        encode(&chunks[last])
        let isFull = chunks[last].count >= Self.chunkSize
        didQueue(chunks[last].count - before)
        if isFull { sendEarly() }
    }

    /// Queues octets without copying them when they are many.
    package func write(_ bytes: [UInt8]) {
        guard bytes.count > 4096 else { return write { $0.append(contentsOf: bytes) } }
        loop.preconditionOnLoop()
        guard state == .open else { return }
        chunks.append(bytes)
        chunks.append([])
        didQueue(bytes.count)
    }

    private func didQueue(_ count: Int) {
        pendingOutput += count
        scheduleFlush()
        if isWritable, pendingOutput > limits.highWatermark {
            isWritable = false
            handler?.writabilityChanged(false)
        }
    }

    func scheduleFlush() {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        loop.flushAtEndOfTurn(self)
    }

    /// Sends what was queued, as far as the kernel takes it; called by the loop at the end of a turn.
    func flush() {
        isFlushScheduled = false
        guard state != .closed else { return }
        if let tls { return flush(through: tls) }
        while pendingOutput > 0 {
            let written = gatherAndWrite()
            if written < 0 {
                if errno == EINTR { continue }
                guard errno == EAGAIN else { return writeFailed(errno) }
                wait(for: [.read, .write])
                return
            }
            dropWritten(written)
        }
        wait(for: .read)
        if state == .closing { shutdown(descriptor, Int32(SHUT_WR)) }
    }

    /// Ends the stream, after handing over what the peer said before it stopped listening: mostly the reason.
    func writeFailed(_ error: Int32) {
        let failure = TransportError(system: error, "write to \(peer)")
        while state == .open, !isPaused, readAvailable() {}
        abort(failure)
    }

    /// Sends what is queued before the end of the turn: the peer can begin with it, and its storage serves for the next.
    ///
    /// Nobody is told anything, as the owner is in the middle of writing: a failure shows at the end of the turn as well.
    private func sendEarly() {
        guard tls == nil, isWritable, !interest.contains(.write) else { return }
        let written = gatherAndWrite()
        if written > 0 {
            dropWritten(written)
        } else if errno == EAGAIN {
            wait(for: [.read, .write])
        }
    }

    private func gatherAndWrite() -> Int {
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: 32) { vectors in
            var count = 0
            var skipped = firstChunkOffset
            for chunk in chunks where count < vectors.count {
                chunk.withUnsafeBytes { bytes in
                    guard let base = bytes.baseAddress, bytes.count > skipped else { return }
                    // The array is kept alive and unchanged by `chunks` until writev returns: nothing else runs on
                    // this thread meanwhile, and its storage does not move while it is not mutated.
                    vectors[count] = iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: base + skipped),
                        iov_len: bytes.count - skipped
                    )
                    count += 1
                }
                skipped = 0
            }
            return writev(descriptor, vectors.baseAddress, Int32(count))
        }
    }

    /// Forgets octets that the kernel, or TLS, has taken.
    func dropWritten(_ count: Int) {
        pendingOutput -= count
        if pendingOutput == 0 {
            // One chunk of ordinary size stays, so that the next turn allocates nothing.
            if chunks.count == 1, chunks[0].capacity <= 4 * Self.chunkSize {
                chunks[0].removeAll(keepingCapacity: true)
            } else {
                chunks.removeAll(keepingCapacity: true)
            }
            firstChunkOffset = 0
        } else {
            var remaining = count + firstChunkOffset
            var finished = 0
            while finished < chunks.count, chunks[finished].count <= remaining {
                remaining -= chunks[finished].count
                finished += 1
            }
            chunks.removeFirst(finished)
            firstChunkOffset = remaining
        }
        if !isWritable, pendingOutput <= limits.lowWatermark, state == .open {
            isWritable = true
            handler?.writabilityChanged(true)
        }
    }

    // MARK: Input

    /// Stops reading, so that the peer feels the back-pressure, or goes on.
    package func setReading(_ isReading: Bool) {
        loop.preconditionOnLoop()
        guard state == .open else { return }
        isPaused = !isReading
        wait(for: interest.contains(.write) ? [.read, .write] : .read)
        if isReading { offerInput() }
    }

    private(set) var isPaused = false

    /// Octets that have come from the peer so far, those included that the kernel keeps.
    package var arrivedOctets: Int {
        loop.preconditionOnLoop()
        return readOctets + (state == .open ? Int(celeriac_unread_octets(descriptor)) : 0)
    }

    /// Takes octets from the kernel though reading is paused, so that it has room for what the peer may have to say.
    ///
    /// They are handed over when reading goes on.
    ///
    /// - Returns: False if half of `Limits.input` is kept already, and nothing was taken.
    package func readAhead() -> Bool {
        loop.preconditionOnLoop()
        guard state == .open, isPaused else { return true }
        let kept = inputEnd - inputStart
        guard kept + Self.aheadAtOnce <= limits.input / 2 else { return false }
        while state == .open, inputEnd - inputStart < kept + Self.aheadAtOnce, readOnce() {}
        return true
    }

    func wait(for wanted: EventLoop.Interest) {
        let effective = isPaused ? wanted.subtracting(.read) : wanted
        guard effective != interest else { return }
        interest = effective
        loop.change(tag, descriptor: descriptor, interest: effective)
    }

    func ready(readable: Bool, writable: Bool, failed: Bool) {
        if readable || failed { _ = readAvailable() }
        if writable, state != .closed { flush() }
    }

    /// Reads once; false when there is nothing more for now, or for ever.
    func readAvailable() -> Bool {
        guard state != .closed else { return false }
        guard !isPaused else {
            // Only an error or hang-up can be reported while reading is paused.
            let error = celeriac_socket_error(descriptor)
            abort(error > 0 ? TransportError(system: error, "read from \(peer)") : peerClosed)
            return false
        }
        return readOnce()
    }

    /// Reads, wanted or not; false when there is nothing more for now, or for ever.
    private func readOnce() -> Bool {
        if let tls { return read(through: tls) }
        guard makeRoom() else {
            abort(overflow)
            return false
        }
        let count = Glibc.read(descriptor, input.baseAddress.map { $0 + inputEnd }, input.count - inputEnd)
        guard count > 0 else {
            if count == 0 {
                abort(peerClosed)
            } else if errno != EAGAIN && errno != EINTR {
                abort(TransportError(system: errno, "read from \(peer)"))
            }
            return false
        }
        inputEnd += count
        didRead(count)
        let isFull = inputEnd == input.count
        offerInput()
        // The peer sends faster than such reads take it: larger ones have fewer wakes, and move less of large frames.
        if isFull, state == .open, input.count < Self.busyInput { growInput() }
        return true
    }

    var overflow: TransportError {
        TransportError(.overflow, "more than \(limits.input) octets from \(peer) were not taken")
    }

    var peerClosed: TransportError {
        state == .closing
            ? TransportError(.closed, "closed the stream to \(peer)")
            : TransportError(.closedByPeer, "\(peer) closed the stream")
    }

    func offerInput() {
        guard inputEnd > inputStart, state == .open, let handler else {
            if state == .closing { inputStart = inputEnd }
            return
        }
        guard !isPaused else { return }
        let taken = handler.received(UnsafeRawBufferPointer(rebasing: input[inputStart..<inputEnd]))
        precondition(taken >= 0 && taken <= inputEnd - inputStart, "a stream's handler took more than it was given")
        inputStart += taken
        if inputStart == inputEnd {
            inputStart = 0
            inputEnd = 0
        }
    }

    /// Ensures free space at the end of the input buffer, by moving what is left to its front or by growing.
    func makeRoom() -> Bool {
        guard inputEnd == input.count || input.count - inputEnd < 4096 else { return true }
        if inputStart > 0 {
            let live = UnsafeRawBufferPointer(rebasing: input[inputStart..<inputEnd])
            input.copyMemory(from: live)
            inputEnd -= inputStart
            inputStart = 0
            if inputEnd < input.count / 2 { return true }
        }
        guard input.count < limits.input else { return inputEnd < input.count }
        growInput()
        return true
    }

    private func growInput() {
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(2 * input.count, limits.input),
            alignment: 16
        )
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<inputEnd]))
        input.deallocate()
        input = larger
        if input.count == Self.busyInput { celeriac_keep_freed_memory(Self.keptMemory / 2) }
    }

    // MARK: End

    /// Sends what is queued, says goodbye and ends; at the latest after `grace`.
    package func close(grace: Duration) {
        loop.preconditionOnLoop()
        guard state == .open else { return }
        state = .closing
        closeTimer = loop.schedule(after: grace) { [weak self] in
            guard let self else { return }
            self.abort(TransportError(.closed, "closed the stream to \(self.peer)"))
        }
        flush()
    }

    /// Ends at once, dropping what is queued: the way to leave a peer that is believed dead.
    package func abort(_ reason: TransportError) {
        loop.preconditionOnLoop()
        guard state != .closed else { return }
        state = .closed
        if let closeTimer { loop.cancel(closeTimer) }
        if let timer = pacing?.timer { loop.cancel(timer) }
        loop.remove(tag, descriptor: descriptor)
        Glibc.close(descriptor)
        descriptor = -1
        chunks = []
        pendingOutput = 0
        tls?.finishHandshake(.failure(reason))
        let handler = self.handler
        self.handler = nil
        handler?.closed(reason)
    }

    /// Bounds how long sent data may wait for the peer's kernel before the stream fails; zero means the system's bound.
    ///
    /// Data waits that is not acknowledged, and also data for which a peer that answers has no room: its process may
    /// only be busy.
    package func setUserTimeout(_ timeout: Duration) {
        loop.preconditionOnLoop()
        guard state == .open else { return }
        let milliseconds = UInt32(clamping: Int64(timeout / .milliseconds(1)))
        _ = celeriac_set_user_timeout(descriptor, milliseconds)  // a Unix socket has none, and needs none
    }
}

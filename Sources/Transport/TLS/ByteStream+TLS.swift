internal import CShims
internal import Glibc

/// TLS of one stream: the conversation, and what the stream keeps for it.
final class TLSLayer {
    let engine: TLSEngine
    /// Cipher octets on their way from the socket to the engine.
    fileprivate let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    /// Small writes on their way into one record.
    fileprivate var record: [UInt8] = []
    fileprivate var hasSaidGoodbye = false
    fileprivate var handshakeEnded: ((Result<Void, TransportError>) -> Void)?

    init(_ engine: TLSEngine) { self.engine = engine }

    deinit { scratch.deallocate() }

    /// Tells of the handshake's end, once.
    func finishHandshake(_ result: Result<Void, TransportError>) {
        let ended = handshakeEnded
        handshakeEnded = nil
        ended?(result)
    }
}

/// TLS keeps the stream's contract: what is written in one turn is encrypted at its end, into shared records; what
/// arrives is decrypted straight into the input buffer; the same limits hold for the plain octets.
extension ByteStream {
    /// Shakes hands, before the stream is used for anything else.
    ///
    /// When it fails the stream has been closed.
    func secure(with engine: TLSEngine, ended: @escaping (Result<Void, TransportError>) -> Void) {
        loop.preconditionOnLoop()
        let tls = TLSLayer(engine)
        tls.handshakeEnded = ended
        self.tls = tls
        do throws(TransportError) {
            tag = try loop.add(self, descriptor: descriptor, interest: interest)
        } catch {
            return abort(error)
        }
        advanceHandshake(tls)
    }

    private func advanceHandshake(_ tls: TLSLayer) {
        do throws(TransportError) {
            let isComplete = try tls.engine.handshake()
            flush(through: tls)
            guard isComplete, state == .open else { return }
        } catch {
            return abort(error, afterLastWordsOf: tls)
        }
        // Nothing is read before there is somebody to take it; ``start(_:)`` goes on.
        loop.remove(tag, descriptor: descriptor)
        tag = 0
        interest = .read
        tls.finishHandshake(.success(()))
    }

    /// Goes on after the handshake, which may have left octets in either direction.
    func resume(_ tls: TLSLayer) {
        scheduleFlush()
        // Later, as any other input: the owner is still busy with starting the stream.
        loop.execute { [self] in
            if let tls = self.tls { _ = decrypt(tls) }
        }
    }

    // MARK: Input

    /// Reads once; false when there is nothing more for now, or for ever.
    func read(through tls: TLSLayer) -> Bool {
        let count = Glibc.read(descriptor, tls.scratch.baseAddress, tls.scratch.count)
        guard count > 0 else {
            let error = count == 0 ? 0 : errno
            guard error != EAGAIN && error != EINTR else { return false }
            // What came with the end of the handshake may still be waiting for its turn.
            if tls.handshakeEnded == nil, !decrypt(tls) { return false }
            if error == 0 { ended(tls) } else { abort(TransportError(system: error, "read from \(peer)")) }
            return false
        }
        didRead(count)
        tls.engine.feed(UnsafeRawBufferPointer(rebasing: tls.scratch[..<count]))
        guard tls.handshakeEnded == nil else {
            advanceHandshake(tls)
            return false
        }
        return decrypt(tls)
    }

    /// The peer has ended the TCP stream without saying so in TLS: what it meant to say is not known to be complete.
    private func ended(_ tls: TLSLayer) {
        guard state == .open else { return abort(peerClosed) }
        guard tls.handshakeEnded == nil else {
            return abort(TransportError(.interrupted, "\(peer) closed the stream during the TLS handshake"))
        }
        let text = "\(peer) closed the stream without TLS's goodbye; its last octets may be missing"
        abort(TransportError(.closedByPeer, text, tlsFailure: .truncated))
    }

    /// Decrypts all that was fed; false at the end of the stream.
    private func decrypt(_ tls: TLSLayer) -> Bool {
        guard state != .closed else { return false }
        var end: TransportError?
        decrypting: while true {
            if !makeRoom() {
                offerInput()
                guard state != .closed else { return false }
                guard makeRoom() else {
                    abort(overflow)
                    return false
                }
            }
            do throws(TransportError) {
                switch try tls.engine.decrypt(into: UnsafeMutableRawBufferPointer(rebasing: input[inputEnd...])) {
                case .octets(let count): inputEnd += count
                case .needsMore: break decrypting
                case .closed:
                    end = peerClosed
                    break decrypting
                }
            } catch {
                end = error
                break decrypting
            }
        }
        offerInput()
        guard state != .closed else { return false }
        if let end {
            tls.engine.shutdown()
            abort(end, afterLastWordsOf: tls)
            return false
        }
        if tls.engine.hasOutput { scheduleFlush() }  // the answer to the peer's change of keys
        return true
    }

    /// Ends at once, after offering the kernel what TLS still has to say: its goodbye, or an alert.
    private func abort(_ reason: TransportError, afterLastWordsOf tls: TLSLayer) {
        guard state != .closed else { return }
        if tls.engine.hasOutput {
            _ = tls.engine.send { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        }
        abort(reason)
    }

    // MARK: Output

    /// Encrypts and sends what was queued, as far as the kernel takes it, never encrypting far ahead of it.
    func flush(through tls: TLSLayer) {
        while true {
            if !tls.engine.hasOutput {
                if pendingOutput > 0 {
                    do throws(TransportError) {
                        try seal(tls)
                    } catch {
                        return abort(error)
                    }
                    // Room was made: the owner may have ended the stream when told.
                    guard state != .closed else { return }
                } else if state == .closing, !tls.hasSaidGoodbye {
                    tls.hasSaidGoodbye = true
                    tls.engine.shutdown()
                    continue
                } else {
                    break
                }
            }
            let written = tls.engine.send { octets in
                let count = Glibc.send(descriptor, octets.baseAddress, octets.count, Int32(MSG_NOSIGNAL))
                return count < 0 ? -Int(errno) : count
            }
            guard written < 0 else { continue }
            if written == -Int(EINTR) { continue }
            guard written == -Int(EAGAIN) else { return writeFailed(Int32(-written)) }
            return wait(for: [.read, .write])
        }
        wait(for: .read)
        if state == .closing { shutdown(descriptor, Int32(SHUT_WR)) }
    }

    /// Encrypts from the front of the queue: whole records straight from a large write, or one record that small
    /// writes share.
    private func seal(_ tls: TLSLayer) throws(TransportError) {
        let size = TLSEngine.recordSize
        var sealed = 0
        var failure: TransportError?
        var index = 0
        var offset = firstChunkOffset
        tls.record.removeAll(keepingCapacity: true)
        while index < chunks.count, tls.record.count < size {
            let rest = chunks[index].count - offset
            if tls.record.isEmpty, rest >= size {
                let count = min(rest, 4 * size) / size * size
                chunks[index].withUnsafeBytes { octets in
                    do throws(TransportError) {
                        try tls.engine.encrypt(UnsafeRawBufferPointer(rebasing: octets[offset..<offset + count]))
                    } catch {
                        failure = error
                    }
                }
                sealed = count
                break
            }
            let count = min(rest, size - tls.record.count)
            tls.record += chunks[index][offset..<offset + count]
            (index, offset) = (index + 1, 0)
        }
        if !tls.record.isEmpty {
            sealed = tls.record.count
            tls.record.withUnsafeBytes { octets in
                do throws(TransportError) { try tls.engine.encrypt(octets) } catch { failure = error }
            }
        }
        if let failure { throw failure }
        dropWritten(sealed)
    }
}

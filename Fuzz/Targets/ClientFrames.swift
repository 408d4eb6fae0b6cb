internal import AMQP

/// Checks what a client sends: whole frames within the limit, content in one piece, and nothing after a close but what
/// answers one.
struct ClientFrames {
    private enum Lane {
        case open
        /// A method with content was sent: its header, then so many octets follow.
        case awaitingHeader
        case awaitingBody(UInt64)
        /// `close` was sent: nothing may follow but `close-ok`, and `open` when the number is used again.
        case closing
        case closed
    }

    private var buffer: [UInt8] = []
    private(set) var hasGreeted = false
    private var limit = 131_072
    private var connection = Lane.open
    private var lanes: [UInt16: Lane] = [:]

    mutating func received(_ bytes: [UInt8]) throws(Finding) {
        buffer += bytes
        if !hasGreeted {
            guard buffer.count >= 8 else { return }
            try expect(buffer.starts(with: FrameEncoder.protocolHeader), "a client begins with its header")
            buffer.removeFirst(8)
            hasGreeted = true
        }
        var taken = 0
        while let (type, channel, payload) = try nextFrame(at: taken) {
            taken += payload.count + FrameDecoder.overhead
            try check(type, channel, payload)
        }
        buffer.removeFirst(taken)
    }

    private func nextFrame(at offset: Int) throws(Finding) -> (FrameType, UInt16, [UInt8])? {
        let result: Result<(FrameType, UInt16, [UInt8])?, FrameError> = buffer.withUnsafeBytes { bytes in
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            do throws(FrameError) {
                let frame = try FrameDecoder(maximumFrameSize: limit).next(in: rest)
                return .success(frame.map { ($0.type, $0.channel, Array($0.payload)) })
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let frame): return frame
        case .failure(let error): throw Finding("broken: a client's frames are well-formed: \(error)")
        }
    }

    private mutating func check(_ type: FrameType, _ channel: UInt16, _ payload: [UInt8]) throws(Finding) {
        if type == .heartbeat { return }
        let lane = channel == 0 ? connection : lanes[channel] ?? .closed
        switch type {
        case .method:
            let method: Method? = payload.withUnsafeBytes { try? Method(decoding: $0) }
            guard let method else { throw Finding("broken: a client's methods can be read") }
            if case .closing = connection { try expect(isCloseOk(method, channel), "\(method.name) follows a close") }
            if case .closed = connection { throw Finding("broken: \(method.name) follows connection.close-ok") }
            let next = try after(method, lane, channel)
            if channel == 0 { connection = next } else { lanes[channel] = next }
        case .header:
            guard case .awaitingHeader = lane else { throw Finding("broken: a header follows its method") }
            let header: ContentHeader? = payload.withUnsafeBytes { try? ContentHeader(decoding: $0) }
            guard let header else { throw Finding("broken: a client's headers can be read") }
            lanes[channel] = header.bodySize == 0 ? .open : .awaitingBody(header.bodySize)
        case .body:
            guard case .awaitingBody(let size) = lane else { throw Finding("broken: a body follows its header") }
            let count = UInt64(payload.count)
            try expect(count > 0 && count <= size, "a body is as long as announced")
            lanes[channel] = count == size ? .open : .awaitingBody(size - count)
        case .heartbeat: break
        }
    }

    private func isCloseOk(_ method: Method, _ channel: UInt16) -> Bool {
        channel == 0 && method == .connectionCloseOk
    }

    private mutating func after(_ method: Method, _ lane: Lane, _ channel: UInt16) throws(Finding) -> Lane {
        if case .connectionTuneOk(let tune) = method { limit = Int(tune.frameMax) }
        switch (lane, method) {
        case (.awaitingHeader, _), (.awaitingBody, _):
            throw Finding("broken: \(method.name) is sent in the middle of a message")
        case (.open, .connectionClose), (.open, .channelClose): return .closing
        case (_, .connectionCloseOk), (.open, .channelCloseOk): return .closed
        // Both sides closed at once; the server's answer to ours is still to come.
        case (.closing, .channelCloseOk): return .closing
        case (.closed, .channelOpen), (.closing, .channelOpen): return .open
        case (.closing, _): throw Finding("broken: \(method.name) follows the close of channel \(channel)")
        case (.closed, _): throw Finding("broken: \(method.name) on channel \(channel), which is closed")
        case (.open, .basicPublish): return .awaitingHeader
        case (.open, _): return .open
        }
    }
}

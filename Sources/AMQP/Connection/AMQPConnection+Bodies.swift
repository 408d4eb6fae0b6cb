internal import Transport

/// The rest of a message whose body takes several frames.
struct UnsentBody {
    let octets: [UInt8]
    var offset = 0
    /// Told once the last frame has been written; for publishes that wait for no more.
    let operation: PublishOperation?
}

/// Bodies of several frames leave a frame at a time, in turn with what other channels have to send: else a small
/// message would wait for all of a large one, and a heartbeat, too.
extension AMQPConnection {
    /// What a channel may send before it is another one's turn.
    private static let octetsPerTurn = 64 << 10

    func begin(_ body: UnsentBody, on core: ChannelCore) {
        core.unsent = body
        unsentBodies += 1
    }

    /// Sends the next frame of a channel's body.
    func sendBodyFrame(_ core: ChannelCore) {
        guard let body = core.unsent else { return }
        let end = min(body.octets.count, body.offset + decoder.maximumFrameSize - FrameDecoder.overhead)
        hasSent = true
        stream.write { FrameEncoder.body(body.octets[body.offset..<end], channel: core.number, into: &$0) }
        core.unsent?.offset = end
        guard end == body.octets.count else { return }
        endBody(core)
        body.operation?.finish(.success(()))
        guard !core.deferred.isEmpty else { return }
        stream.write(core.deferred)
        core.deferred = []
    }

    /// Sends what is left of a channel's body at once, because the channel is to be closed.
    func completeBody(_ core: ChannelCore) {
        while core.unsent != nil {
            guard !hasEnded, machine.isOpen else { return endBody(core) }
            sendBodyFrame(core)
        }
    }

    private func endBody(_ core: ChannelCore) {
        core.unsent = nil
        unsentBodies -= 1
    }

    /// Lets all channels publish what waits, in turns; whoever would be next when the stream is full begins next time.
    func pumpAll() {
        var turns = channels.values.filter { $0.unsent != nil || !$0.waiting.isEmpty }
        guard turns.count > 1 else {
            for core in turns { pump(core) }
            return
        }
        turns.sort { $0.number < $1.number }
        if let next = turns.firstIndex(where: { $0.number > lastTurn }) {
            turns = Array(turns[next...] + turns[..<next])
        }
        while stream.isWritable, !turns.isEmpty {
            var remaining: [ChannelCore] = []
            for core in turns where stream.isWritable {
                lastTurn = core.number
                let before = stream.pendingOutput
                var hasMore = true
                while hasMore, stream.pendingOutput - before < Self.octetsPerTurn { hasMore = pumpOne(core) }
                if hasMore { remaining.append(core) }
            }
            turns = remaining
        }
    }
}

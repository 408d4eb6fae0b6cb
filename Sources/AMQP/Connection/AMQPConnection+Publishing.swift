internal import Transport

extension AMQPConnection {
    /// Takes what callers have left for a channel: settlements first, so that closing after it sends them.
    func drain(_ core: ChannelCore) {
        core.mailbox.take(into: &core.taken)
        core.acks.settle(core.taken.settlements)
        if !core.taken.settlements.isEmpty { flushAcknowledgements(core) }
        guard !core.taken.publishes.isEmpty || core.taken.cancelled > 0 else { return }
        for submission in core.taken.publishes {
            core.waiting.append(submission)
            armSweep(core, submission.deadline)
        }
        core.taken.publishes.removeAll(keepingCapacity: true)
        if core.taken.cancelled > 0 { forgetCancelled(core) }
        pump(core)
    }

    /// Drops cancelled publishes once they are half of what is kept, so that each costs the same however many there are.
    private func forgetCancelled(_ core: ChannelCore) {
        core.cancelledInLine += core.taken.cancelled
        core.cancelledInWindow += core.taken.cancelled
        if 2 * core.cancelledInLine >= core.waiting.submissionCount {
            core.cancelledInLine = 0
            core.waiting.removeFinished()
        }
        if let outstanding = core.confirms?.outstanding, 2 * core.cancelledInWindow >= outstanding {
            forgetCancelledInWindow(core)
        }
    }

    private func forgetCancelledInWindow(_ core: ChannelCore) {
        guard core.cancelledInWindow > 0 else { return }
        core.cancelledInWindow = 0
        giveUp(on: core) { $0.isForgotten }
    }

    /// What a channel may be owed of confirmations that nobody waits for, in publish windows.
    private static let windowsGivenUp = 16
    /// The window that counts at least: what is owed costs little, and one message at a time is no reason to close.
    private static let smallestWindowGivenUp = 1000

    /// Frees the places in the window of publishes that nobody waits for any more.
    ///
    /// Each still takes some octets, as its confirmation may come. A channel that is owed too many, of a queue without a
    /// majority perhaps, is closed: what its users do next they do on another one.
    private func giveUp(on core: ChannelCore, where isOver: (PublishOperation) -> Bool) {
        core.confirms?.giveUp(where: isOver)
        // Divided, as a window may be as large as a number can be.
        guard let givenUp = core.confirms?.givenUp,
            (givenUp - 1) / Self.windowsGivenUp >= max(Self.smallestWindowGivenUp, options.publishWindow)
        else { return }
        let text = "\(stream.peer) has not confirmed \(givenUp) publishes in time; channel \(core.number) was closed"
        beginClosing(core, nil, because: AMQPError(.channelClosed, text))
    }

    /// Publishes what waits, as far as the window, the stream and the broker let it.
    func pump(_ core: ChannelCore) {
        while pumpOne(core) {}
    }

    /// Publishes one message, or sends one more frame of the last one.
    ///
    /// - Returns: Whether there may be more to send.
    func pumpOne(_ core: ChannelCore) -> Bool {
        guard machine.isOpen, core.machine.isOpen, stream.isWritable else { return false }
        guard core.unsent == nil else {
            sendBodyFrame(core)
            return true
        }
        guard core.isFlowActive, blockedReason == nil, hasRoom(core) else { return false }
        guard !publishRun(on: core) else { return true }
        guard let operation = core.waiting.popFirst() else { return false }
        // A caller whose task was cancelled, or whose deadline passed, wants nothing sent.
        if !operation.isFinished { publish(operation, on: core) }
        return true
    }

    /// Whether one more publish may be unconfirmed.
    private func hasRoom(_ core: ChannelCore) -> Bool {
        guard let outstanding = core.confirms?.outstanding, outstanding >= max(1, options.publishWindow)
        else { return true }
        if core.cancelledInWindow > 0, !core.waiting.isEmpty { forgetCancelledSoon(core) }
        return false
    }

    /// How long cancelled publishes may keep others out of a full window: each search for them looks at all of it.
    private static let windowPatience = Duration.milliseconds(10)

    private func forgetCancelledSoon(_ core: ChannelCore) {
        guard core.windowTimer == nil else { return }
        let (number, instance) = (core.number, core.instance)
        core.windowTimer = loop.schedule(after: Self.windowPatience) { [weak self] in
            self?.assumeIsolated { connection in
                guard let core = connection.channels[number], core.instance == instance else { return }
                core.windowTimer = nil
                connection.forgetCancelledInWindow(core)
                connection.pump(core)
            }
        }
    }

    /// The most messages that are written together; with the largest of them, others have their turn soon.
    private static let longestRun = 64
    /// Bodies of more octets are not copied.
    private static let smallBody = 4096

    /// Publishes the next messages together, if they are small and of one batch, which costs less than one by one.
    ///
    /// - Returns: False if the next is to be published by itself.
    private func publishRun(on core: ChannelCore) -> Bool {
        guard let outstanding = core.confirms?.outstanding,
            let (batch, run) = core.waiting.run(
                atMost: min(Self.longestRun, options.publishWindow - outstanding),
                octets: largestCopiedBody
            ), batch.isOpen(run)
        else { return false }
        hasSent = true
        var (written, failure) = (run.lowerBound, FrameError?.none)
        stream.write { output in
            (written, failure) = core.publishEncoder.encode(
                batch.messages,
                run,
                maximumFrameSize: decoder.maximumFrameSize,
                into: &output
            )
        }
        core.confirms?.published(contentsOf: (run.lowerBound..<written).lazy.map { .part(of: batch, index: $0) })
        core.waiting.dropRun(written - run.lowerBound + (failure == nil ? 0 : 1))
        if let failure { refuse(.part(of: batch, index: written), because: failure) }
        return true
    }

    private func refuse(_ operation: PublishOperation, because error: FrameError) {
        let text = "cannot publish to exchange \"\(operation.message.exchange)\": \(error)"
        operation.finish(.failure(AMQPError(.invalidArgument, text, underlying: error)))
    }

    private var largestCopiedBody: Int { min(Self.smallBody, decoder.maximumFrameSize - FrameDecoder.overhead) }

    private func publish(_ operation: PublishOperation, on core: ChannelCore) {
        if core.confirms == nil, !operation.endsWhenSent {
            guard !core.isTransactional else {
                let error = AMQPError.mode("is transactional: publish unconfirmed, then commit", core.number)
                return operation.finish(.failure(error))
            }
            begin(.confirmSelect(.init()), nil, on: core)
            core.confirms = ConfirmTracker()
        }
        do throws(FrameError) {
            try write(operation, on: core)
        } catch {
            return refuse(operation, because: error)
        }
        if core.confirms?.published(operation) == nil { core.hasPublishedUntracked = true }
        if operation.endsWhenSent, core.unsent == nil { operation.finish(.success(())) }
    }

    private func write(_ operation: PublishOperation, on core: ChannelCore) throws(FrameError) {
        hasSent = true
        let (message, channel) = (operation.message, core.number)
        let body = message.body
        let limit = decoder.maximumFrameSize
        let isCopied = body.count <= largestCopiedBody
        let fitsOneFrame = body.count <= limit - FrameDecoder.overhead
        var failure: FrameError?
        stream.write { output in
            do throws(FrameError) {
                guard !isCopied else {
                    return try core.publishEncoder.encodeWhole(message, maximumFrameSize: limit, into: &output)
                }
                try core.publishEncoder.encode(message, maximumFrameSize: limit, into: &output)
                if fitsOneFrame { FrameEncoder.bodyStart(octets: body.count, channel: channel, into: &output) }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        guard !isCopied else { return }
        if fitsOneFrame {
            stream.write(body)
            stream.write { $0.append(FrameDecoder.endOctet) }
        } else {
            begin(UnsentBody(octets: body, operation: operation.endsWhenSent ? operation : nil), on: core)
        }
    }

    func confirmed(_ tag: UInt64, multiple: Bool, isNack: Bool, on core: ChannelCore) throws(FrameError) {
        guard core.confirms != nil else { throw .unknownConfirmation(tag) }
        let isFirst = core.settled.isEmpty
        try core.confirms?.confirmed(upTo: tag, multiple: multiple, isNack: isNack, into: &core.settled)
        if isFirst, !core.settled.isEmpty { channelsWithConfirmations.append(core) }
    }

    /// Tells callers of all that a read has confirmed, and fills the room that this has made.
    func finishConfirmed() {
        guard !channelsWithConfirmations.isEmpty else { return }
        for core in channelsWithConfirmations {
            // The broker may have nothing left to do; callers have time.
            pump(core)
            finish(core.settled)
            core.settled.removeAll(keepingCapacity: true)
        }
        channelsWithConfirmations.removeAll(keepingCapacity: true)
    }

    /// Tells callers what became of their messages.
    private func finish(_ settled: [ConfirmTracker<PublishOperation>.Settled]) {
        var next = 0
        while next < settled.count {
            let (operation, outcome) = (settled[next].id, settled[next].outcome)
            next += 1
            switch outcome {
            case .confirmed:
                guard case .part(let batch, let first) = operation else {
                    operation.finish(.success(()))
                    continue
                }
                // Of a batch, all that stand together are told at once.
                var last = first
                while next < settled.count, settled[next].isConfirmed(last + 1, of: batch) {
                    (last, next) = (last + 1, next + 1)
                }
                batch.confirm(first...last)
            case .nacked: operation.finish(.failure(AMQPError(.nacked, "the broker refused the message (nack)")))
            case .returned(let code, let text):
                operation.finish(.failure(AMQPError(returned: operation.message, code, text)))
            }
        }
    }

    // MARK: Deadlines

    /// One timer per channel, at the earliest deadline of its publishes.
    private func armSweep(_ core: ChannelCore, _ deadline: ContinuousClock.Instant) {
        if let sweep = core.sweep {
            guard deadline < sweep.at else { return }
            loop.cancel(sweep.timer)
        }
        let (number, instance) = (core.number, core.instance)
        let timer = loop.schedule(at: deadline) { [weak self] in
            self?.assumeIsolated { connection in
                guard let core = connection.channels[number], core.instance == instance else { return }
                core.sweep = nil
                connection.sweep(core)
            }
        }
        core.sweep = (timer, deadline)
    }

    private func sweep(_ core: ChannelCore) {
        let now = ContinuousClock.now
        for operation in core.waiting.removeExpired(now: now) { operation.finish(.failure(unsentTimeout)) }
        var next = core.waiting.earliestDeadline
        let timeout = AMQPError(
            .timedOut,
            "\(stream.peer) did not confirm the message in time; it may have arrived",
            isOutcomeUnknown: true
        )
        giveUp(on: core) { operation in
            guard !operation.isForgotten else { return true }
            guard operation.deadline <= now else {
                next = min(next ?? operation.deadline, operation.deadline)
                return false
            }
            operation.finish(.failure(timeout))
            return true
        }
        guard core.machine.isOpen else { return }
        // Of a body that is stuck half-way: the rest still follows, as nothing else may come in its place.
        if let operation = core.unsent?.operation, !operation.isFinished {
            if operation.deadline <= now {
                operation.finish(.failure(timeout))
            } else {
                next = min(next ?? operation.deadline, operation.deadline)
            }
        }
        if let next { armSweep(core, next) }
        pump(core)
    }

    private var unsentTimeout: AMQPError {
        if let blockedReason {
            AMQPError(.blocked, "\(stream.peer) blocks publishers: \(blockedReason)")
        } else {
            AMQPError(.timedOut, "\(stream.peer) took no further messages in time; this one was not sent")
        }
    }
}

extension ConfirmTracker<PublishOperation>.Settled {
    fileprivate func isConfirmed(_ index: Int, of batch: PublishBatch) -> Bool {
        guard case .part(let other, let position) = id, case .confirmed = outcome else { return false }
        return other === batch && position == index
    }
}

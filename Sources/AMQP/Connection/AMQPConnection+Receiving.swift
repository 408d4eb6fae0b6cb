package import Transport

extension AMQPConnection: ByteStreamHandler {
    package nonisolated func received(_ bytes: UnsafeRawBufferPointer) -> Int {
        // Sound: the stream calls on the loop, the actor's own executor, so the octets change no thread.
        nonisolated(unsafe) let bytes = bytes
        return assumeIsolated { $0.process(bytes) }
    }

    package nonisolated func writabilityChanged(_ isWritable: Bool) {
        // Only the way back matters, and it comes from the loop's own flush: nothing is re-entered.
        if isWritable { assumeIsolated { $0.pumpAll() } }
    }

    package nonisolated func closed(_ reason: TransportError) {
        assumeIsolated { connection in
            let error = AMQPError(lost: reason, peer: connection.stream.peer)
            connection.perform(connection.machine.disconnected(error))
        }
    }

    /// Handles all complete frames of the received octets; what is left comes again with more.
    private func process(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard !hasEnded else { return bytes.count }
        heartbeat?.received(now: .now)
        var offset = 0
        defer { finishConfirmed() }
        do throws(FrameError) {
            if machine.awaitsFirstFrame, bytes.first != FrameType.method.rawValue {
                guard let name = FrameDecoder.foreignProtocol(bytes) else { return 0 }
                throw .foreignProtocol(name)
            }
            while let frame = try decoder.next(in: UnsafeRawBufferPointer(rebasing: bytes[offset...])) {
                if try !takeDeliveries(from: bytes, at: &offset, channel: frame.channel) {
                    offset += frame.payload.count + FrameDecoder.overhead
                    try handle(frame)
                }
                if hasEnded { return bytes.count }
            }
            handOverArrived()
        } catch {
            perform(machine.failed(error))
            return bytes.count
        }
        return offset
    }

    private func handle(_ frame: FrameView) throws(FrameError) {
        guard frame.channel != 0 else {
            switch frame.type {
            case .heartbeat: return
            case .method: return perform(machine.received(try Method(decoding: frame.payload)))
            case .header, .body: throw .unknownChannel(0)
            }
        }
        // §1.4.2.8: between close and close-ok only the answer matters.
        guard !machine.isClosing else { return }
        guard machine.isOpen else { throw .unknownChannel(frame.channel) }
        guard let core = channels[frame.channel] else {
            // RabbitMQ may close a channel for an error while confirmations and deliveries of that channel, which
            // another of its processes writes, are still to come.
            guard frame.channel <= highestChannel else { throw .unknownChannel(frame.channel) }
            return
        }
        do throws(FrameError) {
            switch frame.type {
            case .method:
                try handle(try Method(decoding: frame.payload), on: core)
            case .header:
                guard core.machine.isOpen else { return }
                if let content = try core.assembler.header(frame.payload) { try deliver(content, on: core) }
            case .body:
                guard core.machine.isOpen else { return }
                if let content = try core.assembler.body(frame.payload) { try deliver(content, on: core) }
            case .heartbeat: throw .malformedHeartbeat
            }
        } catch .bodyTooLarge(let octets, let limit) {
            refuseBody(octets, limit, on: core)
        }
    }

    /// One message must not end all other channels.
    private func refuseBody(_ octets: UInt64, _ limit: Int, on core: ChannelCore) {
        let error = AMQPError(.bodyTooLarge, "\(FrameError.bodyTooLarge(octets: octets, limit: limit))")
        if let tag = core.assembler.consumerTag { finishConsumer(tag, error, on: core) }
        beginClosing(core, nil, because: error, replyCode: 311, replyText: "body too large for this client")
    }

    /// Takes the deliveries at the front, if there are any; their consumer is told once all that was read is handled.
    ///
    /// - Returns: Whether it has taken anything.
    private func takeDeliveries(
        from bytes: UnsafeRawBufferPointer,
        at offset: inout Int,
        channel: UInt16
    ) throws(FrameError) -> Bool {
        guard machine.isOpen, let core = channels[channel], core.machine.isOpen, !core.consumers.isEmpty
        else { return false }
        let start = offset
        var failure: FrameError?
        do throws(FrameError) {
            try core.assembler.takeDeliveries(
                from: bytes,
                at: &offset,
                by: decoder,
                channel: channel,
                instance: core.instance,
                into: &run
            )
        } catch {
            failure = error
        }
        try deliverRun(on: core)
        switch failure {
        case .none: return offset > start
        case .bodyTooLarge(let octets, let limit): refuseBody(octets, limit, on: core)
        case .some(let error): throw error
        }
        return true
    }

    /// Leaves the run that was taken with its consumer, and the run empty for the next.
    private func deliverRun(on core: ChannelCore) throws(FrameError) {
        guard let tag = run.consumerTag else { return }
        run.consumerTag = nil
        guard let consumer = core.consumer(tag) else { throw .unknownConsumer(tag) }
        if consumer.takesDirectReplies {
            // RabbitMQ numbers them like the delivery that comes next, so they have no number to settle.
            run.removeNumbers()
        } else {
            try core.acks.delivered(
                from: run.firstTag,
                count: run.deliveries.count,
                needsAcknowledgement: consumer.needsAcknowledgement
            )
        }
        guard !consumer.isAbandoned else {
            while let delivery = run.deliveries.popFirst() { giveBack(delivery.tag.number, on: core) }
            return
        }
        if consumer.arrived.isEmpty { consumersWithArrivals.append((core, consumer)) }
        consumer.arrived.takeAll(from: &run.deliveries)
    }

    private func handle(_ method: Method, on core: ChannelCore) throws(FrameError) {
        guard core.machine.isOpen else { return perform(core.machine.received(method), on: core) }
        guard core.assembler.isIdle else { throw .unexpectedFrame("\(method.name) in the middle of a message") }
        switch method {
        case .basicDeliver(let method): try core.assembler.begin(.deliver(method))
        case .basicReturn(let method): try core.assembler.begin(.return(method))
        case .basicGetOk(let method): try core.assembler.begin(.getOk(method))
        case .basicAck(let ack): try confirmed(ack.deliveryTag, multiple: ack.multiple, isNack: false, on: core)
        case .basicNack(let nack): try confirmed(nack.deliveryTag, multiple: nack.multiple, isNack: true, on: core)
        default: perform(core.machine.received(method), on: core)
        }
    }

    private func deliver(_ content: ContentAssembler.Content, on core: ChannelCore) throws(FrameError) {
        switch content.carrier {
        // Those of consumers that are there never come this way.
        case .deliver(let method): throw .unknownConsumer(method.consumerTag)
        case .return(let method):
            try returned(method, content, on: core)
        case .getOk(let method):
            let needsAcknowledgement = core.gets.popFirst() ?? true
            try core.acks.delivered(method.deliveryTag, needsAcknowledgement: needsAcknowledgement)
            let delivery = AMQPDelivery(
                tag: DeliveryTag(number: method.deliveryTag, instance: core.instance),
                isRedelivered: method.isRedelivered,
                exchange: method.exchange,
                routingKey: method.routingKey,
                properties: content.properties,
                body: content.body
            )
            perform(core.machine.received(.basicGetOk(method)), delivering: delivery, on: core)
        }
    }

    /// Gives consumers all that a read has brought them: they are woken once, not for each delivery.
    private func handOverArrived() {
        guard !consumersWithArrivals.isEmpty else { return }
        for (core, consumer) in consumersWithArrivals { handOver(to: consumer, on: core) }
        consumersWithArrivals.removeAll(keepingCapacity: true)
    }

    /// Also before a consumer ends in order, as what has arrived before its end belongs to it.
    func handOver(to consumer: ChannelCore.Consumer, on core: ChannelCore) {
        guard !consumer.arrived.isEmpty else { return }
        // First, or the consumer's first acknowledgement would wake the loop.
        expectSettlements(core)
        switch consumer.inbox.append(&consumer.arrived) {
        case .stored: break
        case .full: pauseReading()
        case .refused:
            while let delivery = consumer.arrived.popFirst() { giveBack(delivery.tag.number, on: core) }
        }
    }

    /// Finds the publish that a returned message belongs to.
    private func returned(
        _ method: Method.BasicReturn,
        _ content: ContentAssembler.Content,
        on core: ChannelCore
    ) throws(FrameError) {
        let returned = ReturnedMessage(
            replyNumber: method.replyCode,
            replyText: method.replyText,
            exchange: method.exchange,
            routingKey: method.routingKey
        )
        let message = AMQPMessage(
            exchange: method.exchange,
            routingKey: method.routingKey,
            properties: content.properties,
            body: content.body
        )
        // A channel does one thing after the other: what comes back before it says that it confirms was published before.
        guard core.confirms != nil, core.isConfirming || !core.hasPublishedUntracked else {
            return callBack(returned, message, on: core)
        }
        // Exactly what was published; or what a broker that rewrites headers on arrival made of it.
        for isExact in [true, false] {
            let operation = core.confirms?.returned(replyCode: method.replyCode, replyText: method.replyText) {
                $0.message.isReturned(as: returned, content, exactly: isExact)
            }
            guard let operation else { continue }
            // Its caller went on when it was sent.
            if operation.endsWhenSent { callBack(returned, message, on: core) }
            return
        }
        guard !core.hasPublishedUntracked else { return callBack(returned, message, on: core) }
        // Then it is one of those that nobody waits for.
        guard core.confirms?.givenUp == 0 else { return }
        // A return precedes its confirmation, so whoever published it still waits. Confirming a message as routed that
        // came back would be worse than ending the connection.
        throw .unexpectedFrame("a returned message that is not outstanding")
    }

    private func callBack(_ returned: ReturnedMessage, _ message: AMQPMessage, on core: ChannelCore) {
        guard let body = core.mailbox.returnCallback else { return }
        callBack { body(returned, message) }
    }

    /// Runs a callback of the user that the server may cause any number of; reading stops while too many wait.
    func callBack(_ body: @escaping @Sendable () -> Void) {
        let isFull = callbacks.runBounded(body) { [weak self] in
            guard let self else { return }
            loop.execute { self.assumeIsolated { $0.resumeReading() } }
        }
        if isFull { pauseReading() }
    }

    /// Whether one more answer may be queued that the server has called for by itself.
    ///
    /// A server that has us answer without end, and reads none of it, would fill our memory: the connection fails.
    func mayAnswer() -> Bool {
        unreadAnswers = stream.isWritable ? 0 : unreadAnswers + 1
        if unreadAnswers == Self.unreadAnswersLimit {
            perform(machine.failed(.unexpectedMethod("more than \(unreadAnswers) answers are not read")))
        }
        return unreadAnswers < Self.unreadAnswersLimit
    }

    /// Stops reading for an inbox that is full.
    private func pauseReading() {
        pausedInboxes += 1
        stream.setReading(false)
    }

    /// Reads on after a full inbox has been drained.
    func resumeReading() {
        pausedInboxes -= 1
        if pausedInboxes == 0, !hasEnded { stream.setReading(true) }
    }
}

extension FrameError {
    fileprivate static func unknownConsumer(_ tag: String) -> FrameError {
        .unexpectedMethod("a delivery for consumer \"\(tag)\", which is not known")
    }
}

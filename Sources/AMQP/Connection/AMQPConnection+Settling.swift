internal import Transport

extension AMQPConnection {
    /// How long an acknowledgement may wait for others that leave in the same frame.
    private static let settlementDelay = Duration.milliseconds(1)

    /// Looks into the mailbox soon, as deliveries that were handed over come back as acknowledgements.
    ///
    /// A consumer that acknowledges one delivery after the other would otherwise wake the loop over and over, and make
    /// it send many small frames where a single one with `multiple` says the same.
    func expectSettlements(_ core: ChannelCore) {
        guard core.settlementTimer == nil, core.settlementPatience > 1, core.acks.outstanding > 0 else { return }
        core.mailbox.expectSettlements(core.settlementPatience)
        let (number, instance) = (core.number, core.instance)
        core.settlementTimer = loop.schedule(after: Self.settlementDelay) { [weak self] in
            self?.assumeIsolated { connection in
                guard let core = connection.channels[number], core.instance == instance else { return }
                core.settlementTimer = nil
                // With none, the next one wakes the loop.
                guard core.mailbox.hasSettlements() else { return }
                connection.drain(core)
                connection.expectSettlements(core)
                guard core.settlementTimer == nil else { return }
                core.mailbox.expectSettlements(1)
                connection.drain(core)  // what has come since
            }
        }
    }

    func flushAcknowledgements(_ core: ChannelCore) {
        guard core.machine.isOpen, core.recoveries == 0 else { return }
        core.ackFrames.removeAll(keepingCapacity: true)
        core.acks.flush(into: &core.ackFrames)
        for frame in core.ackFrames {
            switch frame {
            case .ack(let tag, let multiple):
                send(.basicAck(.init(deliveryTag: tag, multiple: multiple)), on: core.number)
            case .nack(let tag, let requeue):
                send(.basicNack(.init(deliveryTag: tag, requeue: requeue)), on: core.number)
            case .reject(let tag, let requeue):
                send(.basicReject(.init(deliveryTag: tag, requeue: requeue)), on: core.number)
            }
        }
    }

    /// Returns what an inbox has kept to its queue, as nobody takes it any more.
    func giveBack(_ deliveries: [AMQPDelivery], on core: ChannelCore) {
        for delivery in deliveries { _ = core.acks.settle(delivery.tag.number, as: .nack(requeue: true)) }
        flushAcknowledgements(core)
    }

    /// Returns a delivery that nobody waits for any more to its queue.
    func giveBack(_ tag: UInt64, on core: ChannelCore) {
        guard core.acks.settle(tag, as: .nack(requeue: true)), mayAnswer() else { return }
        flushAcknowledgements(core)
    }
}

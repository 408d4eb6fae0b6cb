import Testing

@testable import AMQP

/// What becomes of channels and consumers that end while their connection goes on.
extension RecoveryStateMachineTests {
    @Test("A channel that the broker closes is opened again, and its consumers resumed; others are left alone")
    func softError() {
        var (machine, channel) = withChannel()
        let other = machine.newID()
        machine.addChannel(other, instance: 8, epoch: 1)
        _ = consumer("a", on: channel, &machine)
        _ = consumer("b", on: other, &machine)
        machine.channelClosed(channel, instance: 7, now: start)
        machine.channelClosed(other, instance: 6, now: start)
        #expect(settle(&machine, at: start) == ["channel", "consume a"])
        #expect(machine.state == .open)
    }

    @Test("A channel that ends each time soon after it was opened is opened again after growing pauses")
    func shortLived() {
        var (machine, channel) = withChannel()
        _ = consumer("q", on: channel, &machine)
        var now = start
        machine.channelClosed(channel, instance: 7, now: now)
        for instance in 8...UInt64(17) {
            guard case .openChannel = machine.next(now: now) else {
                Issue.record("opens no channel")
                return
            }
            machine.channelOpened(channel, instance: instance, epoch: 1, now: now)
            guard case .consume(let id, _, _) = machine.next(now: now) else {
                Issue.record("does not consume")
                return
            }
            machine.consumed(id, instance: instance, now: now)
            machine.channelClosed(channel, instance: instance, now: now)
            guard case .wait(let until?) = machine.next(now: now) else {
                Issue.record("does not wait")
                return
            }
            #expect(until > now)
            now = until
        }
        // Ten pauses under ceilings from 0.4 to 15 s; how long exactly, chance decides.
        #expect(start.duration(to: now) > .seconds(2))
        #expect(settle(&machine, at: now) == ["channel", "consume q"])
        // One that has held is opened again at once.
        machine.channelClosed(channel, instance: 101, now: now + .seconds(60))
        #expect(settle(&machine, at: now + .seconds(60)) == ["channel", "consume q"])
    }

    @Test("A consumer whose message this side refuses each time ends with that reason")
    func refusedMessage() {
        var (machine, channel) = withChannel { $0.consumerAttempts = 4 }
        let id = consumer("q", on: channel, &machine)
        let tooLarge = AMQPError(.bodyTooLarge, "a body of 11 octets exceeds the limit of 10")
        var now = start
        var instance: UInt64 = 7
        var resumed = 0
        for _ in 0..<100 {
            switch machine.next(now: now) {
            case .openChannel:
                instance += 1
                machine.channelOpened(channel, instance: instance, epoch: 1, now: now)
            case .probe(let id, _): machine.probed(id)
            case .consume(let id, _, _):
                machine.consumed(id, instance: instance, now: now)
                resumed += 1
                machine.channelClosed(channel, instance: instance, now: now)
                machine.messageRefused(by: id, tooLarge, now: now)
            case .wait(let until?): now = until
            case .wait(nil) where resumed == 0:
                machine.channelClosed(channel, instance: instance, now: now)
                machine.messageRefused(by: id, tooLarge, now: now)
            case .endConsumer(_, let error):
                #expect(error == tooLarge)
                #expect(resumed == 3)
                return
            case let other:
                Issue.record("\(other)")
                return
            }
        }
        Issue.record("goes on for ever")
    }

    @Test("A channel opened over a connection that is gone is opened again")
    func staleChannel() {
        var machine = opened()
        machine.lost(loss, epoch: 1, now: start)
        reconnect(&machine, from: start)
        machine.addChannel(machine.newID(), instance: 7, epoch: 1)
        #expect(settle(&machine, at: start + .seconds(60)) == ["channel", "open"])
    }

    @Test("A consumer that the broker cancels is resumed after a pause, its queue declared first")
    func cancelled() {
        var (machine, channel) = withChannel()
        let binding = AMQPBinding(source: "x", destination: .queue("q"), routingKey: "k")
        declare([.declareQueue(AMQPQueue("q"), passive: false), .bind(binding)], on: channel, &machine)
        let id = consumer("q", on: channel, &machine)
        machine.consumerCancelled(id, instance: 7, AMQPError(.consumerCancelled, "gone"), now: start)
        guard case .wait(.some) = machine.next(now: start) else {
            Issue.record("does not pause")
            return
        }
        #expect(
            settle(&machine, at: start + .seconds(1)) == ["queue q", "bind x queue(\"q\")", "probe q", "consume q"]
        )
    }

    @Test("A consumer ends if it is cancelled and was to end then, or its queue was deleted by this side")
    func ends() {
        var (machine, channel) = withChannel()
        let cancel = AMQPError(.consumerCancelled, "gone")
        let first = consumer("q", on: channel, endsWhenCancelled: true, &machine)
        machine.consumerCancelled(first, instance: 7, cancel, now: start)
        #expect(settle(&machine, at: start) == ["end consumer consumerCancelled"])

        declare([.declareQueue(AMQPQueue("r"), passive: false)], on: channel, &machine)
        let second = consumer("r", on: channel, &machine)
        let deletion = TopologyOperation.deleteQueue("r", ifUnused: false, ifEmpty: false)
        machine.willPerform(deletion)
        machine.consumerCancelled(second, instance: 7, cancel, now: start)
        machine.performed(deletion, .messages(0), channel: channel, instance: 7)
        #expect(settle(&machine, at: start) == ["end consumer consumerCancelled"])
        #expect(settle(&machine, at: start + .seconds(60)) == [])
    }

    @Test("A consumer whose queue stays away ends with the reason, after the attempts allowed")
    func exhausted() {
        var (machine, channel) = withChannel { $0.consumerAttempts = 4 }
        let id = consumer("q", on: channel, &machine)
        machine.consumerCancelled(id, instance: 7, AMQPError(.consumerCancelled, "gone"), now: start)
        var now = start
        var probes = 0
        loop: while true {
            switch machine.next(now: now) {
            case .probe:
                probes += 1
                machine.consumeFailed(id, gone, epoch: 1, now: now)
            case .wait(let until?): now = until
            case .endConsumer(id, gone): break loop
            case let other:
                Issue.record("\(other)")
                return
            }
        }
        #expect(probes == 3)
        #expect(machine.next(now: now) == .wait(until: nil))
    }

    @Test("A consume that fails for the end of its connection counts for nothing")
    func lossWhileConsuming() {
        var (machine, channel) = withChannel()
        let id = consumer("q", on: channel, &machine)
        machine.channelClosed(channel, instance: 7, now: start)
        machine.consumeFailed(id, loss, epoch: 1, now: start)
        guard case .recovering = machine.state else {
            Issue.record("\(machine.state)")
            return
        }
        reconnect(&machine, from: start)
        #expect(settle(&machine, at: start + .seconds(60)) == ["channel", "consume q", "open"])
    }

    @Test("A channel that cannot be opened ends with the reason, and its consumers with it")
    func channelExhausted() {
        var (machine, channel) = withChannel { $0.consumerAttempts = 3 }
        _ = consumer("q", on: channel, &machine)
        machine.channelClosed(channel, instance: 7, now: start)
        var now = start
        loop: while true {
            switch machine.next(now: now) {
            case .openChannel: machine.channelOpenFailed(channel, AMQPError(.channelLimit, "full"), epoch: 1, now: now)
            case .wait(let until?): now = until
            case .endChannel(channel, _): break loop
            case let other:
                Issue.record("\(other)")
                return
            }
        }
        #expect(settle(&machine, at: now + .seconds(60)) == [])
    }

    @Test("Whatever fails at random, all is back in the end or the end has a reason", arguments: UInt64(0)..<200)
    func random(_ seed: UInt64) {
        var generator = SeededGenerator(state: seed)
        var (machine, channel) = withChannel {
            $0.seed = seed
            $0.hosts = 3
        }
        declare(
            [
                .declareExchange(AMQPExchange("e"), passive: false), .declareQueue(AMQPQueue(""), passive: false),
                .bind(AMQPBinding(source: "e", destination: .queue("amq.gen-1"), routingKey: "k")),
            ],
            on: channel,
            &machine
        )
        let id = consumer("amq.gen-1", on: channel, &machine)
        var now = start
        var instance: UInt64 = 1000
        let unreachable = AMQPError(.unreachable, "x")
        for step in 0..<400 {
            // In the second half nothing fails any more.
            let fails = step < 200 && Int.random(in: 0..<4, using: &generator) == 0
            if fails, Bool.random(using: &generator) {
                machine.lost(loss, epoch: machine.epoch, now: now)
                continue
            }
            switch machine.next(now: now) {
            case .connect: fails ? machine.connectFailed(unreachable, now: now) : machine.connected(now: now)
            case .restore(let entity, _) where fails:
                if let failure = machine.restoreFailed(
                    entity,
                    AMQPError(.timedOut, "x"),
                    epoch: machine.epoch,
                    now: now
                ) {
                    machine.decided(.standard(failure), about: failure)
                }
            case .restore(let entity, .declareQueue):
                let state = AMQPQueue.State(name: "amq.gen-\(step)", messageCount: 0, consumerCount: 0)
                machine.restored(entity, .queue(state))
            case .restore(let entity, _): machine.restored(entity, .done)
            case .openChannel(let id):
                instance += 1
                machine.channelOpened(id, instance: instance, epoch: machine.epoch, now: now)
                if fails { machine.channelClosed(id, instance: instance, now: now) }
            case .probe(let id, _) where !fails: machine.probed(id)
            case .probe(let id, _),
                .consume(let id, _, _) where fails:
                machine.consumeFailed(id, gone, epoch: machine.epoch, now: now)
            case .consume(let id, let channel, _):
                machine.consumed(id, instance: machine.channels[channel]?.instance ?? 0, now: now)
            case .wait(let until): now = until ?? now
            case .opened, .endConsumer, .endChannel, .shutDown, .finish: break
            }
        }
        #expect(machine.state == .open)
        #expect(machine.pending.isEmpty)
        // Either it is there or it has been told to have ended.
        #expect(machine.consumers[id].map(\.isLive) ?? true)
    }
}

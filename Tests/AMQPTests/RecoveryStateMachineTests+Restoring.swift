import Testing

@testable import AMQP

/// How queues, exchanges, channels and consumers come back, and what happens when they do not.
extension RecoveryStateMachineTests {
    @Test("Everything comes back in order: exchanges, their bindings, queues, theirs, channels, consumers")
    func order() {
        var (machine, channel) = withChannel()
        let between = AMQPBinding(source: "a", destination: .exchange("b"), routingKey: "k")
        let toQueue = AMQPBinding(source: "b", destination: .queue("q"), routingKey: "k")
        declare(
            [
                .declareQueue(AMQPQueue("q"), passive: false), .declareExchange(AMQPExchange("b"), passive: false),
                .declareExchange(AMQPExchange("a"), passive: false), .bind(toQueue), .bind(between),
                .declareQueue(AMQPQueue("asked"), passive: true),
            ],
            on: channel,
            &machine
        )
        _ = consumer("q", on: channel, &machine)
        #expect(settle(&machine, at: start) == [])
        machine.lost(loss, epoch: 1, now: start)
        reconnect(&machine, from: start)
        #expect(
            settle(&machine, at: start + .seconds(60)) == [
                "exchange b", "exchange a", "bind a exchange(\"b\")", "queue q", "bind b queue(\"q\")", "channel",
                "consume q", "open",
            ]
        )
    }

    @Test("A queue that the server names gets its new name everywhere, time and again")
    func renaming() {
        var (machine, channel) = withChannel()
        declare([.declareQueue(AMQPQueue("", isExclusive: true), passive: false)], on: channel, &machine)
        declare(
            [.bind(AMQPBinding(source: "x", destination: .queue("amq.gen-1"), routingKey: "k"))],
            on: channel,
            &machine
        )
        _ = consumer("amq.gen-1", on: channel, &machine)
        for (epoch, name) in [(1, "amq.gen-2"), (2, "amq.gen-3")] {
            machine.lost(loss, epoch: UInt64(epoch), now: start)
            reconnect(&machine, from: start)
            #expect(
                settle(&machine, at: start + .seconds(60), naming: name) == [
                    "queue ", "bind x queue(\"\(name)\")", "channel", "consume \(name)", "open",
                ]
            )
            for old in ["amq.gen-1", "amq.gen-2"] { #expect(machine.topology.currentName(old) == name) }
        }
        #expect(
            machine.topology.translated(.purgeQueue("amq.gen-1")) == .purgeQueue("amq.gen-3")
        )
    }

    @Test("An entity that the broker refuses is skipped, tried again, or the end, as decided")
    func failures() {
        for decision in [RestoreDecision.skip, .retry, .giveUp] {
            var (machine, channel) = withChannel()
            declare([.declareQueue(AMQPQueue("q"), passive: false)], on: channel, &machine)
            _ = consumer("q", on: channel, &machine)
            machine.lost(loss, epoch: 1, now: start)
            reconnect(&machine, from: start)
            let now = start + .seconds(60)
            guard case .restore(let entity, _) = machine.next(now: now) else {
                Issue.record("restores nothing")
                return
            }
            let locked = AMQPError(.resourceLocked, "405", replyCode: 405)
            guard let failure = machine.restoreFailed(entity, locked, epoch: 2, now: now) else {
                Issue.record("nothing to decide")
                return
            }
            #expect(failure.attempts == 1)
            machine.decided(decision, about: failure)
            switch decision {
            case .skip: #expect(settle(&machine, at: now) == ["channel", "consume q", "open"])
            case .retry:
                // What needs the queue waits with it; the rest goes on.
                #expect(settle(&machine, at: now) == ["channel", "open"])
                #expect(settle(&machine, at: now + .seconds(1)) == ["queue q", "consume q"])
            case .giveUp: #expect(machine.next(now: now) == .finish(locked))
            }
        }
    }

    @Test("An entity that ends the connection three times in a row is not restored any more, and not before")
    func killer() {
        var (machine, channel) = withChannel()
        declare([.declareExchange(AMQPExchange("e", type: "x-gone"), passive: false)], on: channel, &machine)
        machine.lost(loss, epoch: 1, now: start)
        var now = start
        for attempt in 1...3 {
            reconnect(&machine, from: now)
            now += .seconds(60)
            guard case .restore(let entity, _) = machine.next(now: now) else {
                Issue.record("restores nothing")
                return
            }
            let closed = AMQPError(.connectionClosed, "503", replyCode: 503)
            guard let failure = machine.restoreFailed(entity, closed, epoch: machine.epoch, now: now) else {
                Issue.record("nothing to decide")
                return
            }
            #expect(failure.attempts == attempt)
            machine.decided(.standard(failure), about: failure)
        }
        reconnect(&machine, from: now)
        #expect(settle(&machine, at: now + .seconds(60)) == ["channel", "open"])
    }

    @Test("What is being brought back when the connection ends for another's mistake comes back with the next one")
    func bystander() {
        var (machine, channel) = withChannel()
        declare([.declareQueue(AMQPQueue("q"), passive: false)], on: channel, &machine)
        let id = consumer("q", on: channel, &machine)
        machine.lost(loss, epoch: 1, now: start)
        var now = start
        let closed = AMQPError(.connectionClosed, "541", replyCode: 541)
        // Never three times in a row: each success begins the count anew.
        for round in 0..<6 {
            reconnect(&machine, from: now)
            now += .seconds(60)
            switch machine.next(now: now) {
            case .restore(let entity, _) where round % 3 == 0:
                guard let failure = machine.restoreFailed(entity, closed, epoch: machine.epoch, now: now) else {
                    Issue.record("nothing to decide")
                    return
                }
                machine.decided(.standard(failure), about: failure)
            case .restore(let entity, _):
                let state = AMQPQueue.State(name: "q", messageCount: 0, consumerCount: 0)
                machine.restored(entity, .queue(state))
                guard case .openChannel = machine.next(now: now) else {
                    Issue.record("opens no channel")
                    return
                }
                machine.channelOpened(channel, instance: machine.epoch * 10, epoch: machine.epoch, now: now)
                #expect(machine.next(now: now) == .consume(id, channel: channel, queue: "q"))
                if round % 3 == 1 {
                    machine.consumeFailed(id, closed, epoch: machine.epoch, now: now)
                } else {
                    machine.consumed(id, instance: machine.epoch * 10, now: now)
                    machine.lost(loss, epoch: machine.epoch, now: now)
                }
            case let other: Issue.record("\(other)")
            }
        }
        reconnect(&machine, from: now)
        #expect(settle(&machine, at: now + .seconds(60)) == ["queue q", "channel", "consume q", "open"])
    }

    @Test("A consumer that ends the connection three times in a row ends itself, with the reason")
    func killerConsumer() {
        var (machine, channel) = withChannel()
        let id = consumer("q", on: channel, &machine)
        let closed = AMQPError(.connectionClosed, "541", replyCode: 541)
        machine.lost(loss, epoch: 1, now: start)
        var now = start
        for _ in 0..<3 {
            reconnect(&machine, from: now)
            now += .seconds(60)
            _ = machine.next(now: now)
            machine.channelOpened(channel, instance: machine.epoch * 10, epoch: machine.epoch, now: now)
            #expect(machine.next(now: now) == .consume(id, channel: channel, queue: "q"))
            machine.consumeFailed(id, closed, epoch: machine.epoch, now: now)
        }
        reconnect(&machine, from: now)
        #expect(settle(&machine, at: now + .seconds(60)) == ["end consumer connectionClosed", "channel", "open"])
    }

    @Test("There is no wait for an instant that has passed, whatever holds back what is due", arguments: UInt64(0)..<20)
    func noSpin(_ seed: UInt64) {
        var (machine, channel) = withChannel { $0.seed = seed }
        declare([.declareQueue(AMQPQueue("q"), passive: false)], on: channel, &machine)
        let ids = (0..<3).map { _ in consumer("q", on: channel, &machine) }
        let cancel = AMQPError(.consumerCancelled, "gone")
        for id in ids { machine.consumerCancelled(id, instance: 7, cancel, now: start) }
        var now = start
        var declared = 0
        var steps = 0
        while machine.consumers.values.contains(where: { !$0.isLive }), steps < 100 {
            steps += 1
            switch machine.next(now: now) {
            case .wait(let until?):
                #expect(until > now)
                now = max(now, until)
            case .restore(let entity, _):
                declared += 1
                if declared < 4 {
                    // Locked for a while: its consumers' own times pass meanwhile.
                    let locked = AMQPError(.resourceLocked, "405", replyCode: 405)
                    if let failure = machine.restoreFailed(entity, locked, epoch: 1, now: now) {
                        machine.decided(.retry, about: failure)
                    }
                } else {
                    let state = AMQPQueue.State(name: "q", messageCount: 0, consumerCount: 0)
                    machine.restored(entity, .queue(state))
                }
            case .probe(let id, _): machine.probed(id)
            case .consume(let id, _, _): machine.consumed(id, instance: 7, now: now)
            case let other:
                Issue.record("\(other)")
                return
            }
        }
        #expect(steps < 100)
    }

    @Test("A channel whose pause outlasts its consumer's is waited for, and not asked about all the time")
    func channelOutlasts() {
        var (machine, channel) = withChannel()
        let id = consumer("q", on: channel, &machine)
        machine.consumerCancelled(id, instance: 7, AMQPError(.consumerCancelled, "gone"), now: start)
        machine.channelClosed(channel, instance: 7, now: start)
        var now = start
        for _ in 0..<8 {
            guard case .openChannel = machine.next(now: now) else {
                Issue.record("opens no channel")
                return
            }
            machine.channelOpenFailed(channel, AMQPError(.channelLimit, "full"), epoch: 1, now: now)
            guard case .wait(let until?) = machine.next(now: now) else {
                Issue.record("does not wait")
                return
            }
            #expect(until > now)
            // The consumer's instant may come first; what is left to wait for is the channel's.
            now = until
            if case .wait(let next?) = machine.next(now: now) {
                #expect(next > now)
                now = next
            }
        }
    }

    @Test("What comes about after its channel or connection was closed is refused")
    func late() {
        var (machine, channel) = withChannel()
        machine.removeChannel(channel)
        func add() -> Bool {
            machine.addConsumer(9, channel: channel, instance: 7, queue: "q", tag: "t", endsWhenCancelled: false)
        }
        var isAdded = add()
        #expect(!isAdded)
        machine.addChannel(channel, instance: 7, epoch: 1)
        isAdded = add()
        #expect(isAdded)
        machine.closeRequested()
        isAdded = add()
        #expect(!isAdded)
        isAdded = machine.addChannel(10, instance: 8, epoch: 1)
        #expect(!isAdded)
    }

    @Test("What was bound to a queue under its old name is recorded under its new one")
    func renamedMeanwhile() {
        var (machine, channel) = withChannel()
        declare([.declareQueue(AMQPQueue("", isExclusive: true), passive: false)], on: channel, &machine)
        machine.lost(loss, epoch: 1, now: start)
        reconnect(&machine, from: start)
        _ = settle(&machine, at: start + .seconds(60), naming: "amq.gen-2")
        // The broker had answered over the connection that was lost.
        let bind = TopologyOperation.bind(
            AMQPBinding(source: "x", destination: .queue("amq.gen-1"), routingKey: "k")
        )
        machine.performed(bind, .done, channel: channel, instance: 7)
        #expect(settle(&machine, at: start + .seconds(60)) == ["bind x queue(\"amq.gen-2\")"])
    }

    @Test("What was declared over a connection that is gone by the time it is recorded is declared again")
    func lateRecord() {
        var (machine, channel) = withChannel()
        machine.lost(loss, epoch: 1, now: start)
        reconnect(&machine, from: start)
        _ = settle(&machine, at: start + .seconds(60))
        let answer = TopologyAnswer.queue(AMQPQueue.State(name: "q", messageCount: 0, consumerCount: 0))
        machine.performed(.declareQueue(AMQPQueue("q"), passive: false), answer, channel: channel, instance: 7)
        let id = machine.newID()
        machine.addConsumer(id, channel: channel, instance: 7, queue: "q", tag: "t", endsWhenCancelled: false)
        #expect(settle(&machine, at: start + .seconds(60)) == ["queue q", "consume q"])
    }
}

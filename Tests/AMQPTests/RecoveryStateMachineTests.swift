import Testing

@testable import AMQP

@Suite("Recovery state machine") struct RecoveryStateMachineTests {
    typealias Action = RecoveryStateMachine.Action

    let start = ContinuousClock.now
    let loss = AMQPError(.connectionLost, "reset by peer")
    let gone = AMQPError(.notFound, "no queue", replyCode: 404)

    func machine(_ change: (inout RecoveryStateMachine.Settings) -> Void = { _ in }) -> RecoveryStateMachine {
        var settings = RecoveryStateMachine.Settings()
        change(&settings)
        return RecoveryStateMachine(settings)
    }

    /// A machine whose first connection is open.
    func opened(
        _ change: (inout RecoveryStateMachine.Settings) -> Void = { _ in }
    ) -> RecoveryStateMachine {
        var machine = machine(change)
        guard case .connect = machine.next(now: start) else { fatalError("does not connect") }
        machine.connected(now: start)
        #expect(machine.next(now: start) == .opened)
        #expect(machine.next(now: start) == .wait(until: nil))
        return machine
    }

    /// Lets the time pass until the next attempt, and has it succeed.
    func reconnect(_ machine: inout RecoveryStateMachine, from now: ContinuousClock.Instant) {
        guard case .wait(let instant?) = machine.next(now: now) else {
            Issue.record("does not wait")
            return
        }
        guard case .connect = machine.next(now: instant) else {
            Issue.record("does not connect")
            return
        }
        machine.connected(now: instant)
    }

    /// Performs what the machine asks for, as a broker would that takes everything, until it has nothing to do.
    func settle(
        _ machine: inout RecoveryStateMachine,
        at now: ContinuousClock.Instant,
        naming name: String = "renamed"
    ) -> [String] {
        var done: [String] = []
        var instance = machine.epoch * 100
        while done.count < 100 {
            switch machine.next(now: now) {
            case .restore(let entity, .declareQueue(let queue, _)):
                let answer = AMQPQueue.State(
                    name: queue.name.isEmpty ? name : queue.name,
                    messageCount: 0,
                    consumerCount: 0
                )
                machine.restored(entity, .queue(answer))
                done.append("queue \(queue.name)")
            case .restore(let entity, .declareExchange(let exchange, _)):
                machine.restored(entity, .done)
                done.append("exchange \(exchange.name)")
            case .restore(let entity, .bind(let binding)):
                machine.restored(entity, .done)
                done.append("bind \(binding.source) \(binding.destination)")
            case .restore(_, let operation): Issue.record("restores by \(operation)")
            case .openChannel(let id):
                instance += 1
                machine.channelOpened(id, instance: instance, epoch: machine.epoch, now: now)
                done.append("channel")
            case .probe(let id, let queue):
                machine.probed(id)
                done.append("probe \(queue)")
            case .consume(let id, let channel, let queue):
                machine.consumed(id, instance: machine.channels[channel]?.instance ?? 0, now: now)
                done.append("consume \(queue)")
            case .endConsumer(_, let error): done.append("end consumer \(error.code)")
            case .endChannel(_, let error): done.append("end channel \(error.code)")
            case .opened: done.append("open")
            case .connect: done.append("connect")
            case .wait, .shutDown, .finish: return done
            }
        }
        Issue.record("does not come to rest")
        return done
    }

    /// Declares over a channel as a caller does.
    func declare(_ operations: [TopologyOperation], on channel: UInt64, _ machine: inout RecoveryStateMachine) {
        for operation in operations {
            var answer = TopologyAnswer.done
            if case .declareQueue(let queue, _) = operation {
                let name = queue.name.isEmpty ? "amq.gen-1" : queue.name
                answer = .queue(AMQPQueue.State(name: name, messageCount: 0, consumerCount: 0))
            }
            machine.willPerform(operation)
            machine.performed(operation, answer, channel: channel, instance: machine.channels[channel]?.instance)
        }
    }

    func withChannel(
        _ change: (inout RecoveryStateMachine.Settings) -> Void = { _ in }
    ) -> (RecoveryStateMachine, channel: UInt64) {
        var machine = opened(change)
        let channel = machine.newID()
        machine.addChannel(channel, instance: 7, epoch: machine.epoch)
        return (machine, channel)
    }

    func consumer(
        _ queue: String,
        on channel: UInt64,
        endsWhenCancelled: Bool = false,
        _ machine: inout RecoveryStateMachine
    ) -> UInt64 {
        let id = machine.newID()
        machine.addConsumer(
            id,
            channel: channel,
            instance: machine.channels[channel]?.instance ?? 0,
            queue: queue,
            tag: "t",
            endsWhenCancelled: endsWhenCancelled
        )
        return id
    }

    // MARK: Connecting

    @Test("Each host is tried, in an order chosen once, before the first connection fails")
    func firstConnect() {
        var machine = machine { $0.hosts = 3 }
        var tried: Set<Int> = []
        var now = start
        var last: Action?
        while last == nil {
            switch machine.next(now: now) {
            case .connect(let host):
                tried.insert(host)
                machine.connectFailed(AMQPError(.unreachable, "nobody"), now: now)
            case .wait(let until?): now = until
            case let other: last = other
            }
        }
        #expect(tried == [0, 1, 2])
        #expect(last == .finish(AMQPError(.unreachable, "nobody")))
        #expect(machine.state == .closed(AMQPError(.unreachable, "nobody")))
    }

    @Test("Asked to, the first connection is tried until the attempts are used up")
    func firstConnectRetried() {
        var machine = machine {
            $0.policy.retriesFirstConnect = true
            $0.policy.maximumAttempts = 5
        }
        var now = start
        var attempts = 0
        loop: while true {
            switch machine.next(now: now) {
            case .connect:
                attempts += 1
                machine.connectFailed(AMQPError(.unreachable, "nobody"), now: now)
                if attempts == 2 {
                    guard case .recovering(3, _, .some) = machine.state else {
                        Issue.record("\(machine.state)")
                        return
                    }
                }
            case .wait(let until?): now = until
            default: break loop
            }
        }
        #expect(attempts == 5)
        #expect(machine.isClosed)
    }

    @Test("The time for attempts ends, too")
    func maximumTime() {
        var machine = opened { $0.policy.maximumTime = .seconds(60) }
        machine.lost(loss, epoch: 1, now: start)
        var now = start
        while !machine.isClosed {
            switch machine.next(now: now) {
            case .connect: machine.connectFailed(AMQPError(.timedOut, "late"), now: now)
            case .wait(let until?): now = until
            case let other:
                Issue.record("\(other)")
                return
            }
        }
        #expect(start.duration(to: now) >= .seconds(60))
        #expect(start.duration(to: now) <= .seconds(76))
    }

    @Test(
        "What trying again cannot help ends it at once",
        arguments: [
            AMQPError(.accessRefused, "403", replyCode: 403), AMQPError(.virtualHostRefused, "530", replyCode: 530),
            AMQPError(.invalidArgument, "vhost"),
        ]
    )
    func permanent(_ error: AMQPError) {
        var machine = opened()
        machine.lost(loss, epoch: 1, now: start)
        guard case .wait(let until?) = machine.next(now: start) else {
            Issue.record("does not wait")
            return
        }
        _ = machine.next(now: until)
        machine.connectFailed(error, now: until)
        #expect(machine.next(now: until) == .finish(error))
    }

    @Test("A host that refuses for good is passed over, the others are tried on")
    func oneRefuses() {
        var machine = opened { $0.hosts = 2 }
        machine.lost(loss, epoch: 1, now: start)
        var hosts: [Int] = []
        var now = start
        while hosts.count < 4 {
            switch machine.next(now: now) {
            case .connect(let host):
                hosts.append(host)
                let refusal = AMQPError(.accessRefused, "403", replyCode: 403)
                machine.connectFailed(hosts.count == 1 ? refusal : AMQPError(.unreachable, "x"), now: now)
            case .wait(let until?): now = until
            case let other:
                Issue.record("\(other)")
                return
            }
        }
        #expect(Set(hosts.dropFirst()).count == 1)
        #expect(hosts[0] != hosts[1])
    }

    @Test("Where a login has succeeded before, a stream that ends in it, a limit and another protocol pass")
    func silentRefusal() {
        let silent = AMQPError(.accessRefused, "silent", underlying: loss)
        #expect(silent.isPermanent(hasLoggedIn: false))
        #expect(!silent.isPermanent(hasLoggedIn: true))
        let limit = AMQPError(.virtualHostRefused, "connection limit (3) is reached", replyCode: 530)
        #expect(!limit.isPermanent(hasLoggedIn: true))
        let balancer = AMQPError(.foreignProtocol, "HTTP")
        #expect(balancer.isPermanent(hasLoggedIn: false))
        #expect(!balancer.isPermanent(hasLoggedIn: true))
    }

    @Test("A server that accepts and closes is asked less and less often; one that held begins anew")
    func accepting() {
        var machine = opened()
        var now = start
        for epoch in 1...12 {
            machine.lost(loss, epoch: UInt64(epoch), now: now)
            guard case .recovering(let attempt, _, let next?) = machine.state else {
                Issue.record("\(machine.state)")
                return
            }
            #expect(attempt == epoch + 1)
            #expect(now.duration(to: next) <= .seconds(15))
            now = next
            _ = machine.next(now: now)
            machine.connected(now: now)
        }
        now += .seconds(20)
        machine.lost(loss, epoch: 13, now: now)
        guard case .recovering(1, _, let next?) = machine.state else {
            Issue.record("\(machine.state)")
            return
        }
        #expect(now.duration(to: next) <= .milliseconds(200))
    }

    @Test(
        "Errors in what was sent are borne five times in a minute, counted from each back; the sixth is the end",
        arguments: [
            AMQPError(.connectionClosed, "503 COMMAND_INVALID", replyCode: 503),
            AMQPError(.protocolViolation, "not a frame"),
        ]
    )
    func connectionErrors(_ wrong: AMQPError) {
        var machine = opened()
        let forced = AMQPError(.connectionClosed, "320 CONNECTION_FORCED", replyCode: 320)
        var now = start
        func end(_ error: AMQPError, after pause: Duration) {
            now += pause
            _ = settle(&machine, at: now)
            machine.lost(error, epoch: machine.epoch, now: now)
            guard case .wait(let until?) = machine.next(now: now) else { return }
            now = until
            if case .connect = machine.next(now: now) { machine.connected(now: now) }
        }
        // Spread over more than a minute, or without a fault of this side, any number.
        for _ in 0..<20 { end(wrong, after: .seconds(12)) }
        for _ in 0..<20 { end(forced, after: .seconds(1)) }
        for _ in 0..<20 { end(loss, after: .seconds(1)) }
        #expect(!machine.isClosed)
        now += .seconds(60)
        for count in 1...6 {
            #expect(!machine.isClosed, "after \(count - 1)")
            end(wrong, after: .milliseconds(100))
        }
        guard case .finish(let error) = machine.next(now: now) else {
            Issue.record("goes on")
            return
        }
        #expect(error.code == .tooManyErrors)
        #expect(error.replyCode == wrong.replyCode)
        #expect(error.message.contains(wrong.message))
    }

    @Test("Without a number, errors in what was sent are borne for ever")
    func anyConnectionErrors() {
        var machine = opened { $0.policy.maximumConnectionErrors = nil }
        var now = start
        for _ in 0..<50 {
            machine.lost(AMQPError(.connectionClosed, "541", replyCode: 541), epoch: machine.epoch, now: now)
            guard case .wait(let until?) = machine.next(now: now) else {
                Issue.record("does not wait")
                return
            }
            now = until
            _ = machine.next(now: now)
            machine.connected(now: now)
        }
        #expect(!machine.isClosed)
    }

    @Test("The end of an earlier connection says nothing of the present one")
    func staleLoss() {
        var machine = opened()
        machine.lost(loss, epoch: 1, now: start)
        reconnect(&machine, from: start)
        machine.lost(loss, epoch: 1, now: start)
        machine.blocked("memory", epoch: 1)
        #expect(settle(&machine, at: start + .seconds(60)) == ["open"])
        #expect(machine.state == .open)
    }

    @Test("Blocking shows while it lasts, and ends with the connection")
    func blocked() {
        var machine = opened()
        machine.blocked("low on memory", epoch: 1)
        #expect(machine.state == .blocked(reason: "low on memory"))
        machine.blocked(nil, epoch: 1)
        #expect(machine.state == .open)
        machine.blocked("again", epoch: 1)
        machine.lost(loss, epoch: 1, now: start)
        reconnect(&machine, from: start)
        _ = settle(&machine, at: start + .seconds(60))
        #expect(machine.state == .open)
    }

    @Test("Closing wins over everything", arguments: 0..<4)
    func closing(_ moment: Int) {
        var machine = machine()
        if moment > 0 { _ = machine.next(now: start) }
        if moment > 1 { machine.connected(now: start) }
        if moment > 2 { machine.lost(loss, epoch: 1, now: start) }
        machine.closeRequested()
        machine.connected(now: start)
        machine.connectFailed(loss, now: start)
        machine.lost(loss, epoch: machine.epoch, now: start)
        #expect(machine.next(now: start) == .shutDown)
        machine.close(AMQPError(.closed, "done"))
        #expect(machine.next(now: start) == .finish(AMQPError(.closed, "done")))
    }
}

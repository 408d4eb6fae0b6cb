import Testing

@testable import AMQP

@Suite("Recorded topology") struct RecordedTopologyTests {
    private func recorded(_ operations: [TopologyOperation]) -> RecordedTopology {
        var topology = RecordedTopology()
        for operation in operations {
            if case .declareQueue(let queue, _) = operation {
                let name = queue.name.isEmpty ? "amq.gen" : queue.name
                let state = AMQPQueue.State(name: name, messageCount: 0, consumerCount: 0)
                topology.record(operation, .queue(state))
            } else {
                topology.record(operation, .done)
            }
        }
        return topology
    }

    private func exchange(_ name: String, autoDelete: Bool = false) -> TopologyOperation {
        .declareExchange(AMQPExchange(name, isAutoDelete: autoDelete), passive: false)
    }

    private func queue(_ name: String, autoDelete: Bool = false) -> TopologyOperation {
        .declareQueue(AMQPQueue(name, isAutoDelete: autoDelete), passive: false)
    }

    private func binding(_ source: String, _ queue: String) -> AMQPBinding {
        AMQPBinding(source: source, destination: .queue(queue), routingKey: "k")
    }

    private func names(_ topology: RecordedTopology) -> [String] {
        topology.entities.map { entity in
            switch entity {
            case .exchange(let exchange): exchange.name
            case .queue(let queue): queue.name
            case .binding(let binding): "\(binding.source)>"
            case .consumer(_, let tag): tag
            }
        }
    }

    @Test("Declaring again changes what is recorded, and keeps its place")
    func redeclared() {
        var topology = recorded([queue("a"), queue("b")])
        let changed = AMQPQueue("a", isDurable: false)
        let state = AMQPQueue.State(name: "a", messageCount: 0, consumerCount: 0)
        topology.record(.declareQueue(changed, passive: false), .queue(state))
        #expect(topology.entities == [.queue(changed), .queue(AMQPQueue("b"))])
    }

    @Test("Asking whether something exists, and purging, record nothing")
    func passive() {
        let topology = recorded([
            .declareQueue(AMQPQueue("q"), passive: true), .declareExchange(AMQPExchange("e"), passive: true),
            .purgeQueue("q"),
        ])
        #expect(topology.entities.isEmpty)
    }

    @Test("A binding is recorded once, and forgotten when it is removed")
    func bindings() {
        let operations = [exchange("e"), queue("q"), .bind(binding("e", "q")), .bind(binding("e", "q"))]
        #expect(names(recorded(operations)) == ["e", "q", "e>"])
        #expect(names(recorded(operations + [.unbind(binding("e", "q"))])) == ["e", "q"])
    }

    @Test("What is deleted takes its bindings along")
    func deleted() {
        let operations = [exchange("e"), exchange("f"), queue("q"), .bind(binding("e", "q")), .bind(binding("f", "q"))]
        let withoutQueue = recorded(operations + [.deleteQueue("q", ifUnused: false, ifEmpty: false)])
        #expect(names(withoutQueue) == ["e", "f"])
        #expect(names(recorded(operations + [.deleteExchange("e", ifUnused: false)])) == ["f", "q", "f>"])
    }

    @Test("An automatically deleted exchange is forgotten with its last binding, up the chain")
    func autoDeletedExchange() {
        let chain = AMQPBinding(source: "top", destination: .exchange("e"), routingKey: "")
        let operations = [
            exchange("top", autoDelete: true), exchange("e", autoDelete: true), queue("q"), queue("r"), .bind(chain),
            .bind(binding("e", "q")), .bind(binding("e", "r")),
        ]
        #expect(names(recorded(operations + [.unbind(binding("e", "q"))])).contains("e"))
        let last = operations + [.unbind(binding("e", "q")), .unbind(binding("e", "r"))]
        #expect(names(recorded(last)) == ["q", "r"])
        #expect(names(recorded([exchange("unbound", autoDelete: true)])) == ["unbound"])
    }

    @Test("An automatically deleted queue is forgotten with its last consumer, any other is not")
    func autoDeletedQueue() {
        var topology = recorded([queue("auto", autoDelete: true), queue("kept"), .bind(binding("amq.topic", "auto"))])
        topology.lastConsumerLeft("auto")
        topology.lastConsumerLeft("kept")
        #expect(names(topology) == ["kept"])
    }

    @Test("A new name replaces the old one in bindings; the routing keys stay")
    func renamed() {
        var topology = recorded([queue("")])
        topology.record(.bind(AMQPBinding(source: "e", destination: .queue("amq.gen"), routingKey: "amq.gen")), .done)
        #expect(
            topology.operation(restoring: .queue(AMQPQueue("amq.gen"))) == .declareQueue(AMQPQueue(""), passive: false)
        )
        topology.renamed("amq.gen", to: "new")
        let moved = AMQPBinding(source: "e", destination: .queue("new"), routingKey: "amq.gen")
        #expect(topology.entities == [.queue(AMQPQueue("new")), .binding(moved)])
        #expect(topology.translated(.unbind(binding("e", "amq.gen"))) == .unbind(binding("e", "new")))
        topology.record(.deleteQueue("new", ifUnused: false, ifEmpty: false), .messages(0))
        #expect(topology.currentName("amq.gen") == "amq.gen")
    }
}

@Suite("Recovery of a publish") struct PublishRecoveryTests {
    private let message = AMQPMessage(exchange: "mine", routingKey: "k", body: [])
    private let later = ContinuousClock.now + .seconds(600)

    private func end(
        _ error: AMQPError,
        sent: Bool,
        _ whenLost: RecoveringConnection.LostPublish
    ) -> AMQPError? {
        var attempt = PublishRecovery(whenLost, deadline: later)
        do throws(AMQPError) {
            try attempt.failed(error.publishing(wasSent: sent), message)
            return nil
        } catch {
            return error
        }
    }

    @Test("What was not sent is sent over the next channel, whatever ended the last one")
    func unsent() {
        for error in [
            AMQPError(.connectionLost, "x"), AMQPError(.connectionClosed, "x", replyCode: 501),
            AMQPError(.notFound, "no exchange 'mine'", replyCode: 404), AMQPError(.channelClosed, "x"),
        ] {
            #expect(end(error, sent: false, .report) == nil)
        }
    }

    @Test("What was sent and not confirmed is reported as unknown, or sent again if so wanted")
    func sent() {
        for error in [AMQPError(.connectionLost, "x"), AMQPError(.connectionClosed, "x", replyCode: 320)] {
            #expect(end(error, sent: true, .report)?.isOutcomeUnknown == true)
            #expect(end(error, sent: true, .republish) == nil)
        }
    }

    @Test("A message that the broker refused by name went nowhere; others on its channel may be sent again")
    func guilty() {
        for policy in [RecoveringConnection.LostPublish.report, .republish] {
            let own = end(AMQPError(.notFound, "no exchange 'mine' in vhost", replyCode: 404), sent: true, policy)
            #expect(own?.isOutcomeUnknown == false)
        }
        let other = AMQPError(.notFound, "no exchange 'other' in vhost", replyCode: 404)
        #expect(end(other, sent: true, .report)?.isOutcomeUnknown == true)
        #expect(end(other, sent: true, .republish) == nil)
    }

    @Test("What may end the channel or connection again each time is not sent again")
    func unclear() {
        for error in [
            AMQPError(.preconditionFailed, "message size", replyCode: 406),
            AMQPError(.connectionClosed, "x", replyCode: 501),
        ] {
            #expect(end(error, sent: true, .republish)?.isOutcomeUnknown == true)
        }
    }

    @Test("Answers and deadlines are final", arguments: [AMQPError.Code.returned, .nacked, .timedOut, .cancelled])
    func final(_ code: AMQPError.Code) {
        #expect(end(AMQPError(code, "x"), sent: false, .republish)?.code == code)
    }

    @Test("An outage's budget bounds messages and octets, and lets one of any size wait alone")
    func budget() {
        var budget = OutageBudget(.wait(messages: 2, octets: 10))
        #expect(budget.enter(messages: 1, octets: 100) == nil)
        #expect(budget.enter(messages: 1, octets: 1)?.code == .recovering)
        budget.leave(messages: 1, octets: 100)
        #expect(budget.enter(messages: 1, octets: 4) == nil)
        #expect(budget.enter(messages: 1, octets: 4) == nil)
        #expect(budget.enter(messages: 1, octets: 1)?.code == .recovering)
    }
}

import Dispatch
import Glibc
import Synchronization
import Testing

@testable import AMQP

/// What happens between two steps of a recovering connection.
extension RecoveringConnectionTests {
    /// Answers every call as a broker does that takes everything, noting what it is asked, until the client is gone.
    ///
    /// - Parameter first: Called with each method before its answer; true if there is to be none.
    private static func serve(
        _ peer: FakeBroker.Peer,
        queue: String = "q",
        _ first: (UInt16, AMQP.Method) -> Bool = { _, _ in false }
    ) {
        while let (channel, method) = peer.nextMethod() {
            if first(channel, method) { continue }
            switch method {
            case .channelOpen: peer.send(.channelOpenOk, on: channel)
            case .channelClose: peer.send(.channelCloseOk, on: channel)
            case .basicQos: peer.send(.basicQosOk, on: channel)
            case .basicConsume(let consume):
                peer.send(.basicConsumeOk(.init(consumerTag: consume.consumerTag)), on: channel)
            case .basicCancel(let cancel):
                peer.send(.basicCancelOk(.init(consumerTag: cancel.consumerTag)), on: channel)
            case .basicGet: peer.send(.basicGetEmpty, on: channel)
            case .queueDeclare:
                peer.send(.queueDeclareOk(.init(queue: queue, messageCount: 0, consumerCount: 0)), on: channel)
            case .queueBind: peer.send(.queueBindOk, on: channel)
            case .queueUnbind: peer.send(.queueUnbindOk, on: channel)
            case .queuePurge: peer.send(.queuePurgeOk(.init(messageCount: 0)), on: channel)
            case .queueDelete: peer.send(.queueDeleteOk(.init(messageCount: 0)), on: channel)
            case .connectionClose: peer.send(.connectionCloseOk)
            default: break
            }
        }
    }

    private static func deliver(_ tag: UInt64, to consumer: String, on channel: UInt16, _ peer: FakeBroker.Peer) {
        let delivery = AMQP.Method.BasicDeliver(
            consumerTag: consumer,
            deliveryTag: tag,
            isRedelivered: false,
            exchange: "",
            routingKey: "q"
        )
        peer.send(.basicDeliver(delivery), on: channel)
        // The header of an empty body.
        peer.send([2, 0, UInt8(channel), 0, 0, 0, 14, 0, 60] + [UInt8](repeating: 0, count: 12) + [0xCE])
    }

    // MARK: Closing between a start and its registration

    /// A consumer that the broker has started, and that nothing is known of yet.
    private func startedConsumer(
        over broker: FakeBroker
    ) async throws -> (RecoveringConnection, RecoveringChannel, ConsumerSubscription.Start, AMQPConsumer) {
        let connection = try await RecoveringConnection.connect(to: [broker.uri], options: options())
        let channel = try await connection.openChannel()
        let start = ConsumerSubscription.Start(prefetch: 1, noAck: false, isExclusive: false, arguments: [:])
        let started = try await start.perform("q", tag: "t", on: #require(channel.gate.current))
        return (connection, channel, start, started)
    }

    @Test(
        "A consumer whose channel or connection is closed while it is started ends, and is cancelled",
        arguments: [true, false]
    )
    func closedWhileStarting(_ isConnection: Bool) async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            Self.serve(peer)
        }
        let (connection, channel, start, started) = try await startedConsumer(over: broker)
        if isConnection { await connection.close() } else { await channel.close() }
        let error = await #expect(throws: AMQPError.self) {
            _ = try await channel.adopt(started, start, queue: "q", tag: "t", .resume)
        }
        #expect(error?.code == .closed)
        await connection.close()
        #expect(connection.registry.withLock { $0.consumers.isEmpty })
    }

    @Test("A consumer that is started while another one's registration waits is cancelled when the channel is gone")
    func cancelsPhysical() async throws {
        let asked = Asked()
        let broker = FakeBroker { peer in
            peer.handshake()
            Self.serve(peer) { _, method in
                asked.note(method.name)
                return false
            }
        }
        let (connection, channel, start, started) = try await startedConsumer(over: broker)
        // As the end of a channel that cannot be opened again does, for its recovering side only.
        connection.change { $0.machine.removeChannel(channel.id) }
        await #expect(throws: AMQPError.self) {
            _ = try await channel.adopt(started, start, queue: "q", tag: "t", .resume)
        }
        #expect(asked.names.contains("basic.cancel"))
        await connection.close()
    }

    @Test("A channel that is opened while the connection is closed is refused")
    func closedWhileOpening() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            Self.serve(peer)
        }
        let connection = try await RecoveringConnection.connect(to: [broker.uri], options: options())
        let physical = try await #require(connection.live).openChannel()
        await connection.close()
        let error = await #expect(throws: AMQPError.self) { _ = try await connection.register(physical, epoch: 1) }
        #expect(error?.code == .closed)
    }

    @Test("What a consumer gets that was cancelled while it was restarted goes back to its queue")
    func cancelledWhileRestarting() async throws {
        let isStarted = DispatchSemaphore(value: 0)
        let (isAsked, isCancelled) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let asked = Asked()
        let broker = FakeBroker(inTurn: [
            { peer in
                peer.handshake()
                peer.openChannel()
                Self.startConsumer(peer)
                isStarted.wait()
            },
            { peer in
                peer.handshake()
                Self.serve(peer) { channel, method in
                    asked.note(method.name)
                    if case .basicNack(let nack) = method, nack.requeue { asked.note("given back") }
                    if case .basicReject(let reject) = method, reject.requeue { asked.note("given back") }
                    if case .basicConsume = method {
                        isAsked.signal()
                        isCancelled.wait()
                        peer.send(.basicConsumeOk(.init(consumerTag: "mine")), on: channel)
                        Self.deliver(1, to: "mine", on: channel, peer)
                        return true
                    }
                    return false
                }
            },
        ])
        let connection = try await RecoveringConnection.connect(to: [broker.uri], options: options())
        let consumer = try await connection.openChannel().consume("q", tag: "mine")
        isStarted.signal()
        await Self.wait(for: isAsked)
        try await consumer.cancel()
        isCancelled.signal()
        for await state in connection.states where state == .open { break }
        await connection.close()
        #expect(asked.names.contains("basic.cancel"))
        #expect(asked.names.contains("given back"))
    }

    @Test("A consumer that is started late after a recovery goes on once the broker has ended what was given up")
    func startedLate() async throws {
        let isStarted = DispatchSemaphore(value: 0)
        let broker = FakeBroker(inTurn: [
            { peer in
                peer.handshake()
                peer.openChannel()
                Self.startConsumer(peer)
                isStarted.wait()
            },
            { peer in
                peer.handshake()
                var (consumes, probes) = (0, 0)
                var late: UInt16 = 0
                Self.serve(peer) { channel, method in
                    switch method {
                    case .basicConsume:
                        consumes += 1
                        if consumes == 1 {
                            late = channel
                            return true
                        }
                        peer.send(.basicConsumeOk(.init(consumerTag: "mine")), on: channel)
                        Self.deliver(1, to: "mine", on: channel, peer)
                        return true
                    case .basicCancel: return probes < 2
                    case .queueDeclare:
                        probes += 1
                        guard probes == 2 else { return false }
                        peer.send(.basicConsumeOk(.init(consumerTag: "mine")), on: late)
                        peer.send(.basicCancelOk(.init(consumerTag: "mine")), on: late)
                        return false
                    default: return false
                    }
                }
            },
        ])
        var options = options()
        // Twice this is waited for in vain; what is answered is answered sooner on a busy machine, too.
        options.connection.callTimeout = .seconds(1)
        let connection = try await RecoveringConnection.connect(to: [broker.uri], options: options)
        let consumer = try await connection.openChannel().consume("q", tag: "mine")
        isStarted.signal()
        #expect(try await consumer.next()?.routingKey == "q")
        #expect(connection.restoreFailures.count >= 2)
        #expect(connection.restoreFailures.allSatisfy { $0.error.code == .timedOut })
        await connection.close()
    }

    @Test("A consumer that nobody refers to any more is cancelled, gives back what it has, and is not resumed")
    func dropped() async throws {
        let (events, continuation) = AsyncStream<String>.makeStream()
        let broker = FakeBroker(inTurn: [
            { peer in
                peer.handshake()
                Self.serve(peer) { channel, method in
                    switch method {
                    case .basicConsume(let consume):
                        peer.send(.basicConsumeOk(.init(consumerTag: consume.consumerTag)), on: channel)
                        Self.deliver(1, to: consume.consumerTag, on: channel, peer)
                        return true
                    case .basicNack(let nack) where nack.requeue: continuation.yield("given back")
                    case .basicReject(let reject) where reject.requeue: continuation.yield("given back")
                    case .basicCancel: continuation.yield("cancelled")
                    case .queuePurge: shutdown(peer.descriptor, Int32(SHUT_RDWR))
                    default: break
                    }
                    return false
                }
            },
            { peer in
                peer.handshake()
                Self.serve(peer) { _, method in
                    if case .basicConsume = method { continuation.yield("resumed") }
                    return false
                }
            },
        ])
        let connection = try await RecoveringConnection.connect(to: [broker.uri], options: options())
        let channel = try await connection.openChannel()
        _ = try await channel.consume("q", tag: "mine")
        var iterator = events.makeAsyncIterator()
        let two = [await iterator.next(), await iterator.next()]
        #expect(Set(two) == ["cancelled", "given back"])
        try await channel.purgeQueue("q")
        for await state in connection.states where state == .open { break }
        await connection.close()
        continuation.finish()
        #expect(await iterator.next() == nil)
    }

    // MARK: Names that change during an outage

    @Test("What is asked of a server-named queue during an outage reaches the queue under its next name")
    func renamedDuringOutage() async throws {
        let mayAnswer = DispatchSemaphore(value: 0)
        let asked = Asked()
        let broker = FakeBroker(inTurn: [
            { peer in
                peer.handshake()
                Self.serve(peer, queue: "amq.gen-A") { _, method in
                    // Gone with the first question after the declaration.
                    if case .queuePurge = method { shutdown(peer.descriptor, Int32(SHUT_RDWR)) }
                    return false
                }
            },
            { peer in
                mayAnswer.wait()
                peer.handshake()
                Self.serve(peer, queue: "amq.gen-B") { _, method in
                    switch method {
                    case .queueBind(let bind): asked.note("bind \(bind.queue)")
                    case .queuePurge(let purge): asked.note("purge \(purge.queue)")
                    case .queueDelete(let delete): asked.note("delete \(delete.queue)")
                    case .basicGet(let get): asked.note("get \(get.queue) \(get.noAck)")
                    default: break
                    }
                    return false
                }
            },
        ])
        let connection = try await RecoveringConnection.connect(to: [broker.uri], options: options())
        let channel = try await connection.openChannel()
        let queue = try await channel.declareQueue(exclusive: true).name
        #expect(queue == "amq.gen-A")
        let purge = Task { try await channel.purgeQueue(queue) }
        for await state in connection.states {
            if case .recovering = state { break }
        }
        // Immediate: each has come to its wait for the next connection when the next statement runs.
        let bind = Task.immediate { try await channel.bindQueue(queue, to: "amq.topic", routingKey: "k") }
        let get = Task.immediate { _ = try await channel.get(queue) }
        let getUnacknowledged = Task.immediate { _ = try await channel.get(queue, noAck: true) }
        mayAnswer.signal()
        _ = try await purge.value
        try await bind.value
        try await get.value
        try await getUnacknowledged.value
        try await channel.deleteQueue(queue)
        await connection.close()
        #expect(
            asked.names.sorted() == [
                "bind amq.gen-B", "delete amq.gen-B", "get amq.gen-B false", "get amq.gen-B true", "purge amq.gen-B",
            ]
        )
    }

    // MARK: Closing a connection that answers nothing

    /// Far beyond the time that the test may take.
    private func patientOptions() -> RecoveringConnection.Options {
        var options = options()
        options.connection.callTimeout = .seconds(600)
        options.connection.closeTimeout = .seconds(600)
        return options
    }

    @Test("Closing waits for no answer of a broker that is frozen: not for a consumer's, nor for the goodbye's")
    func closeFrozen() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            Self.startConsumer(peer)
            peer.drain()
        }
        let connection = try await RecoveringConnection.connect(to: [broker.uri], options: patientOptions())
        let consumer = try await connection.openChannel().consume("q", tag: "mine")
        await connection.close(within: .zero)
        #expect(try await consumer.next() == nil)
    }

    @Test("Closing waits for no channel that a frozen broker does not open again")
    func closeReopening() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            peer.send(
                .channelClose(.init(replyCode: 404, replyText: "NOT_FOUND", classID: 50, methodID: 10)),
                on: 1
            )
            peer.drain()
        }
        let connection = try await RecoveringConnection.connect(to: [broker.uri], options: patientOptions())
        let channel = try await connection.openChannel()
        let physical = channel.gate.current
        while channel.gate.current != nil, channel.gate.current === physical { await Task.yield() }
        await connection.close(within: .zero)
        #expect(connection.isClosed)
    }

    @Test("A shorter time for closing overtakes a longer one")
    func closeSooner() async throws {
        let broker = FakeBroker { peer in
            peer.handshake()
            peer.openChannel()
            Self.startConsumer(peer)
            peer.drain()
        }
        let connection = try await RecoveringConnection.connect(to: [broker.uri], options: patientOptions())
        let consumer = try await connection.openChannel().consume("q", tag: "mine")
        let patient = Task.immediate { await connection.close(within: .seconds(600)) }
        await connection.close(within: .zero)
        await patient.value
        #expect(try await consumer.next() == nil)
    }

    /// Waits for a script, which runs on a thread of its own.
    private static func wait(for semaphore: DispatchSemaphore) async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                semaphore.wait()
                continuation.resume()
            }
        }
    }
}

/// What a scripted server was asked, in order.
private final class Asked: Sendable {
    private let list = Mutex<[String]>([])

    var names: [String] { list.withLock { $0 } }

    func note(_ name: String) { list.withLock { $0.append(name) } }
}

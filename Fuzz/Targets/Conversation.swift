internal import AMQP
internal import Dispatch
internal import Glibc
internal import Transport

private let loop = EventLoop(name: "celeriac-fuzz")

/// Runs whole tasks on the loop, so that the input alone decides about the order of things.
private final class LoopTasks: TaskExecutor {
    static let shared = LoopTasks()

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

func fuzzConversation(_ bytes: [UInt8]) throws(Finding) {
    let done = DispatchSemaphore(value: 0)
    let conversation = Conversation(bytes, done)
    loop.execute { conversation.begin() }
    done.wait()
    if let finding = conversation.finding { throw finding }
}

/// One connection whose server is the input, decision by decision.
///
/// The octets go straight to the connection, as its stream would hand them over; what it sends is read from the other
/// end of a socket pair. Whatever happens, all callers are answered once the stream has ended.
///
// Soundness of @unchecked Sendable: used on the loop only, and after the semaphore by the thread that waits for it.
private final class Conversation: @unchecked Sendable {
    private(set) var finding: Finding?
    private var input: FuzzInput
    private let done: DispatchSemaphore
    private var peer: Int32 = -1
    private var stream: ByteStream?
    private var connection: AMQPConnection?
    private var frames = ClientFrames()
    /// What has arrived and was not taken yet: it comes again with more.
    private var pending: [UInt8] = []
    private var channels: [AMQPChannel] = []
    private var consumers: [AMQPConsumer] = []
    private var tasks: [Task<Void, Never>] = []
    private var running = 0
    private var steps = 0

    init(_ bytes: [UInt8], _ done: DispatchSemaphore) {
        input = FuzzInput(bytes)
        self.done = done
    }

    func begin() {
        var pair: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &pair) == 0 else {
            finding = Finding("no socket pair: \(errno)")
            done.signal()
            return
        }
        peer = pair[1]
        let stream = ByteStream(descriptor: pair[0], peer: "fuzzer", on: loop)
        self.stream = stream
        var options = AMQPConnection.Options()
        let choice = input.byte()
        options.maximumBodySize = 1 << 16
        options.publishWindow = choice & 1 == 0 ? 1 : 1000
        options.inboxLimit = choice & 2 == 0 ? 2 : 100
        options.channelMax = choice & 4 == 0 ? 2 : 100
        options.frameMax = choice & 8 == 0 ? 4096 : 0
        options.heartbeat = .zero
        let connection = AMQPConnection(stream: stream, login: options.login(AMQPURI()), options: options)
        self.connection = connection
        start { connection in try? await connection.open(deadline: .now + .seconds(60)) }
        awaitGreeting()
    }

    /// A stream is nobody's until the connection has been started on it.
    private func awaitGreeting() {
        loop.execute { [self] in
            readOutput()
            if frames.hasGreeted || finding != nil { step() } else { awaitGreeting() }
        }
    }

    private func step() {
        loop.execute { [self] in
            readOutput()
            guard !input.isEmpty, steps < 4096, finding == nil else { return finish() }
            steps += 1
            act()
            step()
        }
    }

    // MARK: What the input decides

    private func act() {
        let decision = input.byte()
        switch decision & 0x1F {
        case 0: arrive(input.lengthAndOctets())
        case 1: arriveFrame(1, channel: input.byte(), methodPayload())
        case 2: arriveFrame(2, channel: input.byte(), headerPayload())
        case 3: arriveFrame(3, channel: input.byte(), input.lengthAndOctets())
        case 4: handshake()
        case 5: arrive(.channelOpenOk, on: input.byte())
        case 6:
            arrive(
                .basicAck(.init(deliveryTag: UInt64(input.byte()), multiple: decision & 0x20 != 0)),
                on: input.byte()
            )
        case 7: deliver(on: input.byte())
        case 8: open()
        case 9: with(channel()) { _ = try await $0.declareQueue("q") }
        case 10: publish(confirmed: true, octets: Int(input.byte()))
        case 11: publish(confirmed: false, octets: Int(input.byte()) * 64)
        case 12: consume(prefetch: UInt16(input.byte() & 3), noAck: decision & 0x20 != 0)
        case 13: takeDeliveries()
        case 14: with(channel()) { _ = try await $0.get("q", noAck: decision & 0x20 != 0) }
        case 15: with(channel()) { await $0.close() }
        case 16: start { connection in await connection.close() }
        case 17: with(consumer()) { try await $0.cancel() }
        case 18: settle()
        case 19: with(channel()) { _ = try await $0.purgeQueue("q") }
        case 20: for task in tasks { task.cancel() }
        case 21: with(consumer()) { _ = try await $0.next() }
        case 22: with(channel()) { try await $0.setPrefetch(1) }
        case 23: with(channel()) { try await $0.bindQueue("q", to: "e", routingKey: "k") }
        case 24: publishBatch(Int(input.byte() & 15))
        case 25: arrive(.basicConsumeOk(.init(consumerTag: "consumer-1")), on: input.byte())
        default: arrive(input.octets(1))
        }
    }

    private func handshake() {
        let start = Method.ConnectionStart(versionMajor: 0, versionMinor: 9, mechanisms: "PLAIN", locales: "en_US")
        arrive(.connectionStart(start), on: 0)
        arrive(.connectionTune(.init(channelMax: 0, frameMax: 0, heartbeat: 0)), on: 0)
        arrive(.connectionOpenOk, on: 0)
    }

    private func methodPayload() -> [UInt8] {
        let (classID, methodID) = (input.byte(), input.byte())
        return [0, classID, 0, methodID] + input.lengthAndOctets()
    }

    private func headerPayload() -> [UInt8] {
        let size = input.byte()
        return [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, size] + (size & 1 == 0 ? [0, 0] : input.lengthAndOctets())
    }

    /// A message, of one frame each, for the first consumer.
    private func deliver(on channel: UInt8) {
        let (tag, size) = (UInt64(input.byte()), input.byte())
        let deliver = Method.BasicDeliver(consumerTag: "consumer-1", deliveryTag: tag, exchange: "", routingKey: "q")
        arrive(.basicDeliver(deliver), on: channel)
        arriveFrame(2, channel: channel, [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, size, 0, 0])
        if size > 0 { arriveFrame(3, channel: channel, [UInt8](repeating: 0, count: Int(size))) }
    }

    private func arrive(_ method: Method, on channel: UInt8) {
        var bytes: [UInt8] = []
        // What stands here is short enough to be encoded.
        try? FrameEncoder.method(method, channel: UInt16(channel), into: &bytes)
        arrive(bytes)
    }

    private func arriveFrame(_ type: UInt8, channel: UInt8, _ payload: [UInt8]) {
        let size = payload.count
        arrive(
            [type, 0, channel, 0, 0, UInt8(truncatingIfNeeded: size >> 8), UInt8(truncatingIfNeeded: size)] + payload
                + [FrameDecoder.endOctet]
        )
    }

    private func arrive(_ bytes: [UInt8]) {
        guard let connection else { return }
        pending += bytes
        let taken = pending.withUnsafeBytes { connection.received($0) }
        guard taken >= 0, taken <= pending.count else {
            finding = Finding("broken: a connection takes what has arrived, not \(taken) of \(pending.count) octets")
            return
        }
        pending.removeFirst(taken)
        if pending.count > 16 << 20 { finding = Finding("broken: what is left waits for the end of one frame") }
    }

    // MARK: What callers do

    /// Starts a call on the loop; its outcome is of no interest, only that it has one.
    private func start(_ body: @escaping @Sendable (isolated AMQPConnection) async -> Void) {
        guard let connection, tasks.count < 1000 else { return }
        running += 1
        tasks.append(
            Task(executorPreference: LoopTasks.shared) {
                await body(connection)
                self.running -= 1
            }
        )
    }

    private func with<Object: Sendable>(_ object: Object?, _ body: @escaping @Sendable (Object) async throws -> Void) {
        guard let object else { return }
        start { _ in try? await body(object) }
    }

    private func open() {
        start { [self] connection in
            guard let channel = try? await connection.openChannel() else { return }
            channels.append(channel)
        }
    }

    private func channel() -> AMQPChannel? {
        channels.isEmpty ? nil : channels[Int(input.byte()) % channels.count]
    }

    private func consumer() -> AMQPConsumer? {
        consumers.isEmpty ? nil : consumers[Int(input.byte()) % consumers.count]
    }

    private func message(_ octets: Int) -> AMQPMessage {
        AMQPMessage(exchange: "e", routingKey: "k", body: [UInt8](repeating: 0x61, count: octets))
    }

    private func publish(confirmed: Bool, octets: Int) {
        let message = message(octets)
        with(channel()) {
            if confirmed { try await $0.publish(message) } else { try await $0.publishUnconfirmed(message) }
        }
    }

    private func publishBatch(_ count: Int) {
        let messages = [AMQPMessage](repeating: message(5000), count: count)
        with(channel()) { _ = await $0.publish(messages) }
    }

    private func consume(prefetch: UInt16, noAck: Bool) {
        with(channel()) { [self] in
            let consumer = try await $0.consume("q", prefetch: prefetch, noAck: noAck)
            loop.execute { self.consumers.append(consumer) }
        }
    }

    private func takeDeliveries() {
        guard let consumer = consumer() else { return }
        for delivery in consumer.takeAvailable(upTo: Int(input.byte() & 7)) {
            settle(delivery.tag, on: consumer.channel, acknowledging: true)
        }
    }

    private func settle() {
        guard let channel = channel() else { return }
        let tag = DeliveryTag(number: UInt64(input.byte()), instance: channel.instance)
        settle(tag, on: channel, acknowledging: input.byte() & 1 == 0)
    }

    private func settle(_ tag: DeliveryTag, on channel: AMQPChannel, acknowledging: Bool) {
        do throws(AMQPError) {
            if acknowledging { try channel.acknowledge(tag) } else { try channel.reject(tag, requeue: true) }
        } catch {
            // Whatever the peer has done: a delivery of a channel that is gone is the one thing that may be refused.
            precondition(error.code == .staleDelivery, "a settlement failed with \(error)")
        }
    }

    // MARK: What comes of it

    private func readOutput() {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while finding == nil {
            let count = read(peer, &chunk, chunk.count)
            guard count > 0 else { return }
            do throws(Finding) {
                try frames.received(Array(chunk[..<count]))
            } catch {
                finding = error
            }
        }
    }

    /// Hangs up, and waits for all callers to have heard of it.
    private func finish() {
        stream?.abort(TransportError(.closedByPeer, "the fuzzer hung up"))
        settleCalls(roundsLeft: 1000)
    }

    private func settleCalls(roundsLeft: Int) {
        guard running > 0, roundsLeft > 0 else {
            if running > 0, finding == nil { finding = Finding("broken: \(running) callers wait for ever") }
            if connection?.closeReason == nil, finding == nil { finding = Finding("broken: the connection has an end") }
            close(peer)
            done.signal()
            return
        }
        loop.execute { self.settleCalls(roundsLeft: roundsLeft - 1) }
    }
}

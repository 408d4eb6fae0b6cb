internal import AMQP
internal import CeleriacCore
internal import Synchronization

/// The consumers of one channel, one for each queue, and the way their deliveries are settled.
final class Subscription: Sendable {
    private let channel: AMQPChannel
    private let consumers: [(queue: QueueName, consumer: AMQPConsumer)]
    private let source: ChannelSource
    private let merged: MergedInbox?

    init(channel: AMQPChannel, consumers: [(QueueName, AMQPConsumer)], logger: TaskLogger) {
        self.channel = channel
        self.consumers = consumers.map { (queue: $0.0, consumer: $0.1) }
        source = ChannelSource(channel, logger: logger)
        // One queue, the common case, is taken from directly.
        merged =
            consumers.count > 1
            ? MergedInbox(self.consumers) { channel.giveBack($0) } : nil
    }

    func next() async throws(AMQPError) -> Delivery? {
        // Counted before it is taken, so that the channel is not closed under it.
        source.lend()
        var isLent = false
        defer { if !isLent { source.takeBack() } }
        guard let delivery = try await take() else { return nil }
        isLent = true
        return delivery
    }

    private func take() async throws(AMQPError) -> Delivery? {
        if let merged {
            guard let (delivery, queue) = try await merged.next() else { return nil }
            return Delivery(delivery, from: queue, source: source)
        }
        guard let (queue, consumer) = consumers.first, let delivery = try await consumer.next() else { return nil }
        return Delivery(delivery, from: queue, source: source)
    }

    /// Ends the flow and gives back what was fetched and not taken; what was taken can be settled still.
    ///
    /// The channel closes with the last of that.
    func stop() async {
        for (_, consumer) in consumers {
            do throws(AMQPError) {
                try await consumer.cancel()
                giveBackAvailable(of: consumer)
            } catch {
                // The wait was cancelled or too long: what arrives before the answer goes back when that comes. Of a
                // channel that is gone everything has gone back already.
                giveBackAvailable(of: consumer)
                consumer.onEnd { [self] _ in giveBackAvailable(of: consumer) }
            }
        }
        for delivery in merged?.end() ?? [] { channel.giveBack(delivery) }
        // Waits, unlike the last settlement: the broker has everything back when this returns.
        if source.isLastReturn() { await channel.close() }
    }

    private func giveBackAvailable(of consumer: AMQPConsumer) {
        for delivery in consumer.takeAvailable() { channel.giveBack(delivery) }
    }
}

/// Settles deliveries on the channel they came over, and closes it when nobody needs it any more.
///
/// A channel's tags begin with 1 on each, so a settlement can never reach another channel: a source knows only its own.
final class ChannelSource: DeliverySource {
    private let channel: AMQPChannel
    /// Who holds a delivery, or is about to; and one more as long as the source's maker has not taken that back.
    private let lent = Atomic<Int>(1)
    private let logger: TaskLogger
    private let hasWarned = Atomic<Bool>(false)

    init(_ channel: AMQPChannel, logger: TaskLogger) {
        self.channel = channel
        self.logger = logger
    }

    func lend() { lent.add(1, ordering: .relaxed) }

    /// Whoever is the last closes the channel: lanes that the end of their consumer has woken may come back here long
    /// after whoever saw to that end.
    func takeBack() {
        if isLastReturn() { channel.closeLater() }
    }

    /// Takes back without closing.
    ///
    /// - Returns: Whether nobody needs the channel any more.
    func isLastReturn() -> Bool { lent.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 }

    /// Once, as a consumer that does so will do it again and again.
    func abandon(_ tag: UInt64) {
        if !hasWarned.exchange(true, ordering: .relaxed) {
            logger.warning("a delivery was dropped without being settled; it goes back to its queue")
        }
        settle(tag, as: .returned)
    }

    func settle(_ tag: UInt64, as settlement: Settlement) {
        // Afterwards, so that a channel closed meanwhile sends it first.
        defer { takeBack() }
        let tag = DeliveryTag(number: tag, instance: channel.instance)
        do throws(AMQPError) {
            switch settlement {
            case .acknowledged: try channel.acknowledge(tag)
            case .returned: try channel.nack(tag, requeue: true)
            case .rejected: try channel.reject(tag, requeue: false)
            }
        } catch {
            // The channel is gone, so the broker delivers the message again: at least once is what the seam promises.
            assert(error.code == .staleDelivery, "settling fails in no other way")
        }
    }
}

extension AMQPChannel {
    /// Gives a delivery back; of a channel that is gone it goes back by itself.
    func giveBack(_ delivery: AMQPDelivery) {
        do throws(AMQPError) {
            try nack(delivery.tag, requeue: true)
        } catch {
            assert(error.code == .staleDelivery, "settling fails in no other way")
        }
    }
}

extension Delivery {
    init(_ delivery: AMQPDelivery, from queue: QueueName, source: ChannelSource) {
        self.init(
            message: Message(delivery.properties, body: delivery.body),
            exchange: delivery.exchange,
            routingKey: delivery.routingKey,
            queue: queue,
            isRedelivered: delivery.isRedelivered,
            tag: delivery.tag.number,
            source: source
        )
    }
}

/// Brings the deliveries of several consumers together, for any number of takers.
///
/// Bounded by the consumers' prefetch. One task for each consumer moves what has arrived, as much at a time as there is.
final class MergedInbox: Sendable {
    typealias Item = (delivery: AMQPDelivery, queue: QueueName)

    private enum Taken {
        case item(Item)
        case end(AMQPError?)
    }

    private struct State {
        var items: [Item] = []
        var head = 0
        var nextWaiter = 0
        var waiters: [(number: Int, continuation: CheckedContinuation<Taken, Never>)] = []
        var end: AMQPError??
        var pumps: [Task<Void, Never>] = []
        var running: Int
        var isEnded = false

        mutating func popItem() -> Item? {
            guard head < items.count else { return nil }
            defer {
                head += 1
                if head == items.count {
                    items.removeAll(keepingCapacity: true)
                    head = 0
                }
            }
            return items[head]
        }
    }

    private let state: Mutex<State>
    private let giveBack: @Sendable (AMQPDelivery) -> Void

    /// - Parameter giveBack: Takes what arrives when nobody will take it any more.
    init(
        _ consumers: [(queue: QueueName, consumer: AMQPConsumer)],
        giveBack: @escaping @Sendable (AMQPDelivery) -> Void
    ) {
        state = Mutex(State(running: consumers.count))
        self.giveBack = giveBack
        let pumps = consumers.map { queue, consumer in
            // Ends with its consumer, or when `end()` cancels it.
            Task { [weak self] in
                do throws(AMQPError) {
                    while let first = try await consumer.next() {
                        let arrived = [first] + consumer.takeAvailable(upTo: 256)
                        guard let self else { return arrived.forEach(giveBack) }
                        self.push(arrived.map { (delivery: $0, queue: queue) })
                    }
                    self?.consumerEnded()
                } catch {
                    self?.finish(error)
                }
            }
        }
        state.withLock { $0.pumps = pumps }
    }

    func next() async throws(AMQPError) -> Item? {
        if let item = state.withLock({ $0.popItem() }) { return item }
        let number = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        let taken = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let immediate: Taken? = state.withLock { state in
                    if let item = state.popItem() { return .item(item) }
                    if let end = state.end { return .end(end) }
                    if Task.isCancelled { return .end(Self.cancelled) }
                    state.waiters.append((number, continuation))
                    return nil
                }
                if let immediate { continuation.resume(returning: immediate) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                state.waiters.firstIndex { $0.number == number }.map { state.waiters.remove(at: $0).continuation }
            }
            waiter?.resume(returning: .end(Self.cancelled))
        }
        switch taken {
        case .item(let item): return item
        case .end(let error?): throw error
        case .end(nil): return nil
        }
    }

    /// Wakes all takers with the end.
    ///
    /// - Returns: What had arrived and nobody took.
    func end() -> [AMQPDelivery] {
        let (pumps, left) = state.withLock { state in
            state.isEnded = true
            defer {
                state.items = []
                state.head = 0
            }
            return (state.pumps, state.items[state.head...].map(\.delivery))
        }
        for pump in pumps { pump.cancel() }
        finish(nil)
        return left
    }

    private static let cancelled = AMQPError(.cancelled, "waiting for a delivery was cancelled")

    private func push(_ arrived: [Item]) {
        let served: [(CheckedContinuation<Taken, Never>, Item)]? = state.withLock { state in
            guard !state.isEnded else { return nil }
            state.items += arrived
            var served: [(CheckedContinuation<Taken, Never>, Item)] = []
            while !state.waiters.isEmpty, let item = state.popItem() {
                served.append((state.waiters.removeFirst().continuation, item))
            }
            return served
        }
        guard let served else { return arrived.map(\.delivery).forEach(giveBack) }
        for (waiter, item) in served { waiter.resume(returning: .item(item)) }
    }

    /// The end is reached in order when no consumer is left.
    private func consumerEnded() {
        let isLast = state.withLock { state in
            state.running -= 1
            return state.running == 0
        }
        if isLast { finish(nil) }
    }

    private func finish(_ error: AMQPError?) {
        let waiters = state.withLock { state in
            if state.end == nil { state.end = .some(error) }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(returning: .end(error)) }
    }
}

internal import AMQP
internal import CeleriacCore
internal import Synchronization

/// The consumers of one channel, one for each queue, and the way their deliveries are settled.
final class Subscription: Sendable {
    private let channel: AMQPChannel
    private let consumers: [(queue: QueueName, consumer: AMQPConsumer)]
    private let source: ChannelSource
    private let merged: MergedInbox?

    init(channel: AMQPChannel, consumers: [(QueueName, AMQPConsumer)]) {
        self.channel = channel
        self.consumers = consumers.map { (queue: $0.0, consumer: $0.1) }
        source = ChannelSource(channel)
        // One queue, the common case, is taken from directly.
        merged = consumers.count > 1 ? MergedInbox(self.consumers) : nil
    }

    func next() async throws(AMQPError) -> Delivery? {
        if let merged {
            guard let (delivery, queue) = try await merged.next() else { return nil }
            return Delivery(delivery, from: queue, source: source)
        }
        guard let (queue, consumer) = consumers.first, let delivery = try await consumer.next() else { return nil }
        return Delivery(delivery, from: queue, source: source)
    }

    /// Ends the flow and gives back what was fetched and not taken; what was taken can be settled still.
    func stop() async {
        for (_, consumer) in consumers {
            do throws(AMQPError) {
                try await consumer.cancel()
            } catch {
                continue  // the channel is gone, and with it the broker has taken everything back
            }
            for delivery in consumer.takeAvailable() { channel.nack(delivery.tag, requeue: true) }
        }
        for delivery in merged?.end() ?? [] { channel.nack(delivery.tag, requeue: true) }
    }

    /// Forgets a subscription that is lost.
    func end() {
        _ = merged?.end()
    }
}

/// Settles deliveries on the channel they came over.
///
/// A channel's tags begin with 1 on each, so a settlement can never reach another channel: a source knows only its own.
final class ChannelSource: DeliverySource {
    private let channel: AMQPChannel

    init(_ channel: AMQPChannel) {
        self.channel = channel
    }

    func settle(_ tag: UInt64, as settlement: Settlement) {
        let tag = DeliveryTag(number: tag, instance: channel.instance)
        switch settlement {
        case .acknowledged: channel.acknowledge(tag)
        case .returned: channel.nack(tag, requeue: true)
        case .rejected: channel.reject(tag, requeue: false)
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

    private let state = Mutex(State())

    init(_ consumers: [(queue: QueueName, consumer: AMQPConsumer)]) {
        let pumps = consumers.map { queue, consumer in
            // Ends with its consumer, or when `end()` cancels it.
            Task { [weak self] in
                do throws(AMQPError) {
                    while let first = try await consumer.next() {
                        let arrived = [first] + consumer.takeAvailable(upTo: 256)
                        guard let self else { return }
                        self.push(arrived.map { (delivery: $0, queue: queue) })
                    }
                    self?.finish(nil)
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
        let served = state.withLock { state in
            state.items += arrived
            var served: [(CheckedContinuation<Taken, Never>, Item)] = []
            while !state.waiters.isEmpty, let item = state.popItem() {
                served.append((state.waiters.removeFirst().continuation, item))
            }
            return served
        }
        for (waiter, item) in served { waiter.resume(returning: .item(item)) }
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

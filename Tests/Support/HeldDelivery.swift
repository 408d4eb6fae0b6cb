public import CeleriacCore
internal import Synchronization

/// A delivery in a box, so that tests can keep several; dropped unsettled like the delivery itself.
public final class HeldDelivery: Sendable, Equatable {
    /// The message.
    public let message: Message
    /// The exchange it came through.
    public let exchange: String
    /// The routing key it came with.
    public let routingKey: String
    /// The queue it was taken from.
    public let queue: QueueName
    /// Whether it was delivered before.
    public let isRedelivered: Bool
    private let delivery: Mutex<Delivery?>

    /// Takes over a delivery.
    public init(_ delivery: consuming Delivery) {
        message = delivery.message
        exchange = delivery.exchange
        routingKey = delivery.routingKey
        queue = delivery.queue
        isRedelivered = delivery.isRedelivered
        self.delivery = Mutex(consume delivery)
    }

    /// The body as text.
    public var text: String { message.text }

    /// Whether both are the same box.
    public static func == (left: HeldDelivery, right: HeldDelivery) -> Bool { left === right }

    /// Tells the broker that the message is done with.
    public func acknowledge() { delivery.withLock { $0.take() }?.acknowledge() }

    /// Gives the message back to its queue.
    public func giveBack() { delivery.withLock { $0.take() }?.giveBack() }

    /// Drops the message.
    public func reject() { delivery.withLock { $0.take() }?.reject() }
}

extension MessageConsumer {
    /// The next delivery; fails if none comes in time, or the consumer was stopped.
    public func take(within limit: Duration = .seconds(20)) async throws -> HeldDelivery {
        try await withDeadline(limit, "a delivery comes") {
            guard let delivery = try await self.next() else { throw NotInTime(description: "the consumer was stopped") }
            return HeldDelivery(delivery)
        }
    }

    /// The bodies of the next deliveries, which are acknowledged.
    public func texts(_ count: Int) async throws -> [String] {
        var texts: [String] = []
        for _ in 0..<count {
            let delivery = try await take()
            texts.append(delivery.text)
            delivery.acknowledge()
        }
        return texts
    }

    /// Waits for the next delivery; `nil` once the consumer was stopped.
    public func takeOrEnd() async throws -> HeldDelivery? {
        try await withDeadline(.seconds(20), "a delivery comes or the consumer ends") {
            guard let delivery = try await self.next() else { return HeldDelivery?.none }
            return HeldDelivery(delivery)
        }
    }
}

extension Broker {
    /// Takes one message without subscribing, polling until one is there.
    public func take(from queue: QueueName) async throws -> HeldDelivery {
        var held: HeldDelivery?
        try await eventually("a message is in \(queue)") {
            guard let delivery = try await self.get(queue) else { return false }
            held = HeldDelivery(delivery)
            return true
        }
        guard let held else { throw NotInTime(description: "no message in \(queue)") }
        return held
    }

    /// Whether nothing is ready in a queue.
    public func isEmpty(_ queue: QueueName) async throws -> Bool {
        guard let delivery = try await get(queue) else { return true }
        delivery.giveBack()
        return false
    }
}

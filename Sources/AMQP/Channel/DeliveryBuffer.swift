/// Deliveries in their order, and what their bodies weigh.
package struct DeliveryBuffer: Sendable {
    private var deliveries = RingBuffer<AMQPDelivery>()
    /// Octets of all bodies.
    package private(set) var octets = 0

    package init() {}

    package var count: Int { deliveries.count }
    package var isEmpty: Bool { deliveries.isEmpty }

    package mutating func append(_ delivery: consuming AMQPDelivery) {
        octets += delivery.body.count
        deliveries.append(delivery)
    }

    package mutating func prepend(_ delivery: AMQPDelivery) {
        octets += delivery.body.count
        deliveries.prepend(delivery)
    }

    package mutating func popFirst() -> AMQPDelivery? {
        guard let delivery = deliveries.popFirst() else { return nil }
        octets -= delivery.body.count
        return delivery
    }

    /// Appends all that another one has, which is empty afterwards; an empty one just changes places with it.
    package mutating func takeAll(from other: inout DeliveryBuffer) {
        guard !isEmpty else { return swap(&self, &other) }
        while let delivery = other.popFirst() { append(delivery) }
    }
}

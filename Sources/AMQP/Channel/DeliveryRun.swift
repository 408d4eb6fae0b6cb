/// Deliveries for one consumer whose tags follow each other.
package struct DeliveryRun: Sendable {
    package internal(set) var consumerTag: String?
    package internal(set) var firstTag: UInt64 = 0
    package var deliveries = DeliveryBuffer()

    package init() {}

    /// Whether a delivery continues the run.
    func mayBegin(_ deliver: Method.BasicDeliver) -> Bool {
        guard let consumerTag else { return true }
        return deliver.deliveryTag == firstTag &+ UInt64(deliveries.count) && deliver.consumerTag == consumerTag
    }

    mutating func append(_ content: consuming ContentAssembler.Content, _ instance: UInt64) {
        guard case .deliver(let deliver) = content.carrier else { return }
        if consumerTag == nil { (consumerTag, firstTag) = (deliver.consumerTag, deliver.deliveryTag) }
        deliveries.append(
            AMQPDelivery(
                tag: DeliveryTag(number: deliver.deliveryTag, instance: instance),
                isRedelivered: deliver.isRedelivered,
                exchange: deliver.exchange,
                routingKey: deliver.routingKey,
                properties: content.properties,
                body: content.body
            )
        )
    }

    /// Leaves the deliveries without a number by which to settle them.
    mutating func removeNumbers() {
        for _ in 0..<deliveries.count {
            guard var delivery = deliveries.popFirst() else { return }
            delivery.tag = DeliveryTag(number: 0, instance: delivery.tag.instance)
            deliveries.append(delivery)
        }
    }
}

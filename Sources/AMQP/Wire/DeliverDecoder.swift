/// Decodes `basic.deliver`, of which one mostly resembles the last: a name that repeats is not built again.
package struct DeliverDecoder: Sendable {
    private struct Name: Sendable {
        var octets: [UInt8] = []
        var text = ""

        mutating func text(of octets: UnsafeRawBufferPointer) -> String {
            if !octets.hasSameOctets(as: self.octets) {
                self.octets = Array(octets)
                text = ShortString.decode(octets)
            }
            return text
        }
    }

    private var consumerTag = Name()
    private var exchange = Name()
    private var routingKey = Name()

    package init() {}

    /// The delivery in a method frame's payload; `nil` if it is another method.
    package mutating func decode(_ payload: UnsafeRawBufferPointer) throws(FrameError) -> Method.BasicDeliver? {
        var cursor = Cursor(payload)
        guard payload.count >= 4, try cursor.uint32() == 60 << 16 | 60 else { return nil }
        let consumerTag = consumerTag.text(of: try cursor.shortOctets())
        let deliveryTag = try cursor.uint64()
        let bits = try cursor.uint8()
        let deliver = Method.BasicDeliver(
            consumerTag: consumerTag,
            deliveryTag: deliveryTag,
            isRedelivered: bits & 1 != 0,
            exchange: exchange.text(of: try cursor.shortOctets()),
            routingKey: routingKey.text(of: try cursor.shortOctets())
        )
        try cursor.end()
        return deliver
    }
}

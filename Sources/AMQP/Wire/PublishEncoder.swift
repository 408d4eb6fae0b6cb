/// Encodes the publishes of one channel, of which one mostly resembles the last: what repeats is copied as octets.
package struct PublishEncoder: Sendable {
    private var exchange = ""
    private var routingKey = ""
    private var isMandatory = false
    /// The whole method frame for these; empty at first.
    private var method: [UInt8] = []

    /// Those of the last message: holding them keeps a change from passing for the same.
    private var properties = BasicProperties()
    /// Their octets, once they have come twice in a row.
    private var list: [UInt8] = []
    private let channel: UInt16

    package init(channel: UInt16) {
        self.channel = channel
    }

    /// Appends the `publish` method and the content header of one message; the body frames follow.
    package mutating func encode(
        _ message: AMQPMessage,
        maximumFrameSize: Int,
        into output: inout [UInt8]
    ) throws(FrameError) {
        if method.isEmpty || message.isMandatory != isMandatory || !Self.areEqual(message.routingKey, routingKey)
            || !Self.areEqual(message.exchange, exchange)
        {
            try encodeMethod(message)
        }
        output += method
        let start = output.count
        output.append(FrameType.header.rawValue)
        output.appendInteger(channel)
        output.appendInteger(UInt32(0))
        output.appendInteger(UInt32(60) << 16)  // class, weight
        output.appendInteger(UInt64(message.body.count))
        try encodeProperties(message.properties, into: &output)
        output.append(FrameDecoder.endOctet)
        let size = output.count - start
        guard size <= maximumFrameSize else { throw .headersTooLarge(octets: size, limit: maximumFrameSize) }
        output.patchLength(UInt32(size - FrameDecoder.overhead), at: start + 3)
    }

    private mutating func encodeMethod(_ message: AMQPMessage) throws(FrameError) {
        let publish = Method.BasicPublish(
            exchange: message.exchange,
            routingKey: message.routingKey,
            isMandatory: message.isMandatory
        )
        method.removeAll(keepingCapacity: true)
        do throws(FrameError) {
            try FrameEncoder.method(.basicPublish(publish), channel: channel, into: &method)
        } catch {
            method.removeAll()
            throw error
        }
        (exchange, routingKey, isMandatory) = (message.exchange, message.routingKey, message.isMandatory)
    }

    private mutating func encodeProperties(
        _ properties: BasicProperties,
        into output: inout [UInt8]
    ) throws(FrameError) {
        guard properties.isIdentical(to: self.properties) else {
            self.properties = properties
            list.removeAll(keepingCapacity: true)
            return try properties.encode(into: &output)
        }
        if list.isEmpty {
            do throws(FrameError) {
                try properties.encode(into: &list)
            } catch {
                list.removeAll()
                throw error
            }
        }
        output += list
    }

    /// Octet for octet: Swift's `==` takes composed and decomposed letters for equal.
    private static func areEqual(_ left: String, _ right: String) -> Bool {
        left.utf8.count == right.utf8.count && left.utf8.elementsEqual(right.utf8)
    }
}

/// Encodes the publishes of one channel, of which one mostly resembles the last: what repeats is copied as octets.
package struct PublishEncoder: Sendable {
    private var exchange = ""
    private var routingKey = ""
    private var isMandatory = false
    /// The whole method frame for these; empty at first.
    private var method: [UInt8] = []

    /// Those of the last message: holding them keeps a change from passing for the same.
    private var properties = BasicProperties()
    /// Both frames, once all but the size of the body has come twice in a row; empty else.
    private var frames: [UInt8] = []
    private let channel: UInt16

    /// Where a content header has the size of the body (§4.2.6.1).
    private static let sizeOffset = 11

    package init(channel: UInt16) {
        self.channel = channel
    }

    /// Appends messages whose bodies fit into a frame each, up to the first that cannot be encoded.
    ///
    /// - Returns: The index of that one and what is wrong with it; the end of the run if there is none.
    package mutating func encode(
        _ messages: [AMQPMessage],
        _ run: Range<Int>,
        maximumFrameSize: Int,
        into output: inout [UInt8]
    ) -> (end: Int, failure: FrameError?) {
        let messages = messages.span
        for index in run {
            do throws(FrameError) {
                try encodeWhole(messages[index], maximumFrameSize: maximumFrameSize, into: &output)
            } catch {
                return (index, error)
            }
        }
        return (run.upperBound, nil)
    }

    /// Appends a message whose body fits into a frame, or nothing.
    package mutating func encodeWhole(
        _ message: AMQPMessage,
        maximumFrameSize: Int,
        into output: inout [UInt8]
    ) throws(FrameError) {
        try encode(message, maximumFrameSize: maximumFrameSize, into: &output)
        if !message.body.isEmpty { FrameEncoder.body(message.body, channel: channel, into: &output) }
    }

    /// Appends the `publish` method and the content header of one message, or nothing; the body frames follow.
    package mutating func encode(
        _ message: AMQPMessage,
        maximumFrameSize: Int,
        into output: inout [UInt8]
    ) throws(FrameError) {
        let start = output.count
        do throws(FrameError) {
            try append(message, maximumFrameSize, to: &output)
        } catch {
            // Half a message must not stay in the output.
            output.removeSubrange(start...)
            throw error
        }
    }

    private mutating func append(
        _ message: AMQPMessage,
        _ maximumFrameSize: Int,
        to output: inout [UInt8]
    ) throws(FrameError) {
        let hasSameMethod =
            !method.isEmpty && message.isMandatory == isMandatory && message.routingKey.hasSameOctets(as: routingKey)
            && message.exchange.hasSameOctets(as: exchange)
        let isRepetition = hasSameMethod && message.properties.isIdentical(to: properties)
        guard isRepetition else {
            frames.removeAll(keepingCapacity: true)
            properties = message.properties
            if !hasSameMethod { try encodeMethod(message) }
            output += method
            return try encodeHeader(message, maximumFrameSize, into: &output)
        }
        if frames.isEmpty {
            var encoded = method
            try encodeHeader(message, maximumFrameSize, into: &encoded)
            frames = encoded
        }
        let size = frames.count - method.count
        guard size <= maximumFrameSize else { throw .headersTooLarge(octets: size, limit: maximumFrameSize) }
        let start = output.count
        output.appendOctets(frames)
        output.patch(UInt64(message.body.count), at: start + method.count + Self.sizeOffset)
    }

    private func encodeHeader(
        _ message: AMQPMessage,
        _ maximumFrameSize: Int,
        into output: inout [UInt8]
    ) throws(FrameError) {
        let start = output.count
        output.append(FrameType.header.rawValue)
        output.appendInteger(channel)
        output.appendInteger(UInt32(0))
        output.appendInteger(UInt32(60) << 16)  // class, weight
        output.appendInteger(UInt64(message.body.count))
        try message.properties.encode(into: &output)
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
}

/// Puts a message together from its method, header and body frames.
package struct ContentAssembler: Sendable {
    /// The methods that carry content from a server.
    package enum Carrier: Hashable, Sendable {
        case deliver(Method.BasicDeliver)
        case `return`(Method.BasicReturn)
        case getOk(Method.BasicGetOk)
    }

    package struct Content: Hashable, Sendable {
        package var carrier: Carrier
        package var properties: BasicProperties
        package var body: [UInt8]
    }

    private enum Phase: Sendable { case idle, awaitingHeader, awaitingBody }

    // Plain variables: parts that wait inside an enum's payload would be copied with every frame.
    private var phase = Phase.idle
    private var carrier: Carrier?
    private var deliverDecoder = DeliverDecoder()
    /// Kept from message to message, as the next one's often are the same.
    private var properties = BasicProperties()
    private var body: [UInt8] = []
    private var size = 0
    private let maximumBodySize: Int

    /// Octets reserved for each octet of a first body frame.
    private static let trust = 16

    package init(maximumBodySize: Int) {
        self.maximumBodySize = maximumBodySize
    }

    package var isIdle: Bool { phase == .idle }

    /// The consumer that the message under way is for.
    package var consumerTag: String? {
        if case .deliver(let deliver) = carrier { deliver.consumerTag } else { nil }
    }

    /// Octets of memory that the message under way has taken.
    package var reservedOctets: Int { body.capacity }

    package mutating func begin(_ carrier: Carrier) throws(FrameError) {
        guard isIdle else { throw .unexpectedFrame("a method in the middle of a message") }
        self.carrier = carrier
        phase = .awaitingHeader
    }

    /// Takes a header frame; the whole message, if it has no body.
    package mutating func header(_ payload: UnsafeRawBufferPointer) throws(FrameError) -> Content? {
        guard phase == .awaitingHeader else {
            throw .unexpectedFrame("a content header that follows no method with content")
        }
        let header = try ContentHeader(decoding: payload, resembling: properties)
        // What no body can have is a fault of the peer; what is merely too much is a matter of this message.
        guard header.bodySize <= UInt64(Int64.max) else {
            throw .unexpectedFrame("a content header that announces \(header.bodySize) octets")
        }
        guard header.bodySize <= UInt64(maximumBodySize) else {
            throw .bodyTooLarge(octets: header.bodySize, limit: maximumBodySize)
        }
        properties = header.properties
        size = Int(header.bodySize)
        phase = .awaitingBody
        return size == 0 ? finish([]) : nil
    }

    /// Takes a body frame; the whole message, if it is the last.
    package mutating func body(_ payload: UnsafeRawBufferPointer) throws(FrameError) -> Content? {
        guard phase == .awaitingBody else { throw .unexpectedFrame("a body frame where none is due") }
        if payload.count == size, body.isEmpty { return finish(Array(payload)) }
        guard payload.count <= size - body.count else {
            phase = .idle
            throw .unexpectedFrame("a body longer than the announced \(size) octets")
        }
        // An announcement costs nothing, so room is made in proportion to what has come.
        if body.isEmpty { body.reserveCapacity(min(size, Self.trust * payload.count)) }
        body.append(contentsOf: payload)
        guard body.count == size else { return nil }
        let whole = body
        body = []
        return finish(whole)
    }

    /// Takes frames from the front of received octets for as long as they make up a run of deliveries.
    ///
    /// Most of what a busy connection receives is that, and costs least when it is taken in one go.
    ///
    /// - Parameters:
    ///   - offset: The first frame's; afterwards that of the first frame that is something else or incomplete.
    ///   - instance: Which channel, for the tags of the deliveries.
    ///   - run: An empty one; what was complete before an error is in it, too.
    package mutating func takeDeliveries(
        from bytes: UnsafeRawBufferPointer,
        at offset: inout Int,
        by decoder: FrameDecoder,
        channel: UInt16,
        instance: UInt64,
        into run: inout DeliveryRun
    ) throws(FrameError) {
        while let frame = try decoder.next(in: UnsafeRawBufferPointer(rebasing: bytes[offset...])),
            frame.channel == channel
        {
            let end = offset + frame.payload.count + FrameDecoder.overhead
            let content: Content?
            switch frame.type {
            case .method:
                guard isIdle, let deliver = try deliverDecoder.decode(frame.payload), run.mayBegin(deliver) else {
                    return
                }
                offset = end
                try begin(.deliver(deliver))
                continue
            case .header:
                guard isDelivering else { return }
                offset = end
                content = try header(frame.payload)
            case .body:
                guard isDelivering else { return }
                offset = end
                content = try body(frame.payload)
            case .heartbeat: return
            }
            if let content { run.append(content, instance) }
        }
    }

    private var isDelivering: Bool {
        if case .deliver = carrier { phase != .idle } else { false }
    }

    private mutating func finish(_ body: [UInt8]) -> Content? {
        phase = .idle
        return carrier.take().map { Content(carrier: $0, properties: properties, body: body) }
    }
}

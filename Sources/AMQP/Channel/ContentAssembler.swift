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

    private enum State: Sendable {
        case idle
        case awaitingHeader(Carrier)
        case awaitingBody(Content, size: Int)
    }

    private var state = State.idle
    private let maximumBodySize: Int

    /// Octets reserved for each octet of a first body frame.
    private static let trust = 16

    package init(maximumBodySize: Int) {
        self.maximumBodySize = maximumBodySize
    }

    package var isIdle: Bool {
        if case .idle = state { true } else { false }
    }

    /// Octets of memory that the message under way has taken.
    package var reservedOctets: Int {
        if case .awaitingBody(let content, _) = state { content.body.capacity } else { 0 }
    }

    package mutating func begin(_ carrier: Carrier) throws(FrameError) {
        guard case .idle = state else { throw .unexpectedFrame("a method in the middle of a message") }
        state = .awaitingHeader(carrier)
    }

    /// Takes a header frame; the whole message, if it has no body.
    package mutating func header(_ payload: UnsafeRawBufferPointer) throws(FrameError) -> Content? {
        guard case .awaitingHeader(let carrier) = state else {
            throw .unexpectedFrame("a content header that follows no method with content")
        }
        let header = try ContentHeader(decoding: payload)
        guard header.bodySize <= UInt64(maximumBodySize) else {
            throw .bodyTooLarge(octets: header.bodySize, limit: maximumBodySize)
        }
        let content = Content(carrier: carrier, properties: header.properties, body: [])
        guard header.bodySize > 0 else {
            state = .idle
            return content
        }
        state = .awaitingBody(content, size: Int(header.bodySize))
        return nil
    }

    /// Takes a body frame; the whole message, if it is the last.
    package mutating func body(_ payload: UnsafeRawBufferPointer) throws(FrameError) -> Content? {
        guard case .awaitingBody(var content, let size) = state else {
            throw .unexpectedFrame("a body frame where none is due")
        }
        state = .idle
        guard payload.count <= size - content.body.count else {
            throw .unexpectedFrame("a body longer than the announced \(size) octets")
        }
        if payload.count == size {
            content.body = Array(payload)
            return content
        }
        // An announcement costs nothing, so room is made in proportion to what has come.
        if content.body.isEmpty { content.body.reserveCapacity(min(size, Self.trust * payload.count)) }
        content.body.append(contentsOf: payload)
        guard content.body.count < size else { return content }
        state = .awaitingBody(content, size: size)
        return nil
    }
}

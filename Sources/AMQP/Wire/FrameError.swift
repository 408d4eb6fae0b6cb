/// What can be wrong with octets or frames, in either direction.
///
/// Closed on purpose: whoever handles it handles every case. It never leaves the module bare; see ``AMQPError``.
package enum FrameError: Error, Hashable, Sendable {
    /// A value reaches past the end of what contains it.
    case truncated
    /// Octets are left over after the last value of a method or table.
    case trailingOctets
    /// Tables or arrays are nested deeper than ``FieldTable/maximumNesting``.
    case nestingTooDeep
    case unknownFieldType(UInt8)
    case unknownFrameType(UInt8)
    case unknownMethod(classID: UInt16, methodID: UInt16)
    case frameTooLarge(octets: Int, limit: Int)
    case missingEndOctet
    /// A heartbeat on a channel, or with a payload.
    case malformedHeartbeat
    /// A content header of another class than `basic`.
    case wrongContentClass(UInt16)
    /// A frame of content where none is due, or none where one is.
    case unexpectedFrame(String)
    /// A method that the protocol does not allow in this state.
    case unexpectedMethod(String)
    /// A frame for a channel that is not open.
    case unknownChannel(UInt16)
    /// A confirmation of something never published or already confirmed.
    case unknownConfirmation(UInt64)
    case bodyTooLarge(octets: UInt64, limit: Int)
    /// The peer answered with something that is not AMQP 0-9-1.
    case foreignProtocol(String)
    /// A name that does not fit the wire's 255 octets.
    case shortStringTooLong(octets: Int)
    /// Properties and headers that do not fit one frame, as they must.
    case headersTooLarge(octets: Int, limit: Int)

    /// The reply code with which the connection or channel is closed for it (AMQP 0-9-1 §1.2).
    package var replyCode: UInt16 {
        switch self {
        case .truncated, .trailingOctets, .nestingTooDeep, .unknownFieldType, .shortStringTooLong:
            502
        case .unknownFrameType, .frameTooLarge, .missingEndOctet, .malformedHeartbeat, .wrongContentClass,
            .foreignProtocol, .headersTooLarge:
            501
        case .unknownMethod, .unexpectedMethod, .unknownConfirmation: 503
        case .unknownChannel: 504
        case .unexpectedFrame: 505
        case .bodyTooLarge: 311
        }
    }
}

extension FrameError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .truncated: "a value reaches past the end of its frame"
        case .trailingOctets: "octets are left over after the last value"
        case .nestingTooDeep: "field tables are nested deeper than \(FieldTable.maximumNesting)"
        case .unknownFieldType(let tag): "unknown field type \(tag)"
        case .unknownFrameType(let type): "unknown frame type \(type)"
        case .unknownMethod(let classID, let methodID): "unknown method \(classID).\(methodID)"
        case .frameTooLarge(let octets, let limit): "a frame of \(octets) octets exceeds the negotiated \(limit)"
        case .missingEndOctet: "a frame does not end with its end octet"
        case .malformedHeartbeat: "a heartbeat on a channel, or with a payload"
        case .wrongContentClass(let classID): "a content header of class \(classID)"
        case .unexpectedFrame(let text), .unexpectedMethod(let text): text
        case .unknownChannel(0): "content on channel 0, which is the connection's own"
        case .unknownChannel(let number): "a frame for channel \(number), which is not open"
        case .unknownConfirmation(let tag): "a confirmation of publish \(tag), which is not outstanding"
        case .bodyTooLarge(let octets, let limit): "a body of \(octets) octets exceeds the limit of \(limit)"
        case .foreignProtocol(let name): "the server speaks \(name), not AMQP 0-9-1"
        case .shortStringTooLong(let octets): "a name of \(octets) octets is longer than 255"
        case .headersTooLarge(let octets, let limit): "properties of \(octets) octets exceed a frame of \(limit)"
        }
    }
}

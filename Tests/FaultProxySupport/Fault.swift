/// One of the two ways through a proxy.
public enum Direction: Hashable, Sendable, CaseIterable {
    /// What the client sends.
    case toServer
    /// What the server sends.
    case fromServer

    var opposite: Direction { self == .toServer ? .fromServer : .toServer }
}

/// What a proxy does to a link: one client's connection and the one it has to the server for it.
public enum Fault: Hashable, Sendable {
    /// How a link is cut.
    public enum Cut: Hashable, Sendable {
        /// Both ends see the connection reset.
        case reset
        /// Both ends see an ordinary end of the stream.
        case finish
    }

    /// Nothing; ends what lasts, such as ``blackhole`` and ``stopReading``.
    case pass
    /// Ends both connections. What has passed before still leaves, as far as the kernel takes it at once.
    case cut(Cut)
    /// Swallows octets, and the end of the stream too: the one side believes in a link that the other cannot hear.
    case blackhole
    /// Reads no more, until TCP's windows are full and the sender cannot write.
    case stopReading
    /// Holds octets back for a time each, keeping their order; the next so many octets.
    case delay(Duration, octets: Int = .max)
    /// Writes octet by octet; the next so many octets.
    case dribble(octets: Int = .max)
    /// Flips bits in so many octets at seeded positions among the next ones.
    case corrupt(octets: Int, amongNext: Int)
}

/// A place in the conversation at which a fault happens, counted from when it was armed, over all links together.
public struct FaultPoint: Hashable, Sendable {
    /// Where within a frame.
    public enum Edge: Hashable, Sendable {
        /// Before its first octet has left.
        case before
        /// When half of its octets have left.
        case within
        /// After its last octet has left.
        case after
    }

    enum Event: Hashable, Sendable {
        case octets
        case frames
        case method(AMQPMethodID, Edge)
    }

    /// In which direction the conversation is watched.
    public let direction: Direction
    let event: Event
    let count: Int

    /// After so many octets.
    public static func octets(_ count: Int, _ direction: Direction) -> FaultPoint {
        FaultPoint(direction: direction, event: .octets, count: max(1, count))
    }

    /// After so many complete frames of AMQP.
    public static func frames(_ count: Int, _ direction: Direction) -> FaultPoint {
        FaultPoint(direction: direction, event: .frames, count: max(1, count))
    }

    /// Before, within or after the next frame with a method of AMQP, or a later one.
    public static func method(
        _ method: AMQPMethodID,
        _ direction: Direction,
        _ edge: Edge = .before,
        occurrence: Int = 1
    ) -> FaultPoint {
        FaultPoint(direction: direction, event: .method(method, edge), count: max(1, occurrence))
    }
}

/// A fault that has happened.
public struct FaultOccurrence: Hashable, Sendable {
    /// What happened.
    public let fault: Fault
    /// In which directions; a cut always ends both.
    public let directions: [Direction]
    /// To which link, counted from 1 in the order in which clients came.
    public let link: Int
    /// At which point; `nil` for a fault by command.
    public let point: FaultPoint?
    /// Octets that both ends of the link had sent by then: to the server, from the server.
    public let octets: [Int]
}

/// Names a method of AMQP 0-9-1 by the numbers it has on the wire.
public struct AMQPMethodID: Hashable, Sendable {
    /// The number of its class.
    public let classID: UInt16
    /// Its number in the class.
    public let methodID: UInt16

    /// A method by its numbers.
    public init(_ classID: UInt16, _ methodID: UInt16) {
        self.classID = classID
        self.methodID = methodID
    }

    /// `connection.start`.
    public static let connectionStart = AMQPMethodID(10, 10)
    /// `connection.start-ok`.
    public static let connectionStartOk = AMQPMethodID(10, 11)
    /// `connection.tune`.
    public static let connectionTune = AMQPMethodID(10, 30)
    /// `connection.open`.
    public static let connectionOpen = AMQPMethodID(10, 40)
    /// `connection.open-ok`.
    public static let connectionOpenOk = AMQPMethodID(10, 41)
    /// `connection.close`.
    public static let connectionClose = AMQPMethodID(10, 50)
    /// `connection.blocked`.
    public static let connectionBlocked = AMQPMethodID(10, 60)
    /// `channel.open-ok`.
    public static let channelOpenOk = AMQPMethodID(20, 11)
    /// `channel.close`.
    public static let channelClose = AMQPMethodID(20, 40)
    /// `queue.declare`.
    public static let queueDeclare = AMQPMethodID(50, 10)
    /// `queue.declare-ok`.
    public static let queueDeclareOk = AMQPMethodID(50, 11)
    /// `basic.consume`.
    public static let basicConsume = AMQPMethodID(60, 20)
    /// `basic.consume-ok`.
    public static let basicConsumeOk = AMQPMethodID(60, 21)
    /// `basic.publish`.
    public static let basicPublish = AMQPMethodID(60, 40)
    /// `basic.return`.
    public static let basicReturn = AMQPMethodID(60, 50)
    /// `basic.deliver`.
    public static let basicDeliver = AMQPMethodID(60, 60)
    /// `basic.ack`: a confirmation when it comes from the server, an acknowledgement when the client sends it.
    public static let basicAck = AMQPMethodID(60, 80)
    /// `basic.reject`.
    public static let basicReject = AMQPMethodID(60, 90)
    /// `basic.nack`.
    public static let basicNack = AMQPMethodID(60, 120)
    /// `confirm.select-ok`.
    public static let confirmSelectOk = AMQPMethodID(85, 11)
}

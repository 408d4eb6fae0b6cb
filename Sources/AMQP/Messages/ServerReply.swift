/// What a broker says when it closes a channel or a connection.
public struct ServerReply: Hashable, Sendable {
    /// The number, also where the standard does not know it.
    public let number: UInt16
    /// The broker's own words.
    public let text: String
    /// The method that caused it, such as `queue.declare`, if one did.
    public let method: String?

    init(number: UInt16, text: String, classID: UInt16, methodID: UInt16) {
        self.number = number
        self.text = text
        method = Method.name(classID: classID, methodID: methodID)
    }

    /// The code, if the standard or RabbitMQ names it.
    public var code: ReplyCode? { ReplyCode(rawValue: number) }

    /// A declaration that contradicts what exists.
    public struct Conflict: Hashable, Sendable {
        /// What differs, such as `x-message-ttl` or `durable`.
        public let argument: String
        /// Which queue or exchange, in the broker's words.
        public let entity: String
        /// The value that was declared, or `nil` where there was none.
        public let declared: String?
        /// The value that the queue or exchange has, or `nil` where it has none.
        public let existing: String?
    }

    /// The two values, when a declaration contradicts what exists and the broker tells them.
    public var conflict: Conflict? {
        // "inequivalent arg 'NAME' for ENTITY: received WHAT but current is WHAT", where WHAT is "none", "'V'", or
        // "the value 'V' of type 'T'".
        guard code == .preconditionFailed, let start = text.range(after: "inequivalent arg '") else { return nil }
        let rest = text[start...]
        guard let name = rest.firstRange(upTo: "' for "),
            let entity = rest[name.next...].firstRange(upTo: ": received "),
            let received = rest[entity.next...].firstRange(upTo: " but current is ")
        else { return nil }
        return Conflict(
            argument: String(name.text),
            entity: String(entity.text),
            declared: Self.value(received.text),
            existing: Self.value(rest[received.next...])
        )
    }

    private static func value(_ text: Substring) -> String? {
        guard text != "none" else { return nil }
        let quoted = text.firstRange(upTo: "'").map { text[$0.next...] } ?? text
        return String(quoted.firstRange(upTo: "'")?.text ?? quoted)
    }
}

extension ServerReply: CustomStringConvertible {
    /// The number, the broker's words and, where there is some, advice.
    public var description: String {
        let cause = method.map { "\($0): " } ?? ""
        return cause + "\(number) \(text)" + (advice.map { " (\($0))" } ?? "")
    }
}

extension StringProtocol where SubSequence == Substring {
    /// Where the text after the first occurrence begins.
    fileprivate func range(after wanted: String) -> Index? {
        firstRange(upTo: wanted)?.next
    }

    /// What is in front of the first occurrence, and where the text after it begins.
    fileprivate func firstRange(upTo wanted: String) -> (text: Substring, next: Index)? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(wanted) {
                return (self[startIndex..<start], index(start, offsetBy: wanted.count))
            }
            start = index(after: start)
        }
        return nil
    }
}

extension Method {
    /// The name of a method by its numbers, for those that a client sends; zeros name none.
    static func name(classID: UInt16, methodID: UInt16) -> String? {
        switch (classID, methodID) {
        case (0, _): nil
        case (10, 11): "connection.start-ok"
        case (10, 21): "connection.secure-ok"
        case (10, 31): "connection.tune-ok"
        case (10, 40): "connection.open"
        case (10, 70): "connection.update-secret"
        case (20, 10): "channel.open"
        case (20, 20): "channel.flow"
        case (20, 40): "channel.close"
        case (40, 10): "exchange.declare"
        case (40, 20): "exchange.delete"
        case (40, 30): "exchange.bind"
        case (40, 40): "exchange.unbind"
        case (50, 10): "queue.declare"
        case (50, 20): "queue.bind"
        case (50, 30): "queue.purge"
        case (50, 40): "queue.delete"
        case (50, 50): "queue.unbind"
        case (60, 10): "basic.qos"
        case (60, 20): "basic.consume"
        case (60, 30): "basic.cancel"
        case (60, 40): "basic.publish"
        case (60, 70): "basic.get"
        case (60, 80): "basic.ack"
        case (60, 90): "basic.reject"
        case (60, 100): "basic.recover-async"
        case (60, 110): "basic.recover"
        case (60, 120): "basic.nack"
        case (85, 10): "confirm.select"
        case (90, 10): "tx.select"
        case (90, 20): "tx.commit"
        case (90, 30): "tx.rollback"
        default: "method \(classID).\(methodID)"
        }
    }
}

/// The properties of a message (AMQP 0-9-1, class `basic`).
///
/// Properties that came from the wire were checked when they arrived and are decoded only where they are looked at,
/// each time: keep what is needed often. Passed on unchanged, they are copied octet by octet.
public struct BasicProperties: Sendable {
    struct Fields: Hashable, Sendable {
        var contentType: String?
        var contentEncoding: String?
        var headers: FieldTable?
        var deliveryMode: UInt8?
        var priority: UInt8?
        var correlationID: String?
        var replyTo: String?
        var expiration: String?
        var messageID: String?
        var timestamp: UInt64?
        var type: String?
        var userID: String?
        var appID: String?
        var clusterID: String?
    }

    /// Fields with an identity, so that a message is passed on with one reference instead of fifteen.
    ///
    // Soundness of @unchecked Sendable: the fields are written only while one value holds the only reference.
    private final class Box: @unchecked Sendable {
        var fields: Fields

        init(_ fields: Fields) {
            self.fields = fields
        }
    }

    private enum Storage: Sendable {
        case none
        case fields(Box)
        /// Flags and list, validated.
        case encoded([UInt8])
    }

    private var storage = Storage.none

    /// Properties of which none is set.
    public init() {}

    /// All properties, decoded.
    var fields: Fields {
        switch storage {
        case .none: Fields()
        case .fields(let box): box.fields
        case .encoded(let octets): Fields(validated: octets)
        }
    }

    private func value<Value>(
        _ field: KeyPath<Fields, Value?>,
        _ flag: Flag,
        _ decode: (inout Cursor) throws(FrameError) -> Value
    ) -> Value? {
        switch storage {
        case .none: nil
        case .fields(let box): box.fields[keyPath: field]
        case .encoded(let octets): flag.find(in: octets, decode)
        }
    }

    private func text(_ field: KeyPath<Fields, String?>, _ flag: Flag) -> String? {
        value(field, flag) { (cursor) throws(FrameError) in try cursor.shortString() }
    }

    private mutating func change(_ body: (inout Fields) -> Void) {
        if case .fields(var box) = storage {
            storage = .none  // or the box would be referred to twice
            if !isKnownUniquelyReferenced(&box) { box = Box(box.fields) }
            body(&box.fields)
            storage = .fields(box)
        } else {
            var fields = self.fields
            body(&fields)
            storage = .fields(Box(fields))
        }
    }

    /// Whether both are known, without a look at what they hold, to be the same.
    func isIdentical(to other: BasicProperties) -> Bool {
        switch (storage, other.storage) {
        case (.none, .none): true
        case (.fields(let left), .fields(let right)): left === right
        case (.none, _), (.fields, _), (.encoded, _): false
        }
    }
}

extension BasicProperties {
    /// The MIME type of the body.
    public var contentType: String? {
        get { text(\.contentType, .contentType) }
        set { change { $0.contentType = newValue } }
    }
    /// How the body is encoded, such as `utf-8` or `gzip`.
    public var contentEncoding: String? {
        get { text(\.contentEncoding, .contentEncoding) }
        set { change { $0.contentEncoding = newValue } }
    }
    /// Fields of the application's own.
    public var headers: FieldTable? {
        get {
            value(\.headers, .headers) { (cursor) throws(FrameError) in try FieldTable(publishedIn: &cursor) }
        }
        set { change { $0.headers = newValue } }
    }
    /// 2 for messages that survive a broker's restart in a durable queue, 1 for others.
    public var deliveryMode: UInt8? {
        get { value(\.deliveryMode, .deliveryMode) { (cursor) throws(FrameError) in try cursor.uint8() } }
        set { change { $0.deliveryMode = newValue } }
    }
    /// 0 through 9, honoured by queues declared with `x-max-priority`.
    public var priority: UInt8? {
        get { value(\.priority, .priority) { (cursor) throws(FrameError) in try cursor.uint8() } }
        set { change { $0.priority = newValue } }
    }
    /// What this message answers or belongs to.
    public var correlationID: String? {
        get { text(\.correlationID, .correlationID) }
        set { change { $0.correlationID = newValue } }
    }
    /// The queue to which answers go.
    public var replyTo: String? {
        get { text(\.replyTo, .replyTo) }
        set { change { $0.replyTo = newValue } }
    }
    /// Milliseconds after which the message is dead, as decimal text.
    public var expiration: String? {
        get { text(\.expiration, .expiration) }
        set { change { $0.expiration = newValue } }
    }
    /// The application's own number of the message.
    public var messageID: String? {
        get { text(\.messageID, .messageID) }
        set { change { $0.messageID = newValue } }
    }
    /// Seconds since 1970.
    public var timestamp: UInt64? {
        get { value(\.timestamp, .timestamp) { (cursor) throws(FrameError) in try cursor.uint64() } }
        set { change { $0.timestamp = newValue } }
    }
    /// The application's name of the kind of message.
    public var type: String? {
        get { text(\.type, .type) }
        set { change { $0.type = newValue } }
    }
    /// Who publishes; a broker refuses another name than the connection's.
    public var userID: String? {
        get { text(\.userID, .userID) }
        set { change { $0.userID = newValue } }
    }
    /// Which application publishes.
    public var appID: String? {
        get { text(\.appID, .appID) }
        set { change { $0.appID = newValue } }
    }
    /// Reserved by the standard.
    public var clusterID: String? {
        get { text(\.clusterID, .clusterID) }
        set { change { $0.clusterID = newValue } }
    }
}

extension BasicProperties: Hashable {
    /// Whether both have the same properties set to the same values.
    public static func == (left: BasicProperties, right: BasicProperties) -> Bool {
        if case .encoded(let left) = left.storage, case .encoded(let right) = right.storage, left == right {
            return true
        }
        return left.isIdentical(to: right) || left.fields == right.fields
    }

    /// Feeds the values to the hasher.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(fields)
    }
}

extension BasicProperties {
    /// Takes the rest of a content header.
    ///
    /// - Parameter previous: Properties that came before; equal octets share their storage.
    package init(
        from cursor: inout Cursor,
        resembling previous: BasicProperties = BasicProperties()
    ) throws(FrameError) {
        let octets = try cursor.octets(cursor.remaining)
        if case .encoded(let before) = previous.storage, octets.hasSameOctets(as: before) {
            storage = previous.storage
            return
        }
        try Flag.validate(octets)
        // No property at all is two octets of flags.
        guard octets.count > 2 else { return }
        var list = Array(octets)
        list[1] &= ~UInt8(Flag.unused)
        storage = .encoded(list)
    }

    package func encode(into output: inout [UInt8]) throws(FrameError) {
        switch storage {
        case .none: output.appendInteger(UInt16(0))
        case .fields(let box): try box.fields.encode(into: &output)
        case .encoded(let octets): output += octets
        }
    }
}

extension BasicProperties {
    /// Properties and headers; those that are given are sent.
    ///
    /// Each parameter sets the property of its name, but two: `isPersistent` sets ``deliveryMode``, and `timeToLive`
    /// sets ``expiration``, in whole milliseconds, a started one counted whole.
    public init(
        contentType: String? = nil,
        contentEncoding: String? = nil,
        headers: FieldTable? = nil,
        isPersistent: Bool? = nil,
        priority: UInt8? = nil,
        correlationID: String? = nil,
        replyTo: String? = nil,
        timeToLive: Duration? = nil,
        messageID: String? = nil,
        timestamp: UInt64? = nil,
        type: String? = nil,
        userID: String? = nil,
        appID: String? = nil,
        clusterID: String? = nil
    ) {
        self.init()
        self.contentType = contentType
        self.contentEncoding = contentEncoding
        self.headers = headers
        deliveryMode = isPersistent.map { $0 ? 2 : 1 }
        self.priority = priority
        self.correlationID = correlationID
        self.replyTo = replyTo
        self.timeToLive = timeToLive
        self.messageID = messageID
        self.timestamp = timestamp
        self.type = type
        self.userID = userID
        self.appID = appID
        self.clusterID = clusterID
    }

    /// Whether the message survives a broker's restart in a durable queue; unset counts as no.
    public var isPersistent: Bool {
        get { deliveryMode == 2 }
        set { deliveryMode = newValue ? 2 : 1 }
    }

    /// How long the message stays in a queue at most.
    ///
    /// Set in whole milliseconds, a started one counted whole and less than none counted as none; `nil` when
    /// ``expiration`` is not set or is no number. The queue's own limit counts if it is shorter.
    public var timeToLive: Duration? {
        get { expiration.flatMap { Int64($0) }.map { .milliseconds($0) } }
        set { expiration = newValue.map { "\(max(0, $0.wholeMilliseconds))" } }
    }

    /// A header; assigning `nil` removes it.
    public subscript(header name: String) -> FieldValue? {
        get { headers?[name] }
        set {
            guard headers != nil || newValue != nil else { return }
            var table = headers ?? [:]
            table[name] = newValue
            headers = table
        }
    }

    // MARK: What RabbitMQ reads

    /// Further routing keys (`CC`): the message is routed by each of them as well, and consumers see them.
    public var carbonCopies: [String] {
        get { texts("CC") }
        set { self[header: "CC"] = newValue.isEmpty ? nil : .array(newValue.map(FieldValue.string)) }
    }

    /// Further routing keys (`BCC`) that the broker removes before the message is delivered.
    public var blindCarbonCopies: [String] {
        get { texts("BCC") }
        set { self[header: "BCC"] = newValue.isEmpty ? nil : .array(newValue.map(FieldValue.string)) }
    }

    /// How long an exchange of type ``ExchangeType/delayedMessage`` holds the message back (`x-delay`).
    ///
    /// In whole milliseconds, a started one counted whole. Other exchanges ignore it.
    public var delay: Duration? {
        get { self[header: "x-delay"]?.integer.map { .milliseconds($0) } }
        set { self[header: "x-delay"] = newValue.map { FieldValue(max(0, $0.wholeMilliseconds)) } }
    }

    // MARK: What RabbitMQ writes

    /// How often a quorum queue delivered the message before (`x-delivery-count`); `nil` the first time, and from
    /// classic queues.
    public var deliveryCount: Int? { self[header: "x-delivery-count"]?.integer.flatMap { Int(exactly: $0) } }

    /// The message's number in its stream (`x-stream-offset`).
    public var streamOffset: UInt64? { self[header: "x-stream-offset"]?.integer.flatMap { UInt64(exactly: $0) } }

    private func texts(_ name: String) -> [String] {
        self[header: name]?.array?.compactMap(\.string) ?? []
    }
}

internal import AMQP
internal import CeleriacCore

extension AMQPMessage {
    /// A message of the seam as AMQP carries it.
    init(_ message: Message, exchange: String, routingKey: String) {
        var properties = BasicProperties()
        properties.contentType = message.contentType
        properties.contentEncoding = message.contentEncoding
        properties.correlationID = message.correlationID
        properties.replyTo = message.replyTo
        properties.priority = message.priority
        properties.deliveryMode = message.isPersistent ? 2 : 1
        // Milliseconds as decimal text; zero means "only if a consumer takes it at once".
        properties.expiration = message.expiration.map { $0 > .zero ? String($0.inMilliseconds) : "0" }
        properties.messageID = message.messageID
        properties.headers = FieldTable(message.headers)
        self.init(exchange: exchange, routingKey: routingKey, properties: properties, body: message.body)
    }
}

extension Message {
    /// A delivered message as the seam carries it.
    init(_ properties: BasicProperties, body: [UInt8]) {
        self.init(
            contentType: properties.contentType,
            contentEncoding: properties.contentEncoding,
            correlationID: properties.correlationID,
            replyTo: properties.replyTo,
            priority: properties.priority ?? 0,
            isPersistent: properties.deliveryMode == 2,
            expiration: properties.expiration.flatMap { Int64($0) }.map { .milliseconds($0) },
            messageID: properties.messageID,
            headers: properties.headers.map { MessageHeaders($0) } ?? [:],
            body: body
        )
    }
}

extension FieldTable {
    init(_ headers: MessageHeaders) {
        self.init(fields: headers.map { (name: $0.name, value: FieldValue($0.value)) })
    }
}

extension MessageHeaders {
    init(_ table: FieldTable) {
        self.init(capacity: 24)  // a task message has twenty, and some of its caller's own
        var headers = self
        table.forEachField { headers.append($0, HeaderValue($1)) }
        self = headers
    }
}

extension FieldValue {
    init(_ value: HeaderValue) {
        self =
            switch value {
            case .null: .void
            case .bool(let value): .boolean(value)
            case .int(let value): FieldValue(value)
            case .double(let value): .double(value)
            case .string(let value): .string(value)
            case .octets(let value): .octets(value)
            case .array(let values): .array(values.map { FieldValue($0) })
            case .table(let table): .table(FieldTable(table))
            }
    }
}

extension HeaderValue {
    init(_ value: FieldValue) {
        self =
            switch value {
            case .void: .null
            case .boolean(let value): .bool(value)
            case .int8(let value): .int(Int64(value))
            case .uint8(let value): .int(Int64(value))
            case .int16(let value): .int(Int64(value))
            case .uint16(let value): .int(Int64(value))
            case .int32(let value): .int(Int64(value))
            case .uint32(let value): .int(Int64(value))
            case .int64(let value): .int(value)
            case .float(let value): .double(Double(value))
            case .double(let value): .double(value)
            case .decimal(let scale, let value):
                .double(Double(value) / (0..<scale).reduce(1.0) { power, _ in power * 10 })
            case .string(let value): .string(value)
            case .undecodableString(let octets), .octets(let octets): .octets(octets)
            case .array(let values): .array(values.map { HeaderValue($0) })
            case .timestamp(let seconds): .int(Int64(clamping: seconds))
            case .table(let table): .table(MessageHeaders(table))
            }
    }
}

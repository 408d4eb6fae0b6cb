internal import CeleriacCore

/// The run that wrote a record, for callers that fence; Celery looks at no headers of results.
private let attemptHeader = "x-celeriac-attempt"
/// Whether any later run may replace the record.
private let openHeader = "x-celeriac-open"

extension Message {
    /// A record as Celery's workers send it (wire document §3.8).
    init(_ reply: ReplyAddress, carrying record: TaskRecord, ttl: Duration, isPersistent: Bool) {
        var headers: MessageHeaders = [:]
        if record.attempt != .first { headers.append(attemptHeader, .int(record.attempt.rawValue)) }
        if record.isOpen { headers.append(openHeader, .bool(true)) }
        self.init(
            correlationID: reply.correlationID,
            isPersistent: isPersistent,
            // What the caller does not fetch must not stay; the broker counts in 32 bits.
            expiration: ttl > .zero ? min(ttl, .milliseconds(4_294_967_295)) : nil,
            headers: headers,
            body: record.document
        )
    }
}

extension TaskRecord {
    /// The record that a worker, of whatever language, has sent.
    init(reply message: Message) throws(CeleriacError) {
        try self.init(document: message.body)
        if let number = message.headers[attemptHeader]?.int { attempt = Attempt(noted: Int64(number)) }
        isOpen = message.headers[openHeader]?.bool ?? false
    }
}

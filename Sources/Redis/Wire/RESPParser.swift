internal import CHiredis

/// Why a peer's octets are not acceptable as RESP.
package enum RESPError: Error, Equatable, Sendable, CustomStringConvertible {
    /// hiredis refused the octets; its words.
    case malformed(String)
    /// A bulk of more octets than the limit was announced.
    case bulkTooLarge(Int)
    /// An array of more elements than the limit was announced.
    case arrayTooLarge(Int)
    /// One reply has more elements over all its levels than the limit.
    case replyTooLarge
    /// A bulk does not end with CR LF.
    case unterminatedBulk
    /// A line has no end within the limit.
    case lineTooLong
    /// No memory left for the reader.
    case outOfMemory

    package var description: String {
        switch self {
        case .malformed(let reason): reason
        case .bulkTooLarge(let count): "a bulk of \(count) octets exceeds the limit"
        case .arrayTooLarge(let count): "an array of \(count) elements exceeds the limit"
        case .replyTooLarge: "a reply exceeds the limit of elements or octets"
        case .unterminatedBulk: "a bulk does not end with CR LF"
        case .lineTooLong: "a line does not end within the limit"
        case .outOfMemory: "no memory for the reply"
        }
    }
}

/// Turns octets into replies, with hiredis as the reader.
///
/// hiredis calls back with each element, and the parser builds the value directly: no intermediate reply objects, and
/// no allocation that the peer has not paid for in octets. The limits that hiredis 0.14 lacks are enforced here.
/// Replies nested deeper than hiredis' eight levels are refused as malformed.
package final class RESPParser {
    package struct Limits: Sendable {
        /// Octets of one bulk.
        package var bulk = 64 << 20
        /// Elements of one reply, over all its levels.
        package var elements = 1 << 20
        /// Octets of one whole reply.
        package var reply = 256 << 20
        /// Octets of a status, error or integer line.
        package var line = 64 << 10

        package init() {}
    }

    private struct Level {
        var remaining: Int
        var elements: [RESPValue] = []
    }

    private let limits: Limits
    private let reader: UnsafeMutablePointer<redisReader>
    private var levels: [Level] = []
    private var elementCount = 0
    private var octetCount = 0
    private var finished: RESPValue?
    private var failure: RESPError?

    package init(limits: Limits = Limits()) throws(RESPError) {
        guard let reader = redisReaderCreateWithFunctions(Self.functions.pointer) else { throw .outOfMemory }
        self.reader = reader
        self.limits = limits
        // Unretained: the reader lives and is called only within this object's lifetime.
        reader.pointee.privdata = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit { redisReaderFree(reader) }

    /// Feeds octets and hands each reply that they complete to `body`.
    ///
    /// After an error the parser stays failed, since the position in the stream is lost.
    package func parse<Failure: Error>(
        _ bytes: UnsafeRawBufferPointer,
        _ body: (RESPValue) throws(Failure) -> Void,
        failed: (RESPError) throws(Failure) -> Void
    ) throws(Failure) {
        var rest = bytes[...]
        // hiredis moves its unread octets to the front after each kilobyte, which small slices keep cheap.
        while let base = UnsafeRawBufferPointer(rebasing: rest).baseAddress, !rest.isEmpty {
            if let failure { return try failed(failure) }
            let count = min(rest.count, 16 << 10)
            if redisReaderFeed(reader, base.assumingMemoryBound(to: CChar.self), count) != REDIS_OK {
                failure = readerError()
            }
            rest = rest.dropFirst(count)
            while failure == nil, let value = nextReply() { try body(value) }
            if let failure { return try failed(failure) }
        }
    }

    /// Feeds octets and returns the replies that they complete.
    package func parse(_ bytes: UnsafeRawBufferPointer) throws(RESPError) -> [RESPValue] {
        var values: [RESPValue] = []
        try parse(
            bytes,
            { (value) throws(RESPError) in values.append(value) },
            failed: { (error) throws(RESPError) in throw error }
        )
        return values
    }

    private func nextReply() -> RESPValue? {
        var object: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &object) == REDIS_OK else {
            failure = failure ?? readerError()
            return nil
        }
        guard object != nil, let value = finished else {
            checkUnfinished()
            return nil
        }
        finished = nil
        elementCount = 0
        octetCount = 0
        return value
    }

    private func readerError() -> RESPError {
        if reader.pointee.err == REDIS_ERR_OOM { return .outOfMemory }
        return .malformed(
            withUnsafeBytes(of: reader.pointee.errstr) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        )
    }

    /// Refuses a header that announces too much before its octets have been waited for and buffered.
    private func checkUnfinished() {
        let unread = reader.pointee.len - reader.pointee.pos
        guard unread > 0, let buffer = reader.pointee.buf else { return }
        let line = UnsafeRawBufferPointer(start: buffer + reader.pointee.pos, count: unread)
        guard currentType == REDIS_REPLY_STRING else {
            if unread > limits.line { failure = .lineTooLong }
            return
        }
        guard let end = line.prefix(32).firstIndex(of: UInt8(ascii: "\r")) else {
            if unread > 32 { failure = .lineTooLong }
            return
        }
        let announced = Int(String(decoding: line[..<end], as: UTF8.self)) ?? Int.max
        if announced > limits.bulk { failure = .bulkTooLarge(announced) }
    }

    /// The type of the element being read, once its first octet has come.
    private var currentType: Int32 {
        let index = Int(reader.pointee.ridx)
        return withUnsafePointer(to: &reader.pointee.rstack) { stack in
            // A C array is imported as a homogeneous tuple, laid out the same; hiredis keeps ridx in -1...8.
            stack.withMemoryRebound(to: redisReadTask.self, capacity: 9) { $0[max(0, index)].type }
        }
    }

    // MARK: Building, called by the reader

    private func add(_ value: RESPValue) {
        var value = value
        while var level = levels.popLast() {
            level.elements.append(value)
            level.remaining -= 1
            guard level.remaining == 0 else {
                levels.append(level)
                return
            }
            value = .array(level.elements)
        }
        finished = value
    }

    private func addText(_ bytes: UnsafeRawBufferPointer, type: Int32) -> Bool {
        octetCount += bytes.count
        guard octetCount <= limits.reply else { return refuse(.replyTooLarge) }
        switch type {
        case REDIS_REPLY_STATUS: add(.simple(String(decoding: bytes, as: UTF8.self)))
        case REDIS_REPLY_ERROR: add(.error(String(decoding: bytes, as: UTF8.self)))
        default:
            guard bytes.count <= limits.bulk else { return refuse(.bulkTooLarge(bytes.count)) }
            // hiredis calls only when the two octets after the bulk have come, but does not look at them.
            guard let base = bytes.baseAddress, base.load(fromByteOffset: bytes.count, as: UInt8.self) == 0x0D,
                base.load(fromByteOffset: bytes.count + 1, as: UInt8.self) == 0x0A
            else { return refuse(.unterminatedBulk) }
            add(.bulk(Array(bytes)))
        }
        return true
    }

    private func addArray(count: Int) -> Bool {
        elementCount += count
        guard count <= limits.elements else { return refuse(.arrayTooLarge(count)) }
        guard elementCount <= limits.elements else { return refuse(.replyTooLarge) }
        guard count > 0 else {
            add(.array([]))
            return true
        }
        levels.append(Level(remaining: count))
        // Room for what is likely, not for what is claimed: the elements have not come yet.
        levels[levels.count - 1].elements.reserveCapacity(min(count, 1024))
        return true
    }

    private func refuse(_ error: RESPError) -> Bool {
        failure = error
        return false
    }
}

extension RESPParser {
    private static func owner(_ task: UnsafePointer<redisReadTask>?) -> RESPParser? {
        guard let context = task?.pointee.privdata else { return nil }
        return Unmanaged<RESPParser>.fromOpaque(context).takeUnretainedValue()
    }

    /// What the reader keeps for an element: a non-null word nobody looks behind.
    ///
    /// Null tells it to stop.
    private static func token(_ isAccepted: Bool) -> UnsafeMutableRawPointer? {
        isAccepted ? UnsafeMutableRawPointer(bitPattern: 1) : nil
    }

    // Soundness of @unchecked Sendable: written once, before it is shared, and only read by hiredis.
    private struct Functions: @unchecked Sendable {
        let pointer: UnsafeMutablePointer<redisReplyObjectFunctions>
    }

    private static let functions: Functions = {
        let pointer = UnsafeMutablePointer<redisReplyObjectFunctions>.allocate(capacity: 1)
        pointer.initialize(
            to: redisReplyObjectFunctions(
                createString: { task, text, length in
                    guard let task, let parser = owner(task) else { return nil }
                    let bytes = UnsafeRawBufferPointer(start: text, count: length)
                    return token(parser.addText(bytes, type: task.pointee.type))
                },
                createArray: { task, count in
                    token(owner(task)?.addArray(count: Int(count)) ?? false)
                },
                createInteger: { task, value in
                    guard let parser = owner(task) else { return nil }
                    parser.add(.integer(Int(value)))
                    return token(true)
                },
                createNil: { task in
                    guard let parser = owner(task) else { return nil }
                    parser.add(.null)
                    return token(true)
                },
                freeObject: { _ in }
            )
        )
        return Functions(pointer: pointer)
    }()
}

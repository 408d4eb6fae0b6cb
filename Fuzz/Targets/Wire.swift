internal import AMQP

/// What a decoder has made of a stream.
private struct Decoded: Equatable {
    var frames: [Frame] = []
    var error: FrameError?

    struct Frame: Equatable {
        var type: FrameType
        var channel: UInt16
        var payload: [UInt8]
    }

    /// Takes the complete frames off the front of the buffer.
    mutating func take(from buffer: inout [UInt8], _ decoder: FrameDecoder) {
        var taken = 0
        buffer.withUnsafeBytes { bytes in
            do throws(FrameError) {
                while let frame = try decoder.next(in: UnsafeRawBufferPointer(rebasing: bytes[taken...])) {
                    frames.append(Frame(type: frame.type, channel: frame.channel, payload: Array(frame.payload)))
                    taken += frame.payload.count + FrameDecoder.overhead
                }
            } catch {
                self.error = error
            }
        }
        buffer.removeFirst(taken)
    }
}

func fuzzFrames(_ bytes: [UInt8]) throws(Finding) {
    var input = FuzzInput(bytes)
    var cuts = Cuts(&input)
    let decoder = FrameDecoder(maximumFrameSize: 8 + Int(input.byte()) * 16)
    let stream = input.remainder()

    var whole = Decoded()
    var buffer = stream
    whole.take(from: &buffer, decoder)

    var pieces = Decoded()
    var rest = stream[...]
    buffer = []
    while !rest.isEmpty, pieces.error == nil {
        let piece = cuts.piece(of: rest)
        rest = rest.dropFirst(piece.count)
        buffer += piece
        pieces.take(from: &buffer, decoder)
        try expect(
            pieces.error != nil || buffer.count < decoder.maximumFrameSize,
            "no more than one frame is waited for"
        )
    }
    try expect(whole == pieces, "frames are the same however they are cut")
    buffer.withUnsafeBytes { _ = FrameDecoder.foreignProtocol($0) }
    for frame in whole.frames where frame.type == .method || frame.type == .header {
        try roundTrip(frame.payload, isHeader: frame.type == .header)
    }
}

func fuzzMethods(_ bytes: [UInt8]) throws(Finding) {
    var input = FuzzInput(bytes)
    let isHeader = input.byte() & 1 == 1
    try roundTrip(input.remainder(), isHeader: isHeader)
}

private func roundTrip(_ payload: [UInt8], isHeader: Bool) throws(Finding) {
    if isHeader {
        guard let first = decode(payload, { (bytes) throws(FrameError) in try ContentHeader(decoding: bytes) }) else {
            return
        }
        // Class, weight and body size stand in front of the properties.
        var again = Array(payload[..<12])
        let error = encodingError { (output) throws(FrameError) in try first.properties.encode(into: &output) }(&again)
        try expect(error == nil, "a header that was read can be written, without \(error.map { "\($0)" } ?? "")")
        let second = decode(again) { (bytes) throws(FrameError) in try ContentHeader(decoding: bytes) }
        try expect(second == first, "a header that was written reads as before")
    } else {
        guard let first = decode(payload, { (bytes) throws(FrameError) in try Method(decoding: bytes) }) else { return }
        _ = first.name
        var again: [UInt8] = []
        let error = encodingError { (output) throws(FrameError) in try first.encode(into: &output) }(&again)
        try expect(
            error == nil,
            "\(first.name) can be written once it was read, without \(error.map { "\($0)" } ?? "")"
        )
        let second = decode(again) { (bytes) throws(FrameError) in try Method(decoding: bytes) }
        try expect(second == first, "\(first.name) reads as before once it was written")
    }
}

func fuzzTable(_ bytes: [UInt8]) throws(Finding) {
    func read(_ bytes: UnsafeRawBufferPointer) throws(FrameError) -> FieldTable {
        var cursor = Cursor(bytes)
        return try FieldTable(from: &cursor)
    }
    func written(_ table: FieldTable) throws(Finding) -> [UInt8] {
        var output: [UInt8] = []
        let error = encodingError { (output) throws(FrameError) in try table.encode(into: &output) }(&output)
        try expect(error == nil, "a table that was read can be written, without \(error.map { "\($0)" } ?? "")")
        return output
    }
    guard let table = decode(bytes, read) else { return }
    try expect(bytes.starts(with: try written(table)), "a table passed on is the same octet for octet")
    _ = "\(table)"
    let fields = table.fields
    // Taken apart, a truth value of 2 becomes one of 1; apart from that nothing changes any more.
    let apart = try written(FieldTable(fields.map { ($0.name, $0.value) }))
    guard let again = decode(apart, read) else { throw Finding("broken: a table put together can be read") }
    try expect(try written(again) == apart, "a table put together is the same octet for octet")
    let fieldsAgain = again.fields
    try expect(fieldsAgain.map(\.name) == fields.map(\.name), "fields keep their names and their order")
    for (index, name) in fields.lazy.map(\.name).enumerated().prefix(64) {
        let octets = ShortString.octets(of: name)
        try expect(ShortString.text(of: octets) == name, "names are the same octet for octet")
        guard let first = fields.firstIndex(where: { ShortString.octets(of: $0.name) == octets }) else { continue }
        guard let found = table[name] else { throw Finding("broken: field \(index) is found by its name") }
        // By their octets: a number that is none does not equal itself.
        try expect(
            try written([name: found]) == written([name: fields[first].value]),
            "a name finds the first field of that name"
        )
    }
    var changed = table
    if let name = fields.first?.name {
        changed[name] = nil
        try expect(changed[name] == nil, "a removed field is gone")
        changed[name] = true
        try expect(changed[name] == true, "an assigned field is found")
    }
}

private func decode<Value>(
    _ bytes: [UInt8],
    _ body: (UnsafeRawBufferPointer) throws(FrameError) -> Value
) -> Value? {
    bytes.withUnsafeBytes { bytes in
        do throws(FrameError) {
            return try body(bytes)
        } catch {
            _ = (error.description, error.replyCode)
            return nil
        }
    }
}

private func encodingError(
    _ body: @escaping (inout [UInt8]) throws(FrameError) -> Void
) -> (inout [UInt8]) -> FrameError? {
    { output in
        do throws(FrameError) {
            try body(&output)
            return nil
        } catch {
            return error
        }
    }
}

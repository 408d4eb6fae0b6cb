internal import Redis

func fuzzRESP(_ bytes: [UInt8]) throws(Finding) {
    var input = FuzzInput(bytes)
    var cuts = Cuts(&input)
    let stream = input.remainder()
    let whole = try parsed([stream])
    var pieces: [[UInt8]] = []
    var rest = stream[...]
    while !rest.isEmpty {
        let piece = cuts.piece(of: rest)
        pieces.append(Array(piece))
        rest = rest.dropFirst(piece.count)
    }
    let cut = try parsed(pieces)
    // How soon an overlong line is noticed depends on the cuts; what is handed out before does not.
    try expect(
        whole.values.starts(with: cut.values) && (cut.error != nil || cut.values.count == whole.values.count)
            || cut.values.starts(with: whole.values) && whole.error != nil,
        "replies are the same however they are cut"
    )
}

private func parsed(_ pieces: [[UInt8]]) throws(Finding) -> (values: [RESPValue], error: RESPError?) {
    var limits = RESPParser.Limits()
    (limits.bulk, limits.elements, limits.reply, limits.line) = (1000, 100, 4000, 256)
    var values: [RESPValue] = []
    do throws(RESPError) {
        let parser = try RESPParser(limits: limits)
        for piece in pieces {
            var failure: RESPError?
            piece.withUnsafeBytes { bytes in
                parser.parse(bytes, { values.append($0) }, failed: { failure = $0 })
            }
            if let failure { throw failure }
        }
    } catch {
        _ = error.description
        return (values, error)
    }
    for value in values { try expect(elements(value) <= 101, "the limit of elements holds") }
    return (values, nil)
}

private func elements(_ value: RESPValue) -> Int {
    guard case .array(let values) = value else { return 1 }
    return values.reduce(1) { $0 + elements($1) }
}

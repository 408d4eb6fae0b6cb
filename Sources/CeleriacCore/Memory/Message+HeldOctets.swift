extension Message {
    /// Roughly what the message takes in memory.
    var heldOctets: Int { 512 + body.count + headers.heldOctets }
}

extension MessageHeaders {
    fileprivate var heldOctets: Int { reduce(0) { $0 + 48 + $1.name.utf8.count + $1.value.heldOctets } }
}

extension HeaderValue {
    fileprivate var heldOctets: Int {
        switch self {
        case .null, .bool, .int, .double: 0
        case .string(let text): text.utf8.count
        case .octets(let octets): octets.count
        case .array(let elements): elements.reduce(0) { $0 + 32 + $1.heldOctets }
        case .table(let table): table.heldOctets
        }
    }
}

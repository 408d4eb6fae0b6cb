extension QueueDeclaration {
    /// What this existing queue has other than was asked for, in words; `nil` if nothing.
    package func difference(from asked: QueueDeclaration) -> String? {
        func differing<Value: Equatable>(_ what: String, _ has: Value?, _ wants: Value?) -> String? {
            if has == wants { return nil }
            return "\(what) \(has.map { "\($0)" } ?? "none") instead of \(wants.map { "\($0)" } ?? "none")"
        }
        let differences = [
            differing("type", kind.rawValue, asked.kind.rawValue),
            differing("maximum priority", maximumPriority, asked.maximumPriority),
            differing("message TTL", messageTTL, asked.messageTTL),
        ].compactMap(\.self)
        return differences.isEmpty ? nil : "queue \(name) exists with " + differences.joined(separator: ", ")
    }
}

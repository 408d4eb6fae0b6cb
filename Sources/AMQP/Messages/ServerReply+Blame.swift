extension ServerReply {
    /// A value for which the broker refuses a message and closes the channel, with its words around it.
    private struct Flaw: Sendable {
        let before: String
        let after: String
        let value: @Sendable (AMQPMessage) -> String?
    }

    private static let flaws = [
        Flaw(before: "message size ", after: " is larger than ") { "\($0.body.count)" },
        Flaw(before: "user_id property set to '", after: "' but authenticated user was ") { $0.properties.userID },
        Flaw(before: "invalid expiration '", after: "': ") { $0.properties.expiration },
    ]

    /// Whether it tells which of the published messages was refused, by a value that it had.
    ///
    /// All that have the same value would be refused, so none of them has arrived.
    var blamesMessage: Bool {
        method == "basic.publish" && Self.flaws.contains { text.contains($0.before) && text.contains($0.after) }
    }

    /// Whether the message is one that was refused.
    func blames(_ message: AMQPMessage) -> Bool {
        method == "basic.publish"
            && Self.flaws.contains { flaw in
                flaw.value(message).map { text.contains(flaw.before + $0 + flaw.after) } ?? false
            }
    }
}

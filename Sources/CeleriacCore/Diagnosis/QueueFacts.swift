/// What is known of a task queue.
package struct QueueFacts: Sendable, Hashable {
    package let name: QueueName
    /// Messages ready in it; `nil` if there is no such queue.
    package let depth: Int?
    /// Messages in its dead-letter queue; `nil` if there is no such queue.
    package let deadLetters: Int?

    package init(name: QueueName, depth: Int?, deadLetters: Int?) {
        self.name = name
        self.depth = depth
        self.deadLetters = deadLetters
    }

    /// Looks at a queue.
    package init(of name: QueueName, in broker: any Broker) async throws(CeleriacError) {
        self.init(
            name: name,
            depth: try await broker.depth(of: name),
            deadLetters: try await broker.depth(of: name.deadLetters)
        )
    }

    package var finding: Finding {
        let check = "queue \(name)"
        // A fresh broker is no fault: calls and workers declare what they use.
        let state = depth.map { "\($0) messages ready" } ?? "does not exist yet; the first call or worker makes it"
        guard let deadLetters, deadLetters > 0 else { return .ok(check, state) }
        return .warn(
            check,
            "\(state), \(deadLetters) in \(name.deadLetters)",
            advice: "their headers x-celeriac-reason and x-celeriac-error say why; move them back or delete them"
        )
    }
}

extension RetryPolicy {
    /// The header by which a call's own policy travels to its worker.
    private static let header = "x-celeriac-retry"

    /// Writes the policy to a message; ``shouldRetry`` is code and stays behind: the task's own decides.
    package func write(to headers: inout MessageHeaders) {
        headers[Self.header] = [
            .int(Int64(attempts)), .int(initial.inMilliseconds), .double(factor), .int(maximum.inMilliseconds),
            .bool(jitter),
        ]
    }

    /// The policy that a message brings along, with the code of the task's own; `nil` if it brings none that makes sense.
    package init?(headers: MessageHeaders, otherwise own: RetryPolicy) {
        guard let parts = headers[Self.header]?.array, parts.count == 5,
            let attempts = parts[0].int, (1...1_000_000).contains(attempts),
            let initial = parts[1].int, initial >= 0,
            let factor = parts[2].double, (0...1000).contains(factor),
            let maximum = parts[3].int, maximum >= 0,
            let jitter = parts[4].bool
        else { return nil }
        self.init(
            attempts: attempts,
            initial: .milliseconds(initial),
            factor: factor,
            maximum: .milliseconds(maximum),
            jitter: jitter,
            shouldRetry: own.shouldRetry
        )
    }
}

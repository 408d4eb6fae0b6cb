extension QueueArguments {
    /// The arguments as they travel: the typed ones, then the others.
    ///
    /// - Throws: ``AMQPError``, `.invalidArgument`, for a value out of range, or one that is given twice.
    public func fields() throws(AMQPError) -> FieldTable {
        var fields: [(name: String, value: FieldValue)] = []
        for argument in typed {
            if let problem = argument.problem {
                throw AMQPError(argument: argument.name, argument.text, problem)
            }
            guard other[argument.name] == nil else {
                throw AMQPError(argument: argument.name, argument.text, "give it once, not in other as well")
            }
            fields.append((argument.name, argument.value))
        }
        fields += other.fields
        return FieldTable(fields: fields)
    }

    /// One argument, ready to be sent and checked.
    struct Argument {
        var name: String
        var value: FieldValue
        var text: String
        /// What is wrong with the value itself.
        var problem: String?
        /// The types of queue that take it.
        var types: Set<QueueType>
    }

    private static let all: Set<QueueType> = [.classic, .quorum, .stream]
    private static let notStreams: Set<QueueType> = [.classic, .quorum]

    /// The typed arguments that are given.
    var typed: [Argument] {
        [
            text("x-queue-type", type, Self.all),
            milliseconds("x-message-ttl", messageTTL, from: 0, Self.notStreams),
            milliseconds("x-expires", expires, from: 1, Self.notStreams),
            number("x-max-length", maxLength, 0...Int.max, Self.notStreams),
            number("x-max-length-bytes", maxLengthOctets, 0...Int.max, Self.all),
            text("x-overflow", overflow, overflow == .rejectPublishDLX ? [.classic] : Self.notStreams),
            name("x-dead-letter-exchange", deadLetterExchange),
            name("x-dead-letter-routing-key", deadLetterRoutingKey),
            text("x-dead-letter-strategy", deadLetterStrategy, [.quorum]),
            number("x-max-priority", maxPriority, 0...255, [.classic]),
            singleActiveConsumer.map {
                Argument(
                    name: "x-single-active-consumer",
                    value: .boolean($0),
                    text: "\($0)",
                    types: Self.notStreams
                )
            },
            number("x-delivery-limit", deliveryLimit, 0...Int.max, [.quorum]),
            milliseconds("x-consumer-timeout", consumerTimeout, from: 1, Self.notStreams),
            text("x-delayed-retry-type", delayedRetry, [.quorum]),
            milliseconds("x-delayed-retry-min", delayedRetryMinimum, from: 1, [.quorum]),
            milliseconds("x-delayed-retry-max", delayedRetryMaximum, from: 1, [.quorum]),
            number("x-quorum-initial-group-size", quorumInitialGroupSize, 1...Int.max, [.quorum]),
            text("x-queue-leader-locator", leaderLocator, [.quorum, .stream]),
            maxAge.map { age in
                let seconds = age.wholeSeconds
                return Argument(
                    name: "x-max-age",
                    value: .string("\(seconds)s"),
                    text: "\(age)",
                    problem: seconds < 1 ? "it must be at least one second" : nil,
                    types: [.stream]
                )
            },
            number("x-stream-max-segment-size-bytes", streamMaxSegmentOctets, 1...3_000_000_000, [.stream]),
            number("x-stream-filter-size-bytes", streamFilterOctets, 16...255, [.stream]),
            number("x-initial-cluster-size", initialClusterSize, 1...Int.max, [.stream]),
            text("x-queue-mode", mode, [.classic]),
            number("x-queue-version", version, 1...2, [.classic]),
        ].compactMap { $0 }
    }

    private func text(
        _ name: String,
        _ value: (some RawRepresentable<String>)?,
        _ types: Set<QueueType>
    ) -> Argument? {
        value.map { Argument(name: name, value: .string($0.rawValue), text: $0.rawValue, types: types) }
    }

    private func name(_ name: String, _ value: String?) -> Argument? {
        value.map {
            let problem = $0.utf8.count > 255 ? "a name has at most 255 octets of UTF-8; shorten it" : nil
            return Argument(name: name, value: .string($0), text: $0, problem: problem, types: Self.notStreams)
        }
    }

    private func number(
        _ name: String,
        _ value: Int?,
        _ range: ClosedRange<Int>,
        _ types: Set<QueueType>
    ) -> Argument? {
        value.map {
            let upper = range.upperBound == .max ? "" : " and at most \(range.upperBound)"
            return Argument(
                name: name,
                value: FieldValue(Int64($0)),
                text: "\($0)",
                problem: range.contains($0) ? nil : "it must be at least \(range.lowerBound)\(upper)",
                types: types
            )
        }
    }

    private func milliseconds(
        _ name: String,
        _ value: Duration?,
        from least: Int64,
        _ types: Set<QueueType>
    ) -> Argument? {
        value.map {
            let count = $0.wholeMilliseconds
            return Argument(
                name: name,
                value: FieldValue(count),
                text: "\($0)",
                problem: $0 < .zero || count < least ? "it must be at least \(least) ms" : nil,
                types: types
            )
        }
    }
}

extension Duration {
    /// Milliseconds, a started one counted whole.
    var wholeMilliseconds: Int64 { count(perSecond: 1000, attoseconds: 1_000_000_000_000_000) }
    /// Seconds, a started one counted whole.
    var wholeSeconds: Int64 { count(perSecond: 1, attoseconds: 1_000_000_000_000_000_000) }

    // In integers: a quotient of durations is a double, which is off by one for some.
    private func count(perSecond: Int64, attoseconds unit: Int64) -> Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: perSecond)
        guard !overflow else { return seconds < 0 ? .min : .max }
        let part = attoseconds / unit + (attoseconds % unit > 0 ? 1 : 0)
        let (sum, carry) = whole.addingReportingOverflow(part)
        return carry ? (whole < 0 ? .min : .max) : sum
    }
}

extension AMQPError {
    /// An argument that is refused here, before the broker would.
    init(argument name: String, _ value: String, _ advice: String) {
        // A name may be long: the error must not be.
        let shown = value.count > 60 ? value.prefix(60) + "…" : value[...]
        self.init(.invalidArgument, "\(name) = \(shown): \(advice)")
    }
}

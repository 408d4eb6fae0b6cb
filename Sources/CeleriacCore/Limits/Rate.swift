/// So many in so long: `"10/s"`, `"100/m"`, `"5/h"`.
public struct Rate: Sendable, Hashable {
    /// How many; more than zero, and not necessarily whole.
    public let count: Double
    /// In how long.
    public let period: Duration

    /// The longest period, a year.
    static let longestPeriod = Duration.seconds(366 * 86_400)

    /// A rate of its parts.
    ///
    /// - Precondition: `count` is more than zero and finite; `period` is from a millisecond to a year.
    public init(_ count: Double, per period: Duration) {
        precondition(count > 0 && count.isFinite, "a rate of \(count): it must be more than zero and finite")
        precondition(
            period >= .milliseconds(1) && period <= Self.longestPeriod,
            "a rate per \(period): the period must be from a millisecond to a year"
        )
        self.count = count
        self.period = period
    }

    /// Reads Celery's notation: a number, and after a slash `s`, `m` or `h`; a number alone counts per second.
    ///
    /// - Throws: ``CeleriacError`` `.configuration` for any other text. Zero, by which Celery means no limit, is refused
    ///   too: leave the limit out.
    public init(parsing text: String) throws(CeleriacError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let seconds: Int64? =
            switch parts.count == 2 ? parts[1] : parts.count == 1 ? "s" : "" {
            case "s": 1
            case "m": 60
            case "h": 3600
            default: nil
            }
        guard let seconds, let count = parts.first.flatMap({ Double(String($0)) }), count.isFinite, count >= 0 else {
            throw CeleriacError(
                .configuration,
                "\"\(text)\" is not a rate; a rate is a number and a unit: \"10/s\", \"100/m\", \"5/h\""
            )
        }
        guard count > 0 else {
            throw CeleriacError(.configuration, "the rate \"\(text)\" lets nothing run; for no limit leave it out")
        }
        self.init(count, per: .seconds(seconds))
    }

    /// How long it takes until one more may run, in seconds.
    package var interval: Double { period.inSeconds / count }
}

extension Rate: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral {
    /// Reads Celery's notation in source code; text from elsewhere is for ``init(parsing:)``.
    public init(stringLiteral text: String) {
        do {
            try self.init(parsing: text)
        } catch {
            preconditionFailure(error.message)
        }
    }

    /// So many per second.
    public init(integerLiteral count: Int) { self.init(Double(count), per: .seconds(1)) }
    /// So many per second.
    public init(floatLiteral count: Double) { self.init(count, per: .seconds(1)) }
}

extension Rate: CustomStringConvertible {
    /// Celery's notation, or the period in seconds where that has no letter for it.
    public var description: String {
        let number = Int(exactly: count).map(String.init) ?? String(count)
        return switch period {
        case .seconds(1): "\(number)/s"
        case .seconds(60): "\(number)/m"
        case .seconds(3600): "\(number)/h"
        default: "\(number) in \(period)"
        }
    }
}

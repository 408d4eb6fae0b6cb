internal import CeleriacCore

/// One field of a crontab: the set of values that match.
struct CrontabField: Hashable, Sendable {
    enum Kind: String, Sendable {
        case minute
        case hour
        case dayOfMonth = "day_of_month"
        case month
        case dayOfWeek = "day_of_week"

        var range: ClosedRange<Int> {
            switch self {
            case .minute: 0...59
            case .hour: 0...23
            case .dayOfMonth: 1...31
            case .month: 1...12
            case .dayOfWeek: 0...6
            }
        }

        var allowed: String {
            let numbers = "\(range.lowerBound)-\(range.upperBound)"
            return switch self {
            case .month: numbers + " or jan-dec"
            case .dayOfWeek: numbers + " (0 is Sunday) or sun-sat"
            case .minute, .hour, .dayOfMonth: numbers
            }
        }
    }

    let kind: Kind
    private let bits: UInt64

    func contains(_ value: Int) -> Bool { bits & (1 << UInt64(value)) != 0 }

    /// The smallest matching value not below a bound.
    func first(from bound: Int) -> Int? {
        guard bound < 64 else { return nil }
        let rest = bits >> UInt64(bound)
        return rest == 0 ? nil : bound + rest.trailingZeroBitCount
    }

    var values: [Int] { kind.range.filter(contains) }

    // field := part (',' part)*        part := ('*' | n '-' n) ('/' step)? | n
    init(_ text: String, _ kind: Kind) throws(CeleriacError) {
        self.kind = kind
        var bits: UInt64 = 0
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            for value in try Parser(kind: kind, field: text).values(of: part) { bits |= 1 << UInt64(value) }
        }
        self.bits = bits
    }

    private struct Parser {
        let kind: Kind
        let field: String

        func values(of part: Substring) throws(CeleriacError) -> [Int] {
            let part = trimmed(part)
            guard !part.isEmpty else { throw error("has an empty part") }
            let pieces = part.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            let isList = pieces[0].contains("*") || pieces[0].contains("-")
            guard pieces.count == 2 else { return isList ? try list(pieces[0]) : [try number(part)] }
            guard isList else { throw error("has a step after \"\(pieces[0])\"; a step follows only * or a range") }
            let text = trimmed(pieces[1])
            guard let step = decimal(text), step > 0 else {
                throw error("has the step \"\(text)\"; a step is a number from 1")
            }
            let all = try list(pieces[0])
            // By division, because a step may be far larger than the list.
            return all.indices.filter { $0 % step == 0 }.map { all[$0] }
        }

        private func list(_ text: Substring) throws(CeleriacError) -> [Int] {
            let text = trimmed(text)
            if text == "*" { return Array(kind.range) }
            let ends = text.split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count == 2 else { throw error("has \"\(text)\"; a range is two values joined by one -") }
            let (first, last) = (try number(ends[0]), try number(ends[1]))
            if first <= last { return Array(first...last) }
            return Array(first...kind.range.upperBound) + Array(kind.range.lowerBound...last)
        }

        private func number(_ text: Substring) throws(CeleriacError) -> Int {
            let text = trimmed(text)
            guard let value = decimal(text) ?? Self.named(text) else { throw error("has \"\(text)\"") }
            guard kind.range.contains(value) else { throw error("has \"\(text)\", which is out of range") }
            return value
        }

        private func decimal(_ text: Substring) -> Int? {
            guard !text.isEmpty, text.utf8.count <= 9, text.utf8.allSatisfy({ (48...57).contains($0) }) else {
                return nil
            }
            return Int(text)
        }

        /// Months and days share one table, as in Celery: a name in the wrong field counts as its number.
        private static func named(_ text: Substring) -> Int? {
            let name = text.lowercased()
            guard name.utf8.count >= 3 else { return nil }
            if let month = months.firstIndex(where: { $0.hasPrefix(name) }) { return month + 1 }
            return days.firstIndex { $0.hasPrefix(name) }
        }

        private static let months = [
            "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
            "november", "december",
        ]
        private static let days = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]

        private func trimmed(_ text: Substring) -> Substring {
            guard let first = text.firstIndex(where: { !$0.isWhitespace }),
                let last = text.lastIndex(where: { !$0.isWhitespace })
            else { return "" }
            return text[first...last]
        }

        private func error(_ problem: String) -> CeleriacError {
            CeleriacError(
                .configuration,
                "crontab field \(kind.rawValue) \"\(field)\" \(problem); allowed: \(kind.allowed), *, "
                    + "ranges a-b, steps */k and a-b/k, joined by commas"
            )
        }
    }
}

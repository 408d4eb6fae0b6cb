internal import CeleriacCore
internal import FoundationEssentials

/// Pieces of log lines.
enum LogText {
    /// An instant in UTC to the millisecond, always of the same length.
    static func time(_ date: Date) -> String {
        let milliseconds = Int64((date.timeIntervalSince1970 * 1000).rounded(.down))
        let fraction = ((milliseconds % 1000) + 1000) % 1000
        let whole = Date(timeIntervalSince1970: Double((milliseconds - fraction) / 1000))
        let digits = String(fraction)
        return WireTime.text(of: whole).prefix(19) + "." + String(repeating: "0", count: 3 - digits.count) + digits
            + "Z"
    }

    static func padded(_ text: String, to width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// The text without passwords, its control characters escaped.
    static func visible(_ text: String) -> String {
        let text = Redaction.redacted(text)
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where isControl(scalar): result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// A value that ends at the next space as it stands, any other in quotes.
    static func quotedIfNeeded(_ value: String) -> String {
        let text = visible(value)
        guard text.isEmpty || text.contains(where: { $0 == " " || $0 == "\"" || $0 == "=" }) else { return text }
        return "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"") + "\""
    }

    /// C0, DEL and C1: what a terminal acts on instead of showing it; and the line ends of Unicode.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value) || scalar == "\u{2028}" || scalar == "\u{2029}"
    }
}

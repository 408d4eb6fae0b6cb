internal import CeleriacCore

/// Takes passwords out of texts that may hold URLs: the last line of defence before a log or a terminal.
enum Redaction {
    /// The text with `***` for the password of each URL in it.
    ///
    /// Where it ends is taken widely, for a password may hold any character but a space or a quote.
    static func redacted(_ text: String) -> String {
        guard text.contains("://") else { return text }
        return ServerURL.maskingParameters(withoutPasswords(text))
    }

    private static func withoutPasswords(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "@")) else { return text }
        var result = ""
        var rest = text[...]
        while let scheme = rest.firstRange(of: "://") {
            result += rest[..<scheme.upperBound]
            rest = rest[scheme.upperBound...]
            let url = rest.prefix { !$0.isWhitespace && $0 != "\"" && $0 != "'" && $0 != "<" && $0 != ">" }
            if let at = url.lastIndex(of: "@"), let colon = url[..<at].firstIndex(of: ":") {
                result += rest[..<colon] + ":***"
                rest = rest[at...]
            }
        }
        return result + rest
    }
}

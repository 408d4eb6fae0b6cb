/// The version that a server states, such as `3.12.1` or `4.1.0-rc.2`, in its order.
///
/// Missing numbers count as zero, so that `3.12` equals `3.12.0`. A version with a hyphen comes before the one without;
/// what follows a plus sign makes no difference.
public struct ServerVersion: Hashable, Comparable, Sendable, LosslessStringConvertible {
    private enum Identifier: Hashable, Comparable, Sendable {
        // The order of the cases is theirs: a number comes before a word.
        case number(Int)
        case word(String)
    }

    /// The version as it was written.
    public let description: String
    /// Without zeros at the end.
    private let numbers: [Int]
    /// What follows the hyphen; empty for a release.
    private let preview: [Identifier]

    /// Reads a version: numbers separated by dots, then what follows a hyphen or a plus sign.
    ///
    /// - Returns: `nil` for what does not begin so.
    public init?(_ text: String) {
        let release = text.prefix { $0 != "-" && $0 != "+" }
        var numbers: [Int] = []
        for part in release.split(separator: ".", omittingEmptySubsequences: false) {
            guard let number = Int(part), number >= 0, part.first?.isNumber == true else { return nil }
            numbers.append(number)
        }
        while numbers.last == 0 { numbers.removeLast() }
        let rest = text.dropFirst(release.count).prefix { $0 != "+" }
        description = text
        self.numbers = numbers
        preview = rest.dropFirst().split(separator: ".").map { part in
            Int(part).map(Identifier.number) ?? .word(String(part))
        }
    }

    /// A release, such as `ServerVersion(3, 12)`; numbers below zero count as zero.
    public init(_ numbers: Int...) {
        description = numbers.map { String(max(0, $0)) }.joined(separator: ".")
        var significant = numbers.map { max(0, $0) }
        while significant.last == 0 { significant.removeLast() }
        self.numbers = significant
        preview = []
    }

    /// Whether both are the same version, however they are written.
    public static func == (left: ServerVersion, right: ServerVersion) -> Bool {
        left.numbers == right.numbers && left.preview == right.preview
    }

    /// Hashes what makes versions equal.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(numbers)
        hasher.combine(preview)
    }

    /// Whether the left version is the older one.
    public static func < (left: ServerVersion, right: ServerVersion) -> Bool {
        if left.numbers != right.numbers { return left.numbers.lexicographicallyPrecedes(right.numbers) }
        if left.preview.isEmpty || right.preview.isEmpty { return !left.preview.isEmpty && right.preview.isEmpty }
        return left.preview.lexicographicallyPrecedes(right.preview)
    }
}

extension AMQPConnection {
    /// What the server calls itself, such as `RabbitMQ`.
    public nonisolated var serverProduct: String? { serverProperties["product"]?.string }

    /// The server's version; `nil` if it states none, or none that can be read.
    public nonisolated var serverVersion: ServerVersion? {
        serverProperties["version"]?.string.flatMap { ServerVersion($0) }
    }

    /// Checks that the server is a product of at least some version, so that what needs it fails early and says why.
    ///
    /// ```swift
    /// try connection.require(ServerVersion(3, 13), for: "filters of streams")
    /// ```
    ///
    /// - Parameters:
    ///   - oldest: The oldest version that will do.
    ///   - product: What the server must call itself: versions of different products cannot be compared.
    ///   - purpose: What needs it, for the error.
    /// - Throws: ``AMQPError`` `.unsupported`, which names what is needed and what is there.
    public nonisolated func require(
        _ oldest: ServerVersion,
        of product: String = "RabbitMQ",
        for purpose: String
    ) throws(AMQPError) {
        if serverProduct == product, let version = serverVersion, version >= oldest { return }
        let version = serverProperties["version"]?.string ?? "of unknown version"
        let server = "\(serverProduct ?? "a server without a name") \(version)"
        throw AMQPError(.unsupported, "\(purpose) needs \(product) \(oldest) or later; \(peer) is \(server)")
    }
}

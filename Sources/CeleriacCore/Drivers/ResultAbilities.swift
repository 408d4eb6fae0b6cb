/// What a result backend can do beyond keeping the results of one's own calls.
///
/// What one cannot do it refuses with an error rather than pretend, and the contract tests name it.
public struct ResultAbilities: OptionSet, Hashable, Sendable {
    /// The abilities as bits.
    public let rawValue: Int

    /// Abilities as bits.
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// A record is found by its task's id alone, whoever made the call.
    ///
    /// Without it, a record goes to the process that made the call and to no other: each call must be announced with
    /// ``ResultBackend/expect(_:within:)``, and of other ids the backend says ``CeleriacError/Code/notFound``.
    public static let anyCall = ResultAbilities(rawValue: 1 << 0)
    /// Other processes read what this one stores, and the reverse.
    public static let anyProcess = ResultAbilities(rawValue: 1 << 1)
    /// `store` tells whether the record was stored, and what it has stored can be read at once.
    public static let immediate = ResultAbilities(rawValue: 1 << 2)

    /// All of them: a store that everybody shares.
    public static let all: ResultAbilities = [.anyCall, .anyProcess, .immediate]
}

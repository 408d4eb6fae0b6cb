public import CeleriacCore

/// The entries that a beat watches over.
///
/// ```swift
/// let schedule = Schedule {
///     Entry("heartbeat", add(1, 1), every: .seconds(30))
///     Entry("report", report(), cron: "0 8 * * mon-fri", in: "Europe/Berlin")
/// }
/// ```
public struct Schedule: Sendable {
    /// The entries, in the order given.
    public var entries: [ScheduleEntry]

    /// A schedule of given entries.
    public init(_ entries: [ScheduleEntry] = []) { self.entries = entries }

    /// A schedule written down as a list.
    public init(@ScheduleBuilder _ entries: () -> [ScheduleEntry]) { self.entries = entries() }

    /// Checks each entry, and that no two have the same name.
    ///
    /// - Throws: ``CeleriacError``, code `.configuration`, about the first that is wrong.
    public func validate() throws(CeleriacError) {
        _ = try plans()
    }

    func plans() throws(CeleriacError) -> [Planner.Plan] {
        var names: Set<String> = []
        var plans: [Planner.Plan] = []
        plans.reserveCapacity(entries.count)
        for entry in entries {
            guard names.insert(entry.name).inserted else {
                throw CeleriacError(.configuration, "two schedule entries have the name \"\(entry.name)\"")
            }
            plans.append(try entry.plan())
        }
        return plans
    }
}

/// Builds the list of entries in `Schedule { … }`; takes `if`, `for` and `switch`.
@resultBuilder
public enum ScheduleBuilder {
    /// One entry.
    public static func buildExpression(_ entry: ScheduleEntry) -> [ScheduleEntry] { [entry] }
    /// Several entries made elsewhere.
    public static func buildExpression(_ entries: [ScheduleEntry]) -> [ScheduleEntry] { entries }
    /// The entries in order.
    public static func buildBlock(_ parts: [ScheduleEntry]...) -> [ScheduleEntry] { parts.flatMap(\.self) }
    /// An `if` without `else`.
    public static func buildOptional(_ part: [ScheduleEntry]?) -> [ScheduleEntry] { part ?? [] }
    /// The first branch.
    public static func buildEither(first part: [ScheduleEntry]) -> [ScheduleEntry] { part }
    /// The second branch.
    public static func buildEither(second part: [ScheduleEntry]) -> [ScheduleEntry] { part }
    /// A loop.
    public static func buildArray(_ parts: [[ScheduleEntry]]) -> [ScheduleEntry] { parts.flatMap(\.self) }
}

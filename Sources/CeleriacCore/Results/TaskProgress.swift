/// How far a running task is; in Python, `AsyncResult.info` is a dictionary of these names.
public struct TaskProgress: Codable, Hashable, Sendable {
    /// How much is done, in the task's own units.
    public var current: Double
    /// How much there is to do, if that is known.
    public var total: Double?
    /// What is being done, for people.
    public var message: String?

    /// So much is done.
    public init(current: Double, total: Double? = nil, message: String? = nil) {
        self.current = current
        self.total = total
        self.message = message
    }

    /// The part that is done, from 0 to 1; `nil` if the whole is not known.
    public var fraction: Double? {
        guard let total, total > 0 else { return nil }
        return min(max(0, current / total), 1)
    }
}

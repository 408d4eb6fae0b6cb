internal import CeleriacCore

/// The limits that one received call is under.
struct TaskLimits: Sendable {
    /// A rate limit, and what this call is to it.
    struct Rated: Sendable {
        let limit: RateLimit
        let key: String
        let cost: Double
    }

    /// A concurrency limit, and what this call is to it.
    struct Placed: Sendable {
        let limit: ConcurrencyLimit
        let key: String
    }

    let rate: Rated?
    let concurrency: Placed?

    /// `nil` if it is under none, as most are.
    init?(of message: TaskMessage, _ task: TaskRegistration) {
        let (rate, concurrency) = (task.options.rateLimit, task.options.concurrencyLimit)
        guard rate != nil || concurrency != nil else { return nil }
        let needsArguments =
            rate.map { $0.key.needsArguments || $0.cost.needsArguments } ?? false
            || concurrency?.key.needsArguments ?? false
        // A body that cannot be read ends in the dead-letter queue, before any of the task's code runs.
        let arguments =
            needsArguments
            ? CallArguments(of: message.task, body: message.body, parameters: task.parameters) : nil
        self.rate = rate.map { limit in
            Rated(
                limit: limit,
                key: limit.key.name(of: message.task, arguments),
                cost: limit.cost.value(arguments)
            )
        }
        self.concurrency = concurrency.map { limit in
            Placed(limit: limit, key: limit.key.name(of: message.task, arguments))
        }
    }
}

extension TaskRegistration {
    /// Whether a limit of the task's is kept in the store that all workers share.
    var isLimitedOverFleet: Bool {
        options.rateLimit?.reach == .fleet || options.concurrencyLimit?.reach == .fleet
    }
}

/// What a parked call takes along, in a header of its message: its place in line, and how often it was parked in a
/// row without one.
struct ParkingNote: Sendable, Equatable {
    private static let header = "x-celeriac-limit"

    /// The run that the note is for: a retry begins anew.
    let retries: Int
    var place: String?
    var parks = 0

    init(retries: Int) { self.retries = retries }

    /// The note of a message; a new one if it has none for this run.
    init(of message: TaskMessage) {
        self.init(retries: message.retries)
        guard let parts = message.headers[Self.header]?.array, parts.count == 3, parts[0].int == retries else { return }
        place = parts[1].string
        parks = min(max(0, parts[2].int ?? 0), 12)
    }

    /// Twice as long each time: nobody waits much longer than it has waited already.
    mutating func nextPause() -> Duration {
        parks = min(parks + 1, 12)
        return .seconds(1 << parks)
    }

    func write(to headers: inout MessageHeaders) {
        headers[Self.header] = [.int(Int64(retries)), place.map { .string($0) } ?? .null, .int(Int64(parks))]
    }
}

/// A place under a concurrency limit that a run has.
struct HeldPlace: Sendable {
    let store: any LimitStore
    let key: String
    let owner: String
    let limit: ConcurrencyLimit
}

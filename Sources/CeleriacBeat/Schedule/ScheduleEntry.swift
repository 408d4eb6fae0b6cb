public import CeleriacCore
public import FoundationEssentials

/// A rule with its task: what is emitted, when, and what happens to slots that were missed.
public struct ScheduleEntry: Sendable {
    /// Emits the task of one slot; returns when the broker has confirmed it.
    ///
    /// A slot may be emitted again after a failure whose effect is unknown, then with the same id.
    public typealias Emit = @Sendable (_ slot: Date, _ id: TaskID) async throws -> Void

    /// The entry's name, unique in its schedule.
    ///
    /// Beats remember slots by it: renamed, an entry is a new one.
    public let name: String
    /// What becomes of late slots.
    public let misfire: MisfirePolicy
    /// How late a slot may be emitted; `nil` for the default, see ``init(_:_:misfire:misfireGrace:emit:)``.
    public let misfireGrace: Duration?
    let emit: Emit
    private let rule: Result<Trigger, CeleriacError>

    /// An entry.
    ///
    /// - Parameters:
    ///   - misfireGrace: How late a slot may be emitted. By default half the distance to the entry's next slot, but at
    ///     least a minute and at most an hour; an hour with ``MisfirePolicy/all(maximum:)``, five seconds
    ///     with ``MisfirePolicy/skip``. A failed emission is repeated within the grace.
    ///   - emit: Emits the task of one slot.
    public init(
        _ name: String,
        _ trigger: Trigger,
        misfire: MisfirePolicy = .once,
        misfireGrace: Duration? = nil,
        emit: @escaping Emit
    ) {
        self.init(name, .success(trigger), misfire, misfireGrace, emit)
    }

    /// An entry with a fixed distance between its slots; see ``IntervalTrigger``.
    ///
    /// An interval that is not allowed is reported by ``Schedule/validate()``, and so by ``Beat``'s initialiser.
    public init(
        _ name: String,
        every interval: Duration,
        misfire: MisfirePolicy = .once,
        misfireGrace: Duration? = nil,
        emit: @escaping Emit
    ) {
        let rule = Result { () throws(CeleriacError) in try Trigger.every(interval) }
        self.init(name, rule, misfire, misfireGrace, emit)
    }

    /// An entry by the wall clock; see ``CrontabTrigger``.
    ///
    /// A text that is no crontab is reported by ``Schedule/validate()``, and so by ``Beat``'s initialiser.
    ///
    /// - Parameter zone: The IANA name of a time zone; UTC if `nil`.
    public init(
        _ name: String,
        cron text: String,
        in zone: String? = nil,
        misfire: MisfirePolicy = .once,
        misfireGrace: Duration? = nil,
        emit: @escaping Emit
    ) {
        let rule = Result { () throws(CeleriacError) in try Trigger.cron(text, in: zone) }
        self.init(name, rule, misfire, misfireGrace, emit)
    }

    private init(
        _ name: String,
        _ rule: Result<Trigger, CeleriacError>,
        _ misfire: MisfirePolicy,
        _ misfireGrace: Duration?,
        _ emit: @escaping Emit
    ) {
        self.name = name
        self.rule = rule
        self.misfire = misfire
        self.misfireGrace = misfireGrace
        self.emit = emit
    }

    /// When the entry is due.
    ///
    /// - Throws: ``CeleriacError``, code `.configuration`, if the interval or crontab it was made of is not allowed.
    public var trigger: Trigger {
        get throws(CeleriacError) { try rule.get() }
    }

    func plan() throws(CeleriacError) -> Planner.Plan {
        func refused(_ problem: String) -> CeleriacError {
            CeleriacError(.configuration, "schedule entry \"\(name)\": \(problem)")
        }
        guard !name.isEmpty else { throw CeleriacError(.configuration, "a schedule entry has no name") }
        if case .all(let maximum) = misfire, maximum < 1 { throw refused("misfire maximum \(maximum) is below 1") }
        if let misfireGrace, misfireGrace <= .zero { throw refused("misfire grace \(misfireGrace) is not positive") }
        do {
            return Planner.Plan(name: name, trigger: try rule.get(), misfire: misfire, grace: misfireGrace)
        } catch {
            throw refused(error.message)
        }
    }
}

/// The short name of ``ScheduleEntry``, for use inside `Schedule { … }`.
public typealias Entry = ScheduleEntry

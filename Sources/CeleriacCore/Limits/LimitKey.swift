/// Which calls share a limit.
public struct LimitKey: Sendable {
    private enum Raw: Sendable {
        case task
        case shared(String)
        case call(@Sendable (CallArguments) -> String)
    }

    private let raw: Raw

    /// All calls of the task.
    public static let task = LimitKey(raw: .task)

    /// All calls of all tasks that use this name, as for an API that several tasks call.
    public static func shared(_ name: String) -> LimitKey { LimitKey(raw: .shared(name)) }

    /// The task's calls with one value of an argument, given by keyword or, if the task was defined with parameter names,
    /// by position.
    public static func argument(_ name: String) -> LimitKey { .by { $0.text(of: $0[name]) } }

    /// The task's calls with one value of a positional argument, counted from 0.
    public static func argument(at position: Int) -> LimitKey { .by { $0.text(of: $0[position]) } }

    /// The task's calls that a closure gives one name.
    ///
    /// The closure runs in the worker before each run of a call; it must be quick.
    public static func by(_ name: @escaping @Sendable (CallArguments) -> String) -> LimitKey {
        LimitKey(raw: .call(name))
    }

    /// Whether the call's arguments decide.
    package var needsArguments: Bool { if case .call = raw { true } else { false } }

    /// The longest part of a key that comes from arguments, in octets; what is longer is told apart by a hash.
    private static let longestName = 256

    /// The key in a store; one for the whole task if the arguments are not at hand.
    package func name(of task: TaskName, _ arguments: CallArguments?) -> String {
        switch raw {
        case .task: return task.rawValue
        case .shared(let name): return "shared:\(Self.shortened(name))"
        case .call(let name):
            guard let arguments else { return task.rawValue }
            return "\(task):\(Self.shortened(name(arguments)))"
        }
    }

    /// FNV-1a: two keys that met by chance would share a limit, which is no harm.
    private static func shortened(_ name: String) -> String {
        guard name.utf8.count > longestName else { return name }
        let hash = name.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return "\(name.prefix(64))…\(String(hash, radix: 16))"
    }
}

/// How much of a rate a call takes.
public struct LimitCost: Sendable, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral {
    private enum Raw: Sendable {
        case fixed(Double)
        case call(@Sendable (CallArguments) -> Double)
    }

    private let raw: Raw

    /// The same for each call.
    public init(integerLiteral cost: Int) { raw = .fixed(Double(cost)) }
    /// The same for each call.
    public init(floatLiteral cost: Double) { raw = .fixed(cost) }

    private init(raw: Raw) { self.raw = raw }

    /// What a closure says, such as the tokens that a prompt has.
    ///
    /// The closure runs in the worker before each run of a call; it must be quick.
    public static func by(_ cost: @escaping @Sendable (CallArguments) -> Double) -> LimitCost {
        LimitCost(raw: .call(cost))
    }

    /// Whether the call's arguments decide.
    package var needsArguments: Bool { if case .call = raw { true } else { false } }

    /// The cost of a call; 1 if the arguments are not at hand or what the closure says is no number.
    package func value(_ arguments: CallArguments?) -> Double {
        let value: Double =
            switch raw {
            case .fixed(let cost): cost
            case .call(let cost): arguments.map(cost) ?? 1
            }
        return value.isFinite ? max(0, value) : 1
    }

    /// The cost, if it is the same for each call.
    package var fixed: Double? { if case .fixed(let cost) = raw { cost } else { nil } }
}

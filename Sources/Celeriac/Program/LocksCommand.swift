internal import CeleriacCore

/// `locks`: who keeps whom out, and how to end that.
struct LocksCommand: Command {
    private enum Action: String, CaseIterable {
        case list
        case show
        case clear
    }

    private static let limit = Option<Int>("limit", "N", default: 100, in: 1...1_000_000, help: "Show no more than N.")
    private static let yes = Flag("yes", letter: "y", help: "With clear: do it, rather than tell what it would do.")
    private static let json = Flag("json", help: "Write JSON: an array of objects, or with show one object.")

    static let syntax = CommandSyntax(
        name: "locks",
        summary: "List, show or clear the locks of unique calls.",
        discussion:
            "list takes patterns in which * stands for any text, and without one shows the locks of unique calls "
            + "(celeriac-unique:…), of running ones that others may follow (…:running), of programs (celeriac-lock:…) and of "
            + "celery-once (qo_…). show takes a name, and tells how the call is that has the lock. clear takes names or "
            + "patterns; the call that had the lock goes on, and an equal one may be sent beside it.",
        positionals: [
            Positional("ACTION", help: "list, show or clear."),
            Positional("NAME", .any, help: "Names of locks, or patterns."),
        ],
        options: [limit.declaration, yes.declaration, json.declaration],
        examples: [
            .init("locks list", "names, owners, ages, time left and fences, aligned"),
            .init("locks show 'celeriac-unique:report:[\"May\"]{}'", "one of them, and the state of its call"),
            .init("locks clear 'celeriac-unique:report:*' --yes", "after a queue was purged"),
        ]
    )

    private let action: Action
    private let names: [String]
    private let limit: Int
    private let isSure: Bool
    private let isJSON: Bool

    init(_ parsed: ParsedArguments) throws(UsageError) {
        let word = parsed.positionals.first ?? ""
        guard let action = Action(rawValue: word) else {
            let known = Action.allCases.map(\.rawValue).joined(separator: ", ")
            throw UsageError(parsed.path, .invalidArgument("ACTION", text: word, expectation: "one of \(known)"))
        }
        self.action = action
        names = Array(parsed.positionals.dropFirst())
        limit = try parsed.value(of: Self.limit)
        isSure = parsed.has(Self.yes)
        isJSON = parsed.has(Self.json)
        if action != .list, names.isEmpty { throw UsageError(parsed.path, .missingArgument("NAME")) }
        if action == .show, names.count > 1 { throw UsageError(parsed.path, .unexpectedArgument(names[1])) }
        if action != .clear, isSure { throw UsageError(parsed.path, .needless(option: "yes", without: "clear")) }
    }

    func run(_ program: RunningProgram) async -> ExitCode {
        if program.usesMemoryResults {
            program.tell(
                "\(program.environment.program): memory:// ends with its process, so there are no locks to see here; "
                    + "give --result-backend or set CELERIAC_RESULT_BACKEND"
            )
        }
        do throws(CeleriacError) {
            let locks = try program.app.drivers().locks
            switch action {
            case .list: return try await list(locks, program)
            case .show: return try await show(names.first ?? "", locks, program)
            case .clear: return try await clear(locks, program)
            }
        } catch {
            return program.report(error)
        }
    }

    private static let families = [UniqueLock.prefix, SharedLock.prefix, CeleryOnceKey.prefix]

    /// What the patterns find, in order of the names, each once.
    private func found(
        _ patterns: [String],
        _ locks: any LockStore,
        upTo limit: Int
    ) async throws(CeleriacError) -> [HeldLock] {
        var found: [String: HeldLock] = [:]
        for pattern in patterns {
            for lock in try await locks.locks(matching: pattern, limit: limit) { found[lock.key] = lock }
        }
        return found.values.sorted { $0.key < $1.key }
    }

    private func list(_ locks: any LockStore, _ program: RunningProgram) async throws(CeleriacError) -> ExitCode {
        let patterns = names.isEmpty ? Self.families.map { $0 + "*" } : names
        let all = try await found(patterns, locks, upTo: limit + 1)
        write(Array(all.prefix(limit)), program)
        if all.count > limit { program.tell("\(program.environment.program): there are more; give a larger --limit") }
        return .success
    }

    private func write(_ locks: [HeldLock], _ program: RunningProgram) {
        if isJSON { return program.write(.array(locks.map { .object(Self.members(of: $0)) })) }
        guard !locks.isEmpty else { return program.tell("\(program.environment.program): no locks") }
        var rows = [["NAME", "OWNER", "AGE", "LEFT", "FENCE"]]
        for lock in locks {
            rows.append([
                LogText.visible(lock.key), LogText.visible(lock.owner), Self.text(lock.age), Self.text(lock.remaining),
                lock.fence.map { String($0) } ?? "-",
            ])
        }
        for line in TextTable.lines(rows) { program.write(line) }
    }

    private func show(
        _ name: String,
        _ locks: any LockStore,
        _ program: RunningProgram
    ) async throws(CeleriacError) -> ExitCode {
        // A name may hold a star, which then finds others, too.
        guard let lock = try await locks.locks(matching: name, limit: .max).first(where: { $0.key == name }) else {
            program.tell("\(program.environment.program): no lock named \(name)")
            return .failure
        }
        let call = UniqueLock(key: lock.key, lease: .seconds(1)).call(ofOwner: lock.owner)
        var state: TaskState?
        if let call, !name.hasPrefix(SharedLock.prefix) {
            state = try await program.app.drivers().results.record(of: call)?.state ?? .pending
        }
        guard isJSON else {
            var rows = [
                ["name", LogText.visible(lock.key)], ["owner", LogText.visible(lock.owner)],
                ["age", Self.text(lock.age)], ["left", Self.text(lock.remaining)],
                ["fence", lock.fence.map { String($0) } ?? "-"],
            ]
            if let state { rows.append(["state", state.rawValue]) }
            for line in TextTable.lines(rows) { program.write(line) }
            return .success
        }
        var members = Self.members(of: lock)
        if let state { members["state"] = .string(state.rawValue) }
        program.write(.object(members))
        return .success
    }

    private func clear(_ locks: any LockStore, _ program: RunningProgram) async throws(CeleriacError) -> ExitCode {
        let chosen = try await found(names, locks, upTo: .max)
        for name in names where !name.contains("*") && !chosen.contains(where: { $0.key == name }) {
            program.tell("\(program.environment.program): no lock named \(name)")
        }
        guard !chosen.isEmpty else { return .failure }
        guard isSure else {
            write(chosen, program)
            program.tell("\(program.environment.program): nothing was cleared; give --yes to clear \(chosen.count)")
            return .usage
        }
        var cleared: [HeldLock] = []
        for lock in chosen where try await locks.clear(lock.key) { cleared.append(lock) }
        if isJSON {
            write(cleared, program)
        } else {
            for lock in cleared { program.write("cleared \(LogText.visible(lock.key))") }
        }
        return .success
    }

    private static func members(of lock: HeldLock) -> [String: JSONValue] {
        func seconds(_ span: Duration?) -> JSONValue { span.map { .double($0.inSeconds) } ?? .null }
        return [
            "name": .string(lock.key), "owner": .string(lock.owner), "age": seconds(lock.age),
            "left": seconds(lock.remaining), "fence": lock.fence.map { .int(Int64(clamping: $0)) } ?? .null,
        ]
    }

    private static func text(_ span: Duration?) -> String {
        span.map { "\(Int($0.inSeconds.rounded())) s" } ?? "-"
    }
}

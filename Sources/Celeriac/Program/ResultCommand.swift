internal import CeleriacCore
internal import FoundationEssentials

/// `result`: what became of a call.
struct ResultCommand: Command {
    private static let wait = Flag("wait", letter: "w", help: "Wait until the task has ended.")
    private static let timeout = Option<Duration>(
        "timeout",
        letter: "t",
        "SECONDS",
        default: .seconds(60),
        help: "How long to wait."
    )
    private static let json = Flag("json", help: "Write one JSON object.")

    static let syntax = CommandSyntax(
        name: "result",
        summary: "Show what became of a call.",
        discussion: "Writes the state and, once the task has ended, its value as JSON or its error. A task that nobody "
            + "knows is PENDING, like one that waits in its queue.",
        positionals: [Positional("ID", help: "The call's id.")],
        options: [wait.declaration, timeout.declaration, json.declaration],
        examples: [
            .init("result 2f1c… --wait --timeout 10", "exit code 75 if it has not ended by then"),
            .init("result 2f1c… --json", "for scripts"),
        ]
    )

    private let id: TaskID
    private let waits: Bool
    private let timeout: Duration
    private let isJSON: Bool

    init(_ parsed: ParsedArguments) throws(UsageError) {
        id = try parsed.first(as: TaskID.self, named: "ID")
        waits = parsed.has(Self.wait)
        timeout = try parsed.value(of: Self.timeout)
        isJSON = parsed.has(Self.json)
        if !waits, parsed.values[Self.timeout.declaration.name] != nil {
            throw UsageError(parsed.path, .needless(option: "timeout", without: "wait"))
        }
    }

    func run(_ program: RunningProgram) async -> ExitCode {
        if program.usesMemoryResults {
            program.tell(
                "\(program.environment.program): memory:// ends with its process, so there are no results to see here; "
                    + "give --result-backend or set CELERIAC_RESULT_BACKEND"
            )
        }
        do throws(CeleriacError) {
            if waits, let record = try await ended(program) { return try show(record, program) }
            return try show(await program.app.handle(id).record(), program)
        } catch {
            return program.report(error)
        }
    }

    /// The final record; `nil` if the task did not end in time.
    private func ended(_ program: RunningProgram) async throws(CeleriacError) -> TaskRecord? {
        do {
            return try await program.app.drivers().results.outcome(of: id, within: timeout)
        } catch {
            guard error.code == .timedOut else { throw error }
            return nil
        }
    }

    private func show(_ record: TaskRecord?, _ program: RunningProgram) throws(CeleriacError) -> ExitCode {
        let state = record?.state ?? .pending
        let value = state == .success ? try record?.value(as: JSONValue.self) : nil
        if isJSON {
            var members: [String: JSONValue] = ["id": .string(id.rawValue), "state": .string(state.rawValue)]
            if let value { members["value"] = value }
            if let failure = record?.failure { members["error"] = Self.object(failure) }
            if let date = record?.dateDone { members["dateDone"] = .string(WireTime.text(of: date)) }
            program.write(.object(members))
        } else {
            var rows = [["state", state.rawValue]]
            if let value { rows.append(["value", String(decoding: JSONText.value(value), as: UTF8.self)]) }
            if let failure = record?.failure { rows.append(["error", LogText.visible(failure.description)]) }
            if let date = record?.dateDone { rows.append(["ended", LogText.time(date)]) }
            for line in TextTable.lines(rows) { program.write(line) }
        }
        guard state.isFinal else { return .notEnded }
        return state == .success ? .success : .failure
    }

    /// A failure as an object for scripts.
    static func object(_ failure: TaskFailure) -> JSONValue {
        var members: [String: JSONValue] = ["type": .string(failure.type), "message": .string(failure.message)]
        members["module"] = failure.module.map { .string($0) }
        return .object(members)
    }
}

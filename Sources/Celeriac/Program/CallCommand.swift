internal import CeleriacCore
internal import FoundationEssentials

/// `call`: sends one call and, if asked, waits for its value.
struct CallCommand: Command {
    private static let keywords = Option<KeywordsArgument?>(
        "kwargs",
        letter: "k",
        "JSON",
        help: "Keyword arguments, as a JSON object."
    )
    private static let queue = Option<QueueName?>("queue", letter: "q", "NAME", help: "The queue. Default: the task's.")
    private static let countdown = Option<Duration?>(
        "countdown",
        "SECONDS",
        help: "Start no earlier than this from now."
    )
    private static let eta = Option<Date?>("eta", "TIME", help: "Start no earlier than this ISO 8601 time.")
    private static let expires = Option<Duration?>("expires", "SECONDS", help: "Do not start later than this from now.")
    private static let priority = Option<UInt8?>("priority", "N", help: "Larger is more urgent.")
    private static let id = Option<TaskID?>("id", "ID", help: "The call's id. Default: a new UUID.")
    private static let headers = Option<[HeaderArgument]>(
        "header",
        "KEY=VALUE",
        help: "A header the task can read; may be repeated."
    )
    private static let attempts = Option<Int?>(
        "attempts",
        "N",
        help: "Run at most so often if it fails, with growing pauses. Default: the task's policy."
    )
    private static let timeLimit = Option<Duration?>(
        "time-limit",
        "SECONDS",
        help: "Cancel it after running this long. Default: the task's limit."
    )
    private static let ignoreResult = Flag("ignore-result", help: "Keep no result.")
    private static let wait = Flag("wait", letter: "w", help: "Wait for the value and write it as JSON.")
    private static let timeout = Option<Duration>(
        "timeout",
        letter: "t",
        "SECONDS",
        default: .seconds(60),
        help: "How long to wait."
    )
    private static let json = Flag("json", help: "Write one JSON object with the id and, after waiting, the outcome.")

    static let syntax = CommandSyntax(
        name: "call",
        summary: "Call a task, here or in another program.",
        discussion: "Writes the call's id once the broker has confirmed it. An argument that is JSON is sent as that "
            + "value, any other as text.",
        positionals: [
            Positional("NAME", help: "The task's name."),
            Positional("ARGS", .any, help: "Its arguments: JSON or text. After -- nothing is an option."),
        ],
        options: [
            keywords.declaration, queue.declaration, countdown.declaration, eta.declaration, expires.declaration,
            priority.declaration, id.declaration, headers.declaration, attempts.declaration, timeLimit.declaration,
            ignoreResult.declaration, wait.declaration, timeout.declaration, json.declaration,
        ],
        examples: [
            .init("call shop.add 2 3 --wait", "the id, then 5"),
            .init("call images.thumbnail cat.png -k '{\"width\": 320}'", "text, and a keyword argument"),
            .init("call reports.daily --countdown 90 --expires 1h", "in a minute and a half, or not at all"),
        ]
    )

    private let task: TaskName
    private let arguments: [JSONValue]
    private let keywords: [String: JSONValue]
    private let options: CallOptions
    private let waits: Bool
    private let timeout: Duration
    private let isJSON: Bool

    init(_ parsed: ParsedArguments) throws(UsageError) {
        task = try parsed.first(as: TaskName.self, named: "NAME")
        arguments = parsed.positionals.dropFirst().map(Self.argument)
        keywords = try parsed.value(of: Self.keywords)?.members ?? [:]
        waits = parsed.has(Self.wait)
        timeout = try parsed.value(of: Self.timeout)
        isJSON = parsed.has(Self.json)
        if !waits, parsed.values[Self.timeout.declaration.name] != nil {
            throw UsageError(parsed.path, .needless(option: "timeout", without: "wait"))
        }
        var options = CallOptions()
        options.id = try parsed.value(of: Self.id)
        options.queue = try parsed.value(of: Self.queue)
        options.countdown = try parsed.value(of: Self.countdown)
        options.eta = try parsed.value(of: Self.eta)
        options.expires = try parsed.value(of: Self.expires)
        options.priority = try parsed.value(of: Self.priority)
        for header in try parsed.value(of: Self.headers) { options.headers[header.name] = .string(header.value) }
        if let attempts = try parsed.value(of: Self.attempts) { options.retry = .exponential(attempts: attempts) }
        options.timeLimit = try parsed.value(of: Self.timeLimit)
        if parsed.has(Self.ignoreResult) { options.ignoresResult = true }
        self.options = options
    }

    static func argument(_ text: String) -> JSONValue {
        (try? PayloadCoding.decode(JSONValue.self, from: Array(text.utf8))) ?? .string(text)
    }

    func run(_ program: RunningProgram) async -> ExitCode {
        if program.usesMemoryBroker {
            program.tell(
                "\(program.environment.program): memory:// ends with this process, so no worker will run this call; "
                    + "give --broker or set CELERIAC_BROKER_URL"
            )
        }
        let handle: TaskHandle<JSONValue>
        do throws(CeleriacError) {
            suggestName(program)
            let signature = program.app.signature(task, arguments: arguments, keywords: keywords)
            handle = try await signature.apply(options)
        } catch {
            return program.report(error)
        }
        guard waits else {
            if isJSON { program.write(Self.sent(handle)) } else { program.write(handle.id.rawValue) }
            return .success
        }
        if !isJSON { program.write(handle.id.rawValue) }
        return await outcome(of: handle, program)
    }

    /// A name that this program does not know may be another program's task, or misspelt.
    private func suggestName(_ program: RunningProgram) {
        let names = program.app.tasks.map(\.name)
        guard !names.contains(task),
            let suggestion = Spelling.suggestion(for: task.rawValue, among: names.map(\.rawValue))
        else { return }
        program.tell(
            "\(program.environment.program): \(task) is not a task of this program; did you mean \(suggestion)?"
        )
    }

    private func outcome(of handle: TaskHandle<JSONValue>, _ program: RunningProgram) async -> ExitCode {
        do throws(CeleriacError) {
            let record = try await program.app.drivers().results.outcome(of: handle.id, within: timeout)
            guard record.state == .success else {
                let failure = record.failure ?? TaskFailure(type: record.state.rawValue, arguments: [], module: nil)
                if isJSON {
                    let state = JSONValue.string(record.state.rawValue)
                    program.write(Self.sent(handle, ["state": state, "error": ResultCommand.object(failure)]))
                }
                program.tell("\(program.environment.program): \(failure)")
                return .failure
            }
            let value = try record.value(as: JSONValue.self)
            program.write(isJSON ? Self.sent(handle, ["state": "SUCCESS", "value": value]) : value)
            return .success
        } catch {
            guard error.code == .timedOut else { return program.report(error) }
            if isJSON { program.write(Self.sent(handle)) }
            program.tell(
                "\(program.environment.program): not ended within \(timeout.argument) s; "
                    + "look later: \(program.environment.program) result \(handle.id)"
            )
            return .notEnded
        }
    }

    private static func sent(_ handle: TaskHandle<JSONValue>, _ more: [String: JSONValue] = [:]) -> JSONValue {
        var members = more
        members["id"] = .string(handle.id.rawValue)
        if handle.isExisting {
            members["isExisting"] = true
            members["disposition"] = .string(handle.disposition.rawValue)
        }
        return .object(members)
    }
}

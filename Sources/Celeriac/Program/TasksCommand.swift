internal import CeleriacCore

/// `tasks`: what this program can run.
struct TasksCommand: Command {
    private static let json = Flag("json", help: "Write a JSON array of objects.")

    static let syntax = CommandSyntax(
        name: "tasks",
        summary: "List this program's tasks.",
        options: [json.declaration],
        examples: [.init("tasks", "names, types, queues and options, aligned")]
    )

    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws(UsageError) {
        isJSON = arguments.has(Self.json)
    }

    func run(_ program: RunningProgram) async -> ExitCode {
        do throws(CeleriacError) {
            try program.app.validate()
        } catch {
            return program.report(error)
        }
        let configuration = program.app.configuration
        let tasks = program.app.tasks
        if isJSON {
            program.write(.array(tasks.map { Self.object($0, configuration) }))
        } else if tasks.isEmpty {
            program.tell("\(program.environment.program): no tasks")
        } else {
            var rows = [["NAME", "TYPE", "QUEUE", "OPTIONS"]]
            for task in tasks {
                let queue = task.options.queue ?? configuration.defaultQueue
                let options = Self.options(of: task.options).map(\.text).joined(separator: ", ")
                rows.append([task.name.rawValue, task.type, queue.rawValue, options])
            }
            for line in TextTable.lines(rows) { program.write(line) }
        }
        return .success
    }

    private static func object(_ task: TaskRegistration, _ configuration: Configuration) -> JSONValue {
        var options: [String: JSONValue] = [:]
        for option in Self.options(of: task.options) { options[option.name] = option.value }
        return [
            "name": .string(task.name.rawValue),
            "type": .string(task.type),
            "queue": .string((task.options.queue ?? configuration.defaultQueue).rawValue),
            "options": .object(options),
        ]
    }

    /// The options that differ from the defaults, for programs and for people.
    private static func options(of task: TaskOptions) -> [(name: String, value: JSONValue, text: String)] {
        var options: [(name: String, value: JSONValue, text: String)] = []
        if let priority = task.priority { options.append(("priority", .int(Int64(priority)), "priority \(priority)")) }
        if let retry = task.retry {
            options.append(("attempts", .int(Int64(retry.attempts)), "\(retry.attempts) attempts"))
        }
        func add(_ name: String, _ span: Duration?, _ text: String) {
            guard let span else { return }
            options.append((name, .double(span.inSeconds), "\(text) \(span.argument) s"))
        }
        add("timeLimit", task.timeLimit, "time limit")
        add("expires", task.expires, "expires after")
        add("resultTTL", task.resultTTL, "result kept")
        if task.ignoresResult { options.append(("ignoresResult", true, "no result")) }
        if let unique = task.unique {
            let (scope, span) = Self.scope(of: unique)
            options.append(("unique", .string(scope), "unique \(scope)"))
            if let span { options.append(("uniqueFor", .double(span.inSeconds), "lock lasts \(span.argument) s")) }
        }
        if let limit = task.rateLimit {
            let scope = Self.scope(limit.key, limit.reach)
            options.append(("rateLimit", .string("\(limit.rate)"), "at most \(limit.rate)\(scope)"))
        }
        if let limit = task.concurrencyLimit {
            let scope = Self.scope(limit.key, limit.reach)
            options.append(("concurrencyLimit", .int(Int64(limit.count)), "\(limit.count) at once\(scope)"))
        }
        if task.tracksStarted { options.append(("tracksStarted", true, "tracks its start")) }
        return options
    }

    private static func scope(of policy: UniquePolicy) -> (name: String, span: Duration?) {
        switch policy.scope {
        case .untilStarted: ("until started", policy.lease)
        case .untilFinished: ("until finished", policy.lease)
        case .window(let window): ("in a window", window)
        case .forever: ("for ever", nil)
        }
    }

    private static func scope(_ key: LimitKey, _ reach: LimitReach) -> String {
        (key.needsArguments ? " for each key" : "") + (reach == .worker ? " for each worker" : "")
    }
}

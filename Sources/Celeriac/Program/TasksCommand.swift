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
            options.append(("uniqueFor", .double(unique.lease.inSeconds), "unique"))
        }
        if task.tracksStarted { options.append(("tracksStarted", true, "tracks its start")) }
        return options
    }
}

/// Columns of text.
enum TextTable {
    static func lines(_ rows: [[String]]) -> [String] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { $0.indices.contains(column) ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            let line = zip(row, widths).map { LogText.padded($0, to: $1) }.joined(separator: "  ")
            return String(
                line.prefix(line.lastIndex { $0 != " " }.map { line.distance(from: line.startIndex, to: $0) + 1 } ?? 0)
            )
        }
    }
}

internal import CeleriacCore

/// `doctor`: looks at the servers and settings before they cost anything.
struct DoctorCommand: Command {
    private static let json = Flag("json", help: "Write a JSON array of objects.")
    private static let strict = Flag("strict", help: "End with 1 for warnings, too.")
    private static let timeout = Option<Duration>(
        "timeout",
        letter: "t",
        "SECONDS",
        default: .seconds(5),
        help: "How long to wait for each server."
    )

    static let syntax = CommandSyntax(
        name: "doctor",
        summary: "Check the broker, the result backend and the settings.",
        discussion: "Writes a line for each check: ok, warn or fail, what was found, and what to do. Changes nothing. "
            + "Ends with 1 if a check fails.",
        options: [json.declaration, strict.declaration, timeout.declaration],
        examples: [
            .init("doctor", "before the first worker, or when results are missing"),
            .init("doctor --strict --json", "for deployment scripts"),
        ]
    )
    // The findings say it in better words.
    static let logLevel = LogLevel.critical

    private let isJSON: Bool
    private let isStrict: Bool
    private let timeout: Duration

    init(_ arguments: ParsedArguments) throws(UsageError) {
        isJSON = arguments.has(Self.json)
        isStrict = arguments.has(Self.strict)
        timeout = try arguments.value(of: Self.timeout)
    }

    func run(_ program: RunningProgram) async -> ExitCode {
        let findings = await examine(program.app)
        if isJSON {
            program.write(.array(findings.map(Self.object)))
        } else {
            let rows = findings.map { finding in
                let text = finding.advice.map { "\(finding.what) → \($0)" } ?? finding.what
                return [finding.verdict.rawValue, finding.check, LogText.visible(text)]
            }
            for line in TextTable.lines(rows) { program.write(line) }
        }
        let worst = findings.map(\.verdict).max() ?? .ok
        return worst == .fail || (isStrict && worst == .warn) ? .failure : .success
    }

    private func examine(_ app: TaskApp) async -> [Finding] {
        var findings = [Self.tasks(of: app)]
        do throws(CeleriacError) {
            let drivers = try app.drivers()
            async let broker = examineBroker(drivers.broker, queues: Self.queues(of: app), app.configuration)
            async let results = examine(drivers.results, "result backend", drivers.results.address, app.configuration)
            findings += await broker
            findings += await results
        } catch {
            findings.append(.unusable("settings", error))
        }
        return findings
    }

    private func examineBroker(
        _ broker: any Broker,
        queues: [QueueName],
        _ configuration: Configuration
    ) async -> [Finding] {
        var findings = await examine(broker, "broker", broker.address, configuration)
        guard !findings.contains(where: { $0.verdict == .fail }) else { return findings }
        if let broker = broker as? any PermissionDescribing { findings.append(broker.permissions(for: queues)) }
        for queue in queues {
            do throws(CeleriacError) {
                findings.append(try await QueueFacts(of: queue, in: broker).finding)
            } catch {
                findings.append(.unusable("queue \(queue)", error))
            }
        }
        return findings
    }

    private func examine(
        _ driver: any Sendable,
        _ check: String,
        _ address: String,
        _ configuration: Configuration
    ) async -> [Finding] {
        if let driver = driver as? any Examinable {
            return await driver.examine(within: timeout, time: configuration.time)
        }
        guard address.hasPrefix("memory:") else { return [.ok(check, "\(address), which is no server of its own")] }
        return [
            .warn(
                check,
                "memory:// is this process alone, and ends with it",
                advice: "set CELERIAC_BROKER_URL and CELERIAC_RESULT_BACKEND"
            )
        ]
    }

    private static func tasks(of app: TaskApp) -> Finding {
        do throws(CeleriacError) {
            try app.validate()
            return .ok("tasks", "\(app.tasks.count) defined")
        } catch {
            return .fail("tasks", error.message, advice: "give each task a name of its own")
        }
    }

    /// The queues that this program's tasks are sent to.
    private static func queues(of app: TaskApp) -> [QueueName] {
        let standard = app.configuration.defaultQueue
        let others = Set(app.tasks.compactMap(\.options.queue)).subtracting([standard])
        return [standard] + others.sorted { $0.rawValue < $1.rawValue }
    }

    private static func object(_ finding: Finding) -> JSONValue {
        var members: [String: JSONValue] = [
            "check": .string(finding.check), "verdict": .string(finding.verdict.rawValue),
            "what": .string(LogText.visible(finding.what)),
        ]
        members["advice"] = finding.advice.map { .string($0) }
        return .object(members)
    }
}

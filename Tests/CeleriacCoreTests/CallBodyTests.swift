import Testing

@testable import CeleriacCore

@Suite("Arguments of a call") struct CallBodyTests {
    /// Runs a task on a body and returns its value as JSON text.
    private func run(_ app: TaskApp, _ body: String) async throws -> String {
        let task = try #require(app.tasks.first)
        let message = TaskMessage(id: "id", task: task.name, body: Array(body.utf8))
        let context = TaskContext(message: message, queue: "q", isRedelivered: false, deadline: nil, logger: .silent)
        return String(decoding: try await task.perform(context, message.body), as: UTF8.self)
    }

    private func app() -> TaskApp {
        TaskApp("test", configuration: Configuration()) { _ throws(CeleriacError) in
            throw CeleriacError(.unsupported, "no drivers")
        }
    }

    private func named() -> TaskApp {
        let app = app()
        _ = app.task("t", parameters: ["x", "y", "z"]) { (x: Int, y: String, z: Int?) in "\(x) \(y) \(z ?? -1)" }
        return app
    }

    @Test(
        "Come by position, by name, or both; a trailing optional may be left out",
        arguments: [
            (#"[[1, "a", 3], {}, {}]"#, #""1 a 3""#), (#"[[1, "a"], {}, {}]"#, #""1 a -1""#),
            (#"[[1, "a", null], {}, null]"#, #""1 a -1""#), (#"[[1], {"y": "a"}, {}]"#, #""1 a -1""#),
            (#"[[], {"z": 3, "y": "a", "x": 1}]"#, #""1 a 3""#), (#"[[1, "a"], {"z": null}, {}]"#, #""1 a -1""#),
            (#"[[1, "a"], {}, {"callbacks": null, "errbacks": [], "chain": null, "chord": null}]"#, #""1 a -1""#),
        ]
    )
    func fitting(_ body: String, _ value: String) async throws {
        #expect(try await run(named(), body) == value)
    }

    @Test(
        "That do not fit are refused, and say where",
        arguments: [
            (#"[[1], {}, {}]"#, "argument 2 (y)"), (#"[["1", "a"], {}, {}]"#, "argument 1 (x)"),
            (#"[[1, "a", 3, 4], {}, {}]"#, "takes 3 positional arguments, 4 given"),
            (#"[[1, "a"], {"y": "b"}, {}]"#, "keyword y"), (#"[[1, "a"], {"w": 1}, {}]"#, "keyword w"),
            (#"[[1], {"y": 5}, {}]"#, "argument 2 (y)"), (#"[[null, "a"], {}, {}]"#, "argument 1 (x)"),
        ]
    )
    func unfitting(_ body: String, _ text: String) async throws {
        let defect = await #expect(throws: CallDefect.self) { try await run(named(), body) }
        guard case .wrongArguments(let reason)? = defect else {
            Issue.record("\(String(describing: defect))")
            return
        }
        #expect(reason.contains(text))
    }

    @Test(
        "A body of another shape is malformed",
        arguments: ["", "7", "{}", "[]", "[[]]", "[1, {}, {}]", "[[], [], {}]", "[[], {}", "[[NaN], {}, {}", "\u{0}"]
    )
    func malformed(_ body: String) async throws {
        let defect = await #expect(throws: CallDefect.self) { try await run(named(), body) }
        guard case .malformed? = defect else {
            Issue.record("\(String(describing: defect))")
            return
        }
    }

    @Test("Follow-ups are refused as a whole", arguments: ["callbacks", "errbacks", "chain", "chord"])
    func followUps(_ name: String) async throws {
        let body = #"[[1, "a"], {}, {"\#(name)": [{"task": "t"}]}]"#
        let defect = await #expect(throws: CallDefect.self) { try await run(named(), body) }
        guard case .unsupportedFollowUps? = defect else {
            Issue.record("\(String(describing: defect))")
            return
        }
    }

    @Test("A keyword for a task without parameter names says so")
    func unnamed() async throws {
        let app = app()
        _ = app.task("t") { (x: Int) in x }
        #expect(try await run(app, "[[5], {}, {}]") == "5")
        let defect = await #expect(throws: CallDefect.self) { try await run(app, #"[[5], {"x": 5}, {}]"#) }
        #expect(
            defect == .wrongArguments("no parameter for the keyword x: the task was defined without parameter names")
        )
    }

    private struct Resize: StructTask {
        static let name: TaskName = "resize"
        let source: String
        let width: Int?
        func run(context: TaskContext) async throws -> String { "\(source) \(width ?? 0)" }
    }

    @Test("A type's properties are keyword arguments and nothing else")
    func structTask() async throws {
        let app = app()
        _ = app.task(Resize.self)
        #expect(try await run(app, #"[[], {"source": "cat", "width": 5}, {}]"#) == #""cat 5""#)
        #expect(try await run(app, #"[[], {"source": "cat"}, {}]"#) == #""cat 0""#)
        for body in [#"[["cat"], {}, {}]"#, "[[], {}, {}]", #"[[], {"source": 1}, {}]"#] {
            let defect = await #expect(throws: CallDefect.self) { try await run(app, body) }
            guard case .wrongArguments? = defect else {
                Issue.record("\(String(describing: defect))")
                continue
            }
        }
    }
}

import CeleriacCore
import Testing

@testable import Celeriac

@Suite("The command locks", .timeLimit(.minutes(1))) struct LocksCommandTests {
    private func program() async throws -> TestProgram {
        let program = TestProgram()
        let task = program.app.task("report", options: .init(unique: .refuse)) { (month: String) in month }
        _ = try await task.apply("May", options: .init(id: "first"))
        _ = try await task.apply("June", options: .init(id: "second"))
        let locks = try program.app.drivers().locks
        _ = try await locks.acquire("celeriac-lock:prices", owner: "holder", lease: .seconds(60))
        _ = try await locks.acquire("qo_proj.add_x-1", owner: "0123", lease: .seconds(60))
        _ = try await locks.acquire("celeriac-once:a:b", owner: "note", lease: .seconds(60))
        return program
    }

    private static let may = #"celeriac-unique:report:["May"]{}"#

    @Test("list shows the locks of calls, programs and celery-once, and patterns choose among all")
    func list() async throws {
        let program = try await program()
        #expect(await program.run(LocksCommand.self, "list") == .success)
        let lines = program.output.lines
        #expect(lines.count == 5)
        #expect(lines[0].hasPrefix("NAME"))
        #expect(lines[1].hasPrefix("celeriac-lock:prices"))
        #expect(lines[1].contains("holder") && lines[1].contains("60 s"))
        #expect(lines[2].hasPrefix(#"celeriac-unique:report:["June"]{}"#) && lines[2].contains("second"))
        #expect(lines[4].hasPrefix("qo_proj.add_x-1"))
        let other = try await self.program()
        #expect(await other.run(LocksCommand.self, "list", "*-once*") == .success)
        #expect(other.output.lines.count == 2)
        #expect(other.output.lines[1].hasPrefix("celeriac-once:a:b"))
    }

    @Test("list --json writes an array, --limit cuts it and says so")
    func json() async throws {
        let program = try await program()
        #expect(await program.run(LocksCommand.self, "list", "--json", "--limit", "2") == .success)
        let text = program.output.text
        let locks = try #require(try PayloadCoding.decode(JSONValue.self, from: Array(text.utf8)).array)
        #expect(locks.count == 2)
        #expect(locks[0].object?["name"] == "celeriac-lock:prices")
        #expect(locks[0].object?["owner"] == "holder")
        #expect(locks[0].object?.keys.sorted() == ["age", "fence", "left", "name", "owner"])
        #expect(program.error.text.contains("there are more"))
    }

    @Test("show tells of one lock and of the call that has it")
    func show() async throws {
        let program = try await program()
        #expect(await program.run(LocksCommand.self, "show", Self.may) == .success)
        #expect(program.output.text.contains("owner  first\n"))
        #expect(program.output.text.contains("state  PENDING\n"))
        #expect(await program.run(LocksCommand.self, "show", "celeriac-unique:report:*") == .failure)
        #expect(program.error.text.contains("no lock named"))
    }

    @Test("clear tells what it would do, and does it with --yes")
    func clear() async throws {
        let program = try await program()
        let pattern = "celeriac-unique:report:*"
        #expect(await program.run(LocksCommand.self, "clear", pattern) == .usage)
        #expect(program.error.text.contains("give --yes to clear 2"))
        let locks = try program.app.drivers().locks
        #expect(try await locks.locks(matching: pattern, limit: 10).count == 2)
        #expect(await program.run(LocksCommand.self, "clear", pattern, "qo_nothing", "--yes") == .success)
        #expect(program.output.text.contains("cleared \(Self.may)\n"))
        #expect(program.error.text.contains("no lock named qo_nothing"))
        #expect(try await locks.locks(matching: pattern, limit: 10).isEmpty)
        #expect(await program.run(LocksCommand.self, "clear", Self.may, "--yes") == .failure)
        let task = program.app.signature("report", "May")
        #expect(try await task.apply().disposition == .sent)
    }

    @Test(
        "A wrong usage is told",
        arguments: [
            ["locks"], ["locks", "lst"], ["locks", "clear"], ["locks", "show", "a", "b"], ["locks", "list", "-y"],
        ]
    )
    func usage(_ arguments: [String]) async {
        let program = TestProgram()
        let code: ExitCode =
            switch arguments.count {
            case 1: await program.run(arguments[0])
            case 2: await program.run(arguments[0], arguments[1])
            case 3: await program.run(arguments[0], arguments[1], arguments[2])
            default: await program.run(arguments[0], arguments[1], arguments[2], arguments[3])
            }
        #expect(code == .usage)
        #expect(program.error.text.contains("locks --help"))
    }
}

import CeleriacCore
import Testing

@testable import Celeriac

private let count = Celeriac.Option<Int>("count", letter: "c", "N", default: 3, in: 1...9, help: "How many.")
private let names = Celeriac.Option<[QueueName]>("names", letter: "n", "A,B", separator: ",", help: "Which.")
private let headers = Celeriac.Option<[HeaderArgument]>("header", "K=V", help: "More.")
private let loud = Flag("loud", letter: "l", help: "Louder.")
private let quick = Flag("quick", letter: "k", help: "Quicker.")
private let url = Celeriac.Option<ServerURL?>("broker", letter: "b", "URL", help: "Where.")

private let syntax = ProgramSyntax(
    name: "prog",
    summary: "A program.",
    commands: [
        CommandSyntax(
            name: "go",
            summary: "Go.",
            positionals: [Positional("NAME", help: "Who."), Positional("ARGS", .any, help: "With what.")],
            options: [
                count.declaration, names.declaration, headers.declaration, loud.declaration, quick.declaration,
            ]
        ),
        CommandSyntax(name: "stay", summary: "Stay."),
    ],
    commonOptions: [url.declaration]
)

private func parse(_ line: String) throws(UsageError) -> ArgumentParser.Invocation {
    try ArgumentParser.parse(line.split(separator: " ").map(String.init), by: syntax)
}

private func arguments(_ line: String) throws -> ParsedArguments {
    guard case .command(_, let arguments) = try parse(line) else {
        Issue.record("not a command: \(line)")
        return ParsedArguments(path: "")
    }
    return arguments
}

@Suite("Argument parser") struct ArgumentParserTests {
    @Test(
        "Reads an option's value however it is attached",
        arguments: [
            "go x -c 5", "go x -c5", "go x -c=5", "go x --count 5", "go x --count=5", "go --count=5 x", "go x -c1 -c5",
        ]
    )
    func values(_ line: String) throws {
        #expect(try arguments(line).value(of: count) == 5)
    }

    @Test("Gives the default of an option that does not occur")
    func fallback() throws {
        #expect(try arguments("go x").value(of: count) == 3)
        #expect(try arguments("go x").value(of: names) == [])
    }

    @Test("Gathers lists over commas and repetitions")
    func lists() throws {
        #expect(try arguments("go x -n a,b --names c").value(of: names) == ["a", "b", "c"])
        let parsed = try arguments("go x --header a=1 --header b=x=y,z").value(of: headers)
        #expect(parsed.map(\.name) == ["a", "b"])
        #expect(parsed.map(\.value) == ["1", "x=y,z"])
    }

    @Test("Takes flags apart that are joined, the last with a value")
    func joined() throws {
        let parsed = try arguments("go x -lkc7")
        #expect(parsed.has(loud) && parsed.has(quick))
        #expect(try parsed.value(of: count) == 7)
    }

    @Test("Takes negative numbers, a lone dash and all after -- as arguments")
    func positionals() throws {
        #expect(try arguments("go x -1 -.5 - 2").positionals == ["x", "-1", "-.5", "-", "2"])
        let parsed = try arguments("go x -- --loud -- -c")
        #expect(parsed.positionals == ["x", "--loud", "--", "-c"])
        #expect(!parsed.has(loud))
    }

    @Test("Takes common options before and after the command")
    func common() throws {
        #expect(try arguments("--broker a://b go x").value(of: url) == ServerURL("a://b"))
        #expect(try arguments("go x -b a://b").value(of: url) == ServerURL("a://b"))
    }

    @Test(
        "Knows help and version wherever they stand",
        arguments: [
            ("--help", ArgumentParser.Invocation.help(command: nil)), ("-h", .help(command: nil)),
            ("help", .help(command: nil)), ("go --help", .help(command: "go")), ("help stay", .help(command: "stay")),
            ("go -h", .help(command: "go")), ("--version", .version), ("stay --version", .version),
        ]
    )
    func help(_ line: String, _ invocation: ArgumentParser.Invocation) throws {
        #expect(try parse(line) == invocation)
    }

    @Test(
        "Says what is wrong, and what was probably meant",
        arguments: [
            ("stya", UsageError.Problem.unknownCommand("stya", suggestion: "stay")),
            ("dance", .unknownCommand("dance", suggestion: nil)),
            ("go x --cuont 3", .unknownOption("--cuont", suggestion: "--count")),
            ("go x --lou", .unknownOption("--lou", suggestion: "--loud")),
            ("go x --zzz", .unknownOption("--zzz", suggestion: nil)),
            ("go x -z", .unknownOption("-z", suggestion: nil)),
            ("go x --count", .missingValue(option: "count", placeholder: "N")),
            ("go x --count --loud", .missingValue(option: "count", placeholder: "N")),
            ("go x -c", .missingValue(option: "count", placeholder: "N")),
            ("go x --loud=yes", .unexpectedValue(option: "loud")),
            ("go", .missingArgument("NAME")),
            ("stay here", .unexpectedArgument("here")),
        ]
    )
    func problems(_ line: String, _ problem: UsageError.Problem) {
        #expect(throws: UsageError.self) { try parse(line) }
        do throws(UsageError) { _ = try parse(line) } catch { #expect(error.problem == problem) }
    }

    @Test("Refuses values of the wrong type or outside the limits", arguments: ["x", "0", "10", "1.5", ""])
    func invalid(_ text: String) throws {
        let parsed = ParsedArguments(path: "prog go", values: ["count": [text]])
        #expect(throws: UsageError.self) { try parsed.value(of: count) }
    }

    @Test(
        "Reads spans of time with and without a unit",
        arguments: [("30", 30.0), ("0.5", 0.5), ("250ms", 0.25), ("2m", 120), ("1h", 3600), ("1d", 86_400), ("0", 0)]
    )
    func durations(_ text: String, _ seconds: Double) {
        #expect(Duration(argument: text) == .seconds(seconds))
    }

    @Test(
        "Refuses what is no span of time",
        arguments: ["", "-1", "x", "1w", "nan", "inf", "1e400", "99999999999", "1 s"]
    )
    func badDurations(_ text: String) {
        #expect(Duration(argument: text) == nil)
    }

    @Test("Counts an exchange of neighbours as one change")
    func distance() {
        #expect(Spelling.distance("queue", "queue") == 0)
        #expect(Spelling.distance("quueue", "queue") == 1)
        #expect(Spelling.distance("queeu", "queue") == 1)
        #expect(Spelling.distance("", "abc") == 3)
        #expect(Spelling.distance("kitten", "sitting") == 3)
    }
}

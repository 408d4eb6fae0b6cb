import CeleriacCore
import Testing

@testable import Celeriac

@Suite("Help") struct HelpTests {
    @Test("Describes the program, its commands, options and exit codes in aligned columns")
    func program() async {
        let program = TestProgram()
        #expect(await program.run("--help") == .success)
        #expect(program.error.text.isEmpty)
        #expect(
            program.output.text == """
                shop: a task program of Celeriac \(celeriacVersion).

                Usage: shop <command> [options]

                Commands:
                  worker  Run this program's tasks until told to stop.
                  beat    Emit the schedule's tasks until told to stop.
                  call    Call a task, here or in another program.
                  result  Show what became of a call.
                  tasks   List this program's tasks.
                  locks   List, show or clear the locks of unique calls.
                  doctor  Check the broker, the result backend and the settings.

                Options of every command:
                  -b, --broker URL             The broker.
                      --result-backend URL     The result backend.
                  -l, --log-level LEVEL        Write log lines from this level up: trace, debug, info, notice,
                                               warning, error, critical. Default: info for worker and beat, warning
                                               for the rest.
                      --log-format human|json  Write log lines for people, or as one JSON object a line. Default:
                                               human.
                  -h, --help                   Show this help.
                      --version                Show the version.

                Environment:
                  CELERIAC_BROKER_URL      The broker, unless --broker is given.
                  CELERIAC_RESULT_BACKEND  The result backend, unless --result-backend is given.
                  NO_COLOR                 If set, log lines have no colours.

                Exit codes:
                  0   done
                  1   the task failed, or the program could not go on
                  2   wrong settings or credentials; trying again does not help
                  64  wrong usage of the command line
                  69  the broker or result backend cannot be reached
                  70  a defect: the broker ended one connection after the other for errors
                  75  the task has not ended, or not in time

                More on a command: shop <command> --help

                """
        )
    }

    @Test("Describes a command with its arguments, defaults, examples and exit codes")
    func command() async {
        let program = TestProgram()
        #expect(await program.run("result", "--help") == .success)
        let text = program.output.text
        #expect(text.hasPrefix("Show what became of a call.\n\nUsage: shop result ID [options]\n"))
        #expect(text.contains("\nArguments:\n  ID  The call's id.\n"))
        #expect(text.contains("\n  -t, --timeout SECONDS  How long to wait. Default: 60.\n"))
        #expect(text.contains("\nExamples:\n  shop result 2f1c… --wait --timeout 10  exit code 75 if it has"))
        #expect(text.contains("\n  75  the task has not ended, or not in time\n"))
    }

    @Test("Fits each line into a hundred columns", arguments: ["worker", "beat", "call", "result", "tasks"])
    func width(_ command: String) async {
        let program = TestProgram()
        #expect(await program.run(command, "--help") == .success)
        #expect(program.output.lines.allSatisfy { $0.count <= 100 })
    }

    @Test("Goes to the error stream, with the code for wrong usage, when no command is given")
    func noCommand() async {
        let program = TestProgram()
        #expect(await program.run() == .usage)
        #expect(program.output.text.isEmpty)
        #expect(program.error.text.contains("Usage: shop <command>"))
    }

    @Test("Points from a usage error to the command's help")
    func usageError() async {
        let program = TestProgram()
        #expect(await program.run("worker", "--concurency", "4") == .usage)
        #expect(
            program.error.text == """
                shop worker: no option --concurency; did you mean --concurrency?
                Try: shop worker --help

                """
        )
    }
}

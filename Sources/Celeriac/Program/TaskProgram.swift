public import CeleriacBeat
public import CeleriacCore
internal import Glibc

/// A program that is its own worker, beat and command line.
///
/// ```swift
/// @main
/// struct Shop: TaskProgram {
///     static let app = TaskApp("shop")
///     static let add = app.task("shop.add") { (x: Int, y: Int) in x + y }
///     static let tasks = Tasks { add }
///     static let schedule = Schedule { Entry("heartbeat", add(1, 1), every: .seconds(30)) }
/// }
/// ```
///
/// ```console
/// $ shop worker --concurrency 16
/// $ shop beat
/// $ shop call shop.add 2 3 --wait
/// $ shop --help
/// ```
public protocol TaskProgram: SendableMetatype {
    /// The application.
    static var app: TaskApp { get }

    /// The tasks that this program runs.
    static var tasks: Tasks { get }

    /// The tasks that are emitted periodically; none unless said otherwise.
    static var schedule: Schedule { get }

    /// What the program does when it is started without a command; shows its help unless said otherwise.
    ///
    /// An error is reported and ends the program with a code other than 0.
    static func run() async throws
}

extension TaskProgram {
    /// No entries.
    public static var schedule: Schedule { Schedule() }

    /// Shows the help.
    public static func run() async throws { throw NothingToRun() }

    // Not `nonisolated(nonsending)`, which the compiler (6.3.1) does not take for an entry point.
    /// Obeys the command line and ends the process.
    @concurrent public static func main() async {
        // A reader of logs or output that goes away must not end a worker; writes to it fail instead.
        signal(SIGPIPE, SIG_IGN)
        _ = tasks  // defines, and so registers, them
        let program = CommandLineProgram(app: app, schedule: schedule) { try await run() }
        exit(await program.main(in: .process).rawValue)
    }
}

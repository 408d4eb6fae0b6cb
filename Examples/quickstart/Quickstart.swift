import Celeriac

@main
struct Quickstart: TaskProgram {
    static let app = TaskApp("quickstart")

    static let add = app.task("quickstart.add") { (x: Int, y: Int) in x + y }

    static let tasks = Tasks { add }

    /// Without a command: a worker and a caller in one process, nothing to install.
    static func run() async throws {
        try await app.withWorker {
            let handle = try await add.delay(2, 3)
            let sum = try await handle.value(within: .seconds(10))
            print("2 + 3 = \(sum)")
        }
        print("Notice: `sum` is an Int, and `add.delay(2, \"3\")` does not compile.")
    }
}

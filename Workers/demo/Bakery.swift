import Celeriac

// A bakery in one process: a worker, a beat and their callers, all in memory, nothing to install.
// With RabbitMQ and Redis the tasks below stay as they are; only the URLs in the environment change.

struct MillIsClosed: Error, CustomStringConvertible {
    var description: String { "nobody answers at the mill" }
}

struct CardDeclined: Error, CustomStringConvertible {
    let cents: Int
    var description: String { "no \(cents) cents on this card" }
}

/// A task may be a type: its properties are what travels.
struct Delivery: StructTask {
    static let name: TaskName = "bakery.deliver"

    let rolls: Int
    let street: String

    func run(context: TaskContext) async throws -> String {
        "\(rolls) rolls are on the doorstep in \(street)"
    }
}

@main
struct Bakery: TaskProgram {
    static let app = TaskApp("bakery", configuration: Configuration())  // the default is memory

    // MARK: Tasks

    static let bake = app.task("bakery.bake") { (loaf: Int) -> Int in
        oven.add()
        defer { oven.remove() }
        // Each loaf takes its own time, the same in every run.
        try await Task.sleep(for: .milliseconds(800 + loaf * 37 % 1200))
        return loaf
    }

    static let orderFlour = app.task(
        "bakery.order-flour",
        options: .init(retry: .exponential(attempts: 4, initial: .milliseconds(600), jitter: false))
    ) { (context: TaskContext, sacks: Int) -> String in
        guard context.attempt > 2 else { throw MillIsClosed() }
        return "\(sacks) sacks of flour at attempt \(context.attempt)"
    }

    static let sweep = app.task("bakery.sweep", options: .init(unique: .init(lease: .seconds(60)))) { (room: String) in
        try await Task.sleep(for: .seconds(1))
        return "the \(room) is clean"
    }

    static let charge = app.task("bakery.charge") { (cents: Int) -> String in
        throw CardDeclined(cents: cents)
    }

    static let deliver = app.task(Delivery.self)

    static let count = app.task("bakery.count") { (crumb: Int) in crumb }

    static let ring = app.task("bakery.ring") { "the bell rings" }

    static let tasks = Tasks {
        bake; orderFlour; sweep; charge; deliver; count; ring
    }

    static let schedule = Schedule {
        Entry("bell", ring(), every: .seconds(2))
    }

    // MARK: A day in the bakery

    static let oven = Gauge()

    static func run() async throws {
        let show = Show()
        show.say("A task queue in one process: 256 slots, a beat, everything in memory.")
        try await app.withWorker(.init(concurrency: 256), onEvent: show.saw) {
            try await app.withBeat(schedule, onEvent: show.saw) {
                try await bakeManyAtOnce(show)
                try await retryWithBackoff(show)
                try await refuseDuplicate(show)
                try await reportFailure(show)
                try await runStructTask(show)
                try await hurry(show)
                try await show.waitForBell()
            }
        }
        try show.finish()
    }
}

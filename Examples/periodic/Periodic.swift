import Celeriac
import FoundationEssentials

@main
struct Periodic: TaskProgram {
    static let app = TaskApp("periodic")

    static let measure = app.task("periodic.measure") { (sensor: String) in "\(sensor): 21 degrees" }

    static let tasks = Tasks { measure }

    static let schedule = Schedule {
        Entry("kitchen", measure("kitchen"), every: .milliseconds(200))
        Entry("report", measure("all"), cron: "0 8 * * mon-fri", in: "Europe/Berlin")
    }

    /// A beat and a worker in one process, until three slots were emitted and run.
    static func run() async throws {
        let (slots, sink) = AsyncStream.makeStream(of: (slot: Date, id: TaskID).self)
        try await app.withWorker {
            try await app.withBeat(schedule) { event in
                if case .sent("kitchen", let slot, let id) = event { sink.yield((slot, id)) }
            } _: {
                for await (slot, id) in slots.prefix(3) {
                    let reading = try await app.handle(id, returning: String.self).value(within: .seconds(10))
                    let milliseconds = Int((slot.timeIntervalSince1970 * 1000).rounded())
                    print("\(reading), at a multiple of 200 ms since 1970: \(milliseconds.isMultiple(of: 200))")
                }
            }
        }
        print("3 slots emitted and run")
    }
}

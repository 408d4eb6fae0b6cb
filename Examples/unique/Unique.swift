import Celeriac

@main
struct Unique: TaskProgram {
    static let app = TaskApp("unique")

    static let report = app.task("unique.report", options: TaskOptions(unique: .refuse)) { (month: String) in
        "report of \(month)"
    }

    static let tasks = Tasks { report }

    static func run() async throws {
        // No worker runs yet, so the first call waits in its queue when the second arrives.
        let first = try await report.delay("October")
        do throws(CeleriacError) {
            try await report.delay("October")
        } catch {
            guard error.code == .alreadyQueued else { throw error }
            print("refused: an equal call is queued already: \(error.conflict?.existing == first.id)")
        }
        let same = try await report.apply("October", options: CallOptions(unique: .returnExisting))
        print("the first call's handle instead: \(same.isExisting && same.id == first.id)")
        let other = try await report.delay("November")
        print("other arguments, another call: queued")

        try await app.withWorker {
            print(try await same.value(within: .seconds(10)))
            print(try await other.value(within: .seconds(10)))
        }
        try await app.withWorker {
            let again = try await report.delay("October")
            print("the first call has ended, so again: \(try await again.value(within: .seconds(10)))")
        }
    }
}

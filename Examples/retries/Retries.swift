import Celeriac

/// The other side is not there at the moment; a little later it may be.
struct NotYetThere: Error {}
/// There is no such page, and asking again will not make one.
struct NoSuchPage: Error {}

@main
struct Retries: TaskProgram {
    static let app = TaskApp("retries")

    static let patient = RetryPolicy.exponential(attempts: 5, initial: .milliseconds(100)) { $0 is NotYetThere }

    static let fetch = app.task("retries.fetch", options: TaskOptions(retry: patient)) {
        (context: TaskContext, page: String) async throws -> String in
        print("\(page): attempt \(context.attempt)")
        guard page == "news" else { throw NoSuchPage() }
        guard context.attempt >= 3 else { throw NotYetThere() }
        return "\(page), fetched at attempt \(context.attempt)"
    }

    static let tasks = Tasks { fetch }

    static func run() async throws {
        try await app.withWorker {
            let news = try await fetch.delay("news")
            print(try await news.value(within: .seconds(10)))

            let weather = try await fetch.delay("weather")
            do {
                print(try await weather.value(within: .seconds(10)))
            } catch let failure as TaskFailure {
                print("weather, not retried: \(failure.type)")
            }
        }
    }
}
